import { expect } from 'chai'
import { MeshWorld, type WorldPeer } from '../../support/mesh-world.ts'

const echo = (request: { data: unknown }): unknown => request.data

describe('links between peers', () => {
  it('are made for peers that are called, and for no others', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'] })
    const [a, b] = [await serveAt(world, 'a'), await serveAt(world, 'b')]
    await world.advance(5_000)
    expect(linked(a, b, p)).to.deep.equal([])
    expect(p.peer.queues.get('a')?.ready).to.equal(1)
    expect(await world.drive(remote(p, 'a', 1))).to.equal(1)
    expect(linked(a, b, p)).to.deep.equal(['a of p', 'p of a'])
  })

  it('carry what was called before they were there, as it was then', async () => {
    const world = await MeshWorld.make([5, 5])
    const p = await world.join('p', { roles: ['caller'] })
    await serveAt(world, 'a')
    const data = { list: [1, 2] }
    const call = remote(p, 'a', data)
    await world.clock.advance(0)
    data.list.push(3)
    expect(await world.drive(call)).to.deep.equal({ list: [1, 2] })
  })

  it('fail a call by its own data alone', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'] })
    await serveAt(world, 'a')
    const outcomes = await Promise.all([
      world.codeOf(remote(p, 'a', new Uint8Array(40_000_000))),
      world.codeOf(remote(p, 'a', () => 1)),
      world.drive(remote(p, 'a', 'fine')),
    ])
    expect(outcomes).to.deep.equal(['ERR_PAYLOAD_TOO_LARGE', 'ERR_NOT_SERIALIZABLE', 'fine'])
  })

  it('that cannot be had hold a call up for a second at most, when others have the replica too', async () => {
    const world = await MeshWorld.make([0, 0], undefined, 0)
    world.network.partition('p', 'a')
    const p = await world.join('p', { roles: ['caller'] })
    await world.join('a', { roles: ['replica'] })
    await world.join('b', { roles: ['replica'] })
    await world.serve('echo', echo, { config: { numReplicas: 3 } })
    const atMs = world.clock.nowMs()
    expect(await world.drive(Promise.all([1, 2, 3].map((i) => remote(p, 'echo', i))))).to.deep.equal([1, 2, 3])
    expect(world.clock.nowMs() - atMs).to.be.below(1_500)
  })

  it('are found again by the next call after a peer that was called has been away', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'] })
    await serveAt(world, 'a')
    await world.drive(remote(p, 'a', 1))
    world.network.cut('p', 'a')
    await world.settle()
    expect(await world.drive(remote(p, 'a', 2))).to.equal(2)
  })

  it('are no more than maxPeers, on either side', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'], maxPeers: 1 })
    for (const host of ['a', 'b']) await serveAt(world, host)
    expect(await world.drive(remote(p, 'a', 1))).to.equal(1)
    expect(await world.codeOf(remote(p, 'b', 1, 3_000))).to.be.oneOf(['ERR_TIMEOUT', 'ERR_NO_REPLICA'])
    expect(await world.drive(remote(p, 'a', 2))).to.equal(2)
  })
})

describe('a controller', () => {
  it('takes no more peers than maxPeers: ERR_BACK_PRESSURE, and the ticket is good for later', async () => {
    const world = await MeshWorld.make([0, 0], undefined, undefined, 1)
    const ticket = await world.client.createTicket()
    const p = await world.join('p')
    expect(await world.codeOf(world.join('q', { given: ticket }))).to.equal('ERR_BACK_PRESSURE')
    expect(world.hub.counts).to.include({ peers: 1, turnedAway: 1 })
    await world.drive(p.client.close())
    await world.join('r', { given: ticket })
    expect(Object.keys(world.hub.peers)).to.deep.equal(['r'])
  })
})

/** A peer that has the one replica of a backend of its name. */
async function serveAt(world: MeshWorld, host: string): Promise<WorldPeer> {
  const peer = await world.join(host, { roles: ['replica', 'caller'], labels: { at: host } })
  await world.serve(host, echo, { replicaOptions: { placement: { labels: { at: host } } } })
  return peer
}

function linked(...peers: readonly WorldPeer[]): string[] {
  return peers.flatMap(({ name, peer }) => peer.linked.map((id) => `${id} of ${name}`)).sort()
}

function remote({ client }: WorldPeer, endpoint: string, data: unknown, timeoutMs = 30_000): Promise<unknown> {
  return client.getHandle(endpoint).options({ timeoutMs }).remote(data) as unknown as Promise<unknown>
}
