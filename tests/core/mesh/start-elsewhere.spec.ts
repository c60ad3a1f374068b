import { expect } from 'chai'
import { ServeError } from '../../../core/base/index.ts'
import { startElsewhere } from '../../../core/mesh/start-elsewhere.ts'
import type { HostedReplica, ReplicaSpec } from '../../../core/replica/index.ts'

const spec = { backend: 'work', replicaId: 'work#1' } as ReplicaSpec
const hosted = {} as HostedReplica

/** Nodes, of which some have left; a replica is placed on each in turn. */
function setUp(nodes: readonly string[], left: ReadonlySet<string>) {
  let at = 0
  const started: string[] = []
  const gone = new Map([...left].map((id) => [id, AbortSignal.abort(new ServeError('ERR_PEER_UNREACHABLE', `${id} has left`))]))
  const start = (): Promise<HostedReplica> =>
    startElsewhere(spec, new AbortController().signal, {
      nodeOf: () => nodes[at],
      whileStaying: (id) => gone.get(id) ?? new AbortController().signal,
      placeAnew: () => {
        at = Math.min(at + 1, nodes.length - 1)
      },
      start: async () => {
        started.push(nodes[at] ?? '')
        return hosted
      },
    })
  return { start, started }
}

describe('a start on a node that may leave', () => {
  it('goes on to the next node that stays', async () => {
    const { start, started } = setUp(['a', 'b', 'c'], new Set(['a', 'b']))
    expect(await start()).to.equal(hosted)
    expect(started).to.deep.equal(['c'])
  })

  it('fails when the node that left is chosen again, and does not ask for ever', async () => {
    const { start, started } = setUp(['a', 'b'], new Set(['a', 'b']))
    const error = await start().catch((reason: unknown) => reason)
    expect(error).to.have.property('code', 'ERR_PEER_UNREACHABLE')
    expect(started).to.deep.equal([])
  })
})
