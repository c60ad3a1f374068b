import { expect } from 'chai'
import { applyDelta, diffTables, isSameView, viewOf } from '../../../core/mesh/index.ts'
import {
  type BackendEntry,
  type EndpointEntry,
  emptyRoutingTable,
  type ResolvedBackendConfig,
  type RoutingTable,
  resolveBackendConfig,
} from '../../../core/model/index.ts'

const NONE = new Set<string>()
const CONFIG = resolveBackendConfig({ userConfig: { password: 'hidden' } })

describe('the view of a member', () => {
  it('is the whole table for a controller', () => {
    const table = tableOf({ a: ['x'] })
    expect(viewOf(table, { roles: ['controller'] }, NONE)).to.equal(table)
  })

  it('has for a caller without limits all that is there, so that those who may call alike know alike', () => {
    const view = viewOf(tableOf({ a: ['x'], b: ['y', 'z'] }, ['behind nothing']), { roles: ['caller'] }, NONE)
    expect(namesIn(view)).to.deep.equal({ endpoints: ['a', 'b'], backends: ['behind nothing', 'x', 'y', 'z'] })
  })

  it('has for a caller of some endpoints these, and what is behind them, shadows included', () => {
    const view = viewOf(
      tableOf({ a: ['x', 'y'], b: ['y', 'z'] }, ['behind nothing']),
      { roles: ['caller'], endpoints: ['a', 'none'] },
      NONE,
    )
    expect(namesIn(view)).to.deep.equal({ endpoints: ['a'], backends: ['x', 'y'] })
  })

  it('has for who hosts replicas their backends, and the endpoints that lead there', () => {
    const view = viewOf(tableOf({ a: ['x', 'y'], b: ['z'] }), { roles: ['replica'] }, new Set(['x']))
    expect(namesIn(view)).to.deep.equal({ endpoints: ['a'], backends: ['x'] })
  })

  it('has nothing for who does neither', () => {
    for (const roles of [['replica'], ['gateway'], []] as const) {
      expect(namesIn(viewOf(tableOf({ a: ['x'] }), { roles }, NONE))).to.deep.equal({ endpoints: [], backends: [] })
    }
  })

  it('adds up for who does both', () => {
    const view = viewOf(tableOf({ a: ['x'], b: ['y'], c: ['z'] }), { roles: ['replica', 'caller'], endpoints: ['a'] }, new Set(['y']))
    expect(namesIn(view)).to.deep.equal({ endpoints: ['a', 'b'], backends: ['x', 'y'] })
  })

  it('has no userConfig, not even of what is hosted, and every other field', () => {
    const view = viewOf(tableOf({ a: ['x'] }), { roles: ['replica', 'caller'] }, new Set(['x']))
    expect(view.backends.get('x')?.config).to.deep.equal({ ...CONFIG, userConfig: undefined })
    expect(JSON.stringify([...view.backends])).not.to.include('hidden')
  })

  it('is no change when nothing in it changes, though entries are made anew', () => {
    const viewer = { roles: ['caller'], endpoints: ['a'] } as const
    const [before, after] = [tableOf({ a: ['x'] }, [], 1), tableOf({ a: ['x'], b: ['y'] }, [], 2)]
    const delta = diffTables(viewOf(before, viewer, NONE), viewOf({ ...after, endpoints: withSame(after, before) }, viewer, NONE))
    expect(delta).to.deep.equal({ from: 1, to: 2, endpoints: [], goneEndpoints: [], backends: [], goneBackends: [] })
  })

  it('grows and shrinks by deltas, also within one version', () => {
    const table = tableOf({ a: ['x'], b: ['y'] }, [], 7)
    const viewer = { roles: ['replica'] } as const
    let has: RoutingTable = emptyRoutingTable()
    for (const hosted of [[], ['x'], ['x', 'y'], ['y'], []]) {
      const view = viewOf(table, viewer, new Set(hosted))
      has = applyDelta(has, diffTables(has, view)) as RoutingTable
      expect(isSameView(has, view), hosted.join()).to.equal(true)
      expect(namesIn(has).backends).to.deep.equal(hosted)
    }
  })
})

describe('isSameView', () => {
  it('tells views of one version apart by what is in them', () => {
    const table = tableOf({ a: ['x'] })
    const view = (hosted: string) => viewOf(table, { roles: ['replica'] }, new Set([hosted]))
    expect(isSameView(view('x'), view('x'))).to.equal(true)
    expect(isSameView(view('x'), view('y'))).to.equal(false)
    expect(isSameView(view('x'), { ...view('x'), version: 2 })).to.equal(false)
  })
})

/** Endpoints by name, each with the backends behind it; the last one is a shadow when there are two. */
function tableOf(behind: Readonly<Record<string, readonly string[]>>, alone: readonly string[] = [], version = 1): RoutingTable {
  const endpoints = Object.entries(behind).map(([name, [first = '', shadow]]): [string, EndpointEntry] => [
    name,
    {
      name,
      route: null,
      methods: ['GET'],
      policy: {
        entries: [{ backend: first, weight: 1 }],
        shadows: shadow === undefined ? [] : [{ backend: shadow, proportion: 0.5 }],
      },
    },
  ])
  const tags = new Set([...Object.values(behind).flat(), ...alone])
  return { version, endpoints: new Map(endpoints), backends: new Map([...tags].map((tag) => [tag, entryOf(tag, CONFIG)])) }
}

const entryOf = (tag: string, config: ResolvedBackendConfig): BackendEntry => ({ tag, config, wantedReplicas: 1, isolation: 'thread' })

/** The endpoints of one table, with entries of another where it has them: a controller keeps those that were not edited. */
function withSame(table: RoutingTable, before: RoutingTable): ReadonlyMap<string, EndpointEntry> {
  return new Map([...table.endpoints].map(([name, entry]) => [name, before.endpoints.get(name) ?? entry]))
}

const namesIn = ({ endpoints, backends }: RoutingTable) => ({ endpoints: [...endpoints.keys()], backends: [...backends.keys()].sort() })
