import { expect } from 'chai'
import { settle } from '../../support/fake-clock.ts'
import { type JoinWorld, MeshWorld, type WorldPeer } from '../../support/mesh-world.ts'

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

  it('are no more than maxPeers while all carry something, on either side', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'], maxPeers: 1 })
    await serveAt(world, 'a', {}, () => new Promise(() => {}))
    await serveAt(world, 'b')
    const endless = remote(p, 'a', 1)
    await world.settle()
    expect(await world.codeOf(remote(p, 'b', 1, 3_000))).to.be.oneOf(['ERR_TIMEOUT', 'ERR_NO_REPLICA'])
    expect(p.peer.linked).to.deep.equal(['a'])
    expect(await world.codeOf(endless)).to.equal('ERR_TIMEOUT')
  })

  it('beyond maxPeers take the place of the one that carried nothing for longest', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'], maxPeers: 2 })
    for (const host of ['a', 'b', 'c']) await serveAt(world, host)
    for (const host of ['a', 'b', 'a', 'c', 'b', 'a']) {
      expect(await world.drive(remote(p, host, host))).to.equal(host)
      await world.advance(1_000)
      expect(p.peer.linked.length).to.be.at.most(2)
    }
    expect([[...p.peer.linked].sort(), p.peer.counts.closedIdle]).to.deep.equal([['a', 'b'], 3])
  })

  it('are refused by who has a call on each of as many as it may have: ERR_BACK_PRESSURE, and no call is lost by it', async () => {
    const world = await MeshWorld.make([1, 3])
    let answer: (value: string) => void = () => {}
    const a = await serveAt(world, 'a', { maxPeers: 1 }, () => new Promise<string>((resolve) => (answer = resolve)))
    const [p, q] = [await world.join('p', { roles: ['caller'] }), await world.join('q', { roles: ['caller'] })]
    const first = remote(p, 'a', 1)
    await world.advance(100)
    const second = remote(q, 'a', 2)
    await world.advance(3_000)
    expect([a.peer.linked, a.peer.counts.turnedAway > 0]).to.deep.equal([['p'], true])
    answer('to p')
    expect(await world.drive(first)).to.equal('to p')
    await world.until(() => a.peer.linked.includes('q'))
    await world.advance(100)
    answer('to q')
    expect(await world.drive(second)).to.equal('to q')
  })

  it('that are dialled take the place of such a one too', async () => {
    const world = await MeshWorld.make()
    await serveAt(world, 'a', { maxPeers: 1 })
    const [p, q] = [await world.join('p', { roles: ['caller'] }), await world.join('q', { roles: ['caller'] })]
    for (const caller of [p, q, p]) expect(await world.drive(remote(caller, 'a', 1))).to.equal(1)
    expect([p.peer.linked, q.peer.linked]).to.deep.equal([['a'], []])
  })

  it('that cannot be had take no place from others', async () => {
    const world = await MeshWorld.make([0, 0], undefined, 0)
    world.network.partition('p', 'a')
    const p = await world.join('p', { roles: ['caller'], maxPeers: 1 })
    for (const host of ['a', 'b']) await serveAt(world, host)
    expect(await world.codeOf(remote(p, 'a', 1, 5_000))).to.equal('ERR_NO_REPLICA')
    expect(await world.drive(remote(p, 'b', 1))).to.equal(1)
  })
})

describe('a link that carries nothing', () => {
  for (const [listening, by] of [
    [['p', 'a'], 'either side'],
    [['a'], 'who dialled'],
  ] as const) {
    it(`is closed after idleLinkMs, and opened again by the next call, ${by}`, async () => {
      const world = await MeshWorld.make([1, 3])
      const idleLinkMs = 60_000
      const p = await world.join('p', { roles: ['caller'], idleLinkMs, listens: (listening as readonly string[]).includes('p') })
      const a = await serveAt(world, 'a', { ...(by === 'either side' && { idleLinkMs }) })
      for (let round = 0; round < 2; round++) {
        expect(await world.drive(remote(p, 'a', round))).to.equal(round)
        await world.advance(59_000)
        expect(linked(a, p)).to.deep.equal(['a of p', 'p of a'])
        await world.advance(20_000)
        expect(linked(a, p)).to.deep.equal([])
        expect(p.peer.queues.get('a')?.ready).to.equal(1)
      }
      expect([p.peer.counts.closedIdle, a.peer.counts.closedIdle]).to.deep.equal([2, 2])
    })
  }

  it('stays while a call is under way on it, however long that says nothing', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'], idleLinkMs: 1_000 })
    let answer: (value: string) => void = () => {}
    const a = await serveAt(world, 'a', { idleLinkMs: 1_000 }, () => new Promise<string>((resolve) => (answer = resolve)))
    const call = remote(p, 'a', 1, 100_000)
    await world.advance(50_000)
    expect(linked(a, p)).to.deep.equal(['a of p', 'p of a'])
    answer('late')
    expect(await world.drive(call)).to.equal('late')
    await world.advance(2_000)
    expect(linked(a, p)).to.deep.equal([])
  })

  it('stays where it is for passing on what goes between others', async () => {
    const world = await MeshWorld.make()
    const relay = await world.join('r', { roles: ['caller'], maxRelayed: 8, idleLinkMs: 1_000 })
    const p = await world.join('p', { roles: ['caller'], idleLinkMs: 1_000 })
    await world.advance(10_000)
    expect(linked(p, relay)).to.deep.equal(['p of r', 'r of p'])
  })

  it('loses no call that is made while it is closed, by either side', async () => {
    const world = await MeshWorld.make([1, 20])
    const [p, a] = [await serveAt(world, 'p', { idleLinkMs: 1_000 }), await serveAt(world, 'a', { idleLinkMs: 1_000 })]
    const calls: Promise<unknown>[] = []
    for (let i = 0; i < 400; i++) {
      // Some fall into each moment of the closing, which takes a few round trips.
      await world.clock.advance(1_000 + ((i * 7) % 310))
      await settle()
      calls.push(i % 2 === 0 ? remote(p, 'a', i) : remote(a, 'p', i))
    }
    expect(await world.drive(Promise.all(calls))).to.deep.equal(calls.map((_, i) => i))
    expect(p.peer.counts.closedIdle).to.be.above(50)
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
async function serveAt(world: MeshWorld, host: string, options: JoinWorld = {}, target: unknown = echo): Promise<WorldPeer> {
  const peer = await world.join(host, { roles: ['replica', 'caller'], labels: { at: host }, ...options })
  await world.serve(host, target, { replicaOptions: { placement: { labels: { at: host } } } })
  return peer
}

function linked(...peers: readonly WorldPeer[]): string[] {
  return peers.flatMap(({ name, peer }) => peer.linked.map((id) => `${id} of ${name}`)).sort()
}

function remote({ client }: WorldPeer, endpoint: string, data: unknown, timeoutMs = 30_000): Promise<unknown> {
  return client.getHandle(endpoint).options({ timeoutMs }).remote(data) as unknown as Promise<unknown>
}
