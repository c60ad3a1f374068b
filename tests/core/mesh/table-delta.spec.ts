import { expect } from 'chai'
import { applyDelta, diffTables } from '../../../core/mesh/index.ts'
import { type EndpointEntry, emptyRoutingTable, policyOf, type RoutingTable, resolveBackendConfig } from '../../../core/model/index.ts'

describe('a delta of routing tables', () => {
  it('makes the new table out of the old one', () => {
    const before = table(1, ['a', 'b'], { x: 1, y: 1 })
    const after = table(2, ['b', 'c'], { y: 2, z: 1 })
    expect(applyDelta(before, diffTables(before, after))).to.deep.equal(after)
  })

  it('holds only what has changed', () => {
    const before = table(1, ['a', 'b'], { x: 1, y: 1 })
    const after = table(2, ['a', 'b'], { x: 1, y: 2 })
    const delta = diffTables({ ...before, endpoints: after.endpoints }, after)
    expect([delta.endpoints, delta.backends.map(({ tag }) => tag)]).to.deep.equal([[], ['y']])
  })

  it('does not fit to a table of another version', () => {
    const delta = diffTables(table(1, ['a'], {}), table(2, ['b'], {}))
    expect(applyDelta(table(7, ['a'], {}), delta)).to.equal(undefined)
  })

  it('from nothing fits to any table', () => {
    const after = table(9, ['a'], { x: 1 })
    expect(applyDelta(table(3, ['z'], { w: 1 }), diffTables(emptyRoutingTable(), after))).to.deep.equal(after)
  })
})

const CONFIG = resolveBackendConfig({})

function table(version: number, endpoints: readonly string[], backends: Readonly<Record<string, number>>): RoutingTable {
  const entry = (name: string): EndpointEntry => ({ name, route: null, methods: ['GET'], policy: policyOf('x') })
  return {
    version,
    endpoints: new Map(endpoints.map((name) => [name, entry(name)])),
    backends: new Map(
      Object.entries(backends).map(([tag, wantedReplicas]) => [tag, { tag, config: CONFIG, wantedReplicas, isolation: 'thread' as const }]),
    ),
  }
}
