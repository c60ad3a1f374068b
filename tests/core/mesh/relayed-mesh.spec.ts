import { expect } from 'chai'
import { type JoinWorld, MeshWorld, type WorldPeer } from '../../support/mesh-world.ts'

const echo = (request: { data: unknown }): unknown => request.data

describe('two peers that cannot dial each other', () => {
  for (const [caller, host] of [
    ['p', 'q'],
    ['q', 'p'],
  ] as const) {
    it(`call each other through the controller, ${caller} to ${host}`, async () => {
      const { world, from, to } = await parted(caller, host)
      await world.until(() => from.peer.viaOf(host) !== undefined)
      expect([from.peer.viaOf(host), to.peer.viaOf(caller)]).to.deep.equal(['controller', 'controller'])
      for (let i = 0; i < 10; i++) expect(await world.drive(remote(from, i))).to.equal(i)
      expect(world.hub.counts.relayed).to.include({ open: 1, refused: 0 })
      expect(world.hub.counts.relayed.passedBytes).to.be.above(1_000)
      await world.drive(from.client.close())
      await world.until(() => world.hub.counts.relayed.open === 0)
    })

    it(`have a direct connection as soon as one can be had, and no call fails by it, ${caller} to ${host}`, async () => {
      const { world, from } = await parted(caller, host)
      await world.until(() => from.peer.viaOf(host) === 'controller')
      const calls = Array.from({ length: 20 }, (_, i) => remote(from, i))
      world.network.heal()
      await world.until(() => from.peer.viaOf(host) === undefined)
      for (let i = 20; i < 40; i++) calls.push(remote(from, i))
      expect(await world.drive(Promise.all(calls))).to.deep.equal(Array.from({ length: 40 }, (_, i) => i))
      await world.until(() => world.hub.counts.relayed.open === 0)
    })
  }

  for (const [caller, host] of [
    ['p', 'q'],
    ['q', 'p'],
  ] as const) {
    for (const silent of [caller, host]) {
      it(`meet directly when ${silent} listens nowhere and ${caller} calls ${host}`, async () => {
        const world = await MeshWorld.make()
        const from = await world.join(caller, { roles: ['caller'], listens: silent !== caller })
        await serveAt(world, host, { listens: silent !== host })
        expect(await world.drive(remote(from, 1))).to.equal(1)
        await world.until(() => from.peer.viaOf(host) === undefined)
        expect(await world.drive(remote(from, 2))).to.equal(2)
      })
    }
  }

  it('meet through the controller for good when neither listens', async () => {
    const world = await MeshWorld.make()
    const from = await world.join('p', { roles: ['caller'], listens: false })
    await serveAt(world, 'q', { listens: false })
    expect(await world.drive(remote(from, 1))).to.equal(1)
    await world.until(() => from.peer.viaOf('q') === 'controller')
    await world.advance(120_000)
    expect(from.peer.viaOf('q')).to.equal('controller')
    expect(await world.drive(remote(from, 1))).to.equal(1)
  })

  it('end what runs between them when the relay dies, as with any replica that is lost', async () => {
    const { world, from } = await parted('p', 'q', slowly)
    await world.until(() => from.peer.viaOf('q') === 'controller')
    const calls = Array.from({ length: 10 }, (_, i) => world.drive(remote(from, i)).catch((error: unknown) => error))
    await world.advance(10)
    world.network.crash('controller')
    for (const outcome of await Promise.all(calls)) expect(outcome).to.include({ code: 'ERR_REPLICA_DIED', outcome: 'started-unknown' })
    expect(from.peer.viaOf('q')).to.equal(undefined)
  })

  it('go on through another peer that was told to relay when the controller is away', async () => {
    const { world, from } = await parted('p', 'q', () => echo, true)
    world.network.crash('controller')
    await world.until(() => from.peer.viaOf('q') === 'r')
    for (let i = 0; i < 10; i++) expect(await world.drive(remote(from, i))).to.equal(i)
  })

  it('do without each other when nobody passes anything on', async () => {
    const world = await MeshWorld.make([0, 0], undefined, 0)
    world.network.partition('p', 'q')
    const from = await world.join('p', { roles: ['caller'] })
    await serveAt(world, 'q')
    const call = remote(from, 1, 5_000)
    expect(await world.codeOf(call)).to.equal('ERR_NO_REPLICA')
    expect(world.fields.get('peer.not-reached')).to.include({ peer: 'q', code: 'ERR_UNSUPPORTED' })
    expect(world.hub.counts.relayed.refused).to.be.above(0)
  })

  it('lose each other when the ticket of one is taken back', async () => {
    const world = await MeshWorld.make()
    world.network.partition('p', 'q')
    const ticket = await world.client.createTicket({ roles: ['caller'] })
    const from = await world.join('p', { given: ticket })
    const to = await serveAt(world, 'q')
    expect(await world.drive(remote(from, 1))).to.equal(1)
    await world.until(() => to.peer.viaOf('p') === 'controller')
    await world.drive(world.client.revokeTicket(ticket))
    await world.advance(1_000)
    expect(to.peer.viaOf('p')).to.equal(undefined)
    expect(world.hub.counts.relayed.open).to.equal(0)
  })
})

/** A caller and a host of all replicas between which nothing passes; with `hasThird`, peer r would relay. */
async function parted(caller: string, host: string, target: (world: MeshWorld) => unknown = () => echo, hasThird = false) {
  const world = await MeshWorld.make()
  world.network.partition(caller, host)
  const from = await world.join(caller, { roles: ['caller'] })
  if (hasThird) await world.join('r', { roles: ['caller'], maxRelayed: 8 })
  const to = await serveAt(world, host, {}, target(world))
  // The first call asks for a way.
  void remote(from, 'first').catch(() => undefined)
  return { world, from, to }
}

/** A peer that has the one replica. */
async function serveAt(world: MeshWorld, host: string, options: JoinWorld = {}, target: unknown = echo): Promise<WorldPeer> {
  const peer = await world.join(host, { ...options, roles: ['replica'], labels: { at: host } })
  await world.serve('echo', target, { replicaOptions: { placement: { labels: { at: host } } } })
  return peer
}

/** An answer after 50 ms. */
const slowly = (world: MeshWorld) => async (request: { data: unknown }) => {
  await new Promise<void>((resolve) => world.clock.after(50, resolve))
  return request.data
}

function remote({ client }: WorldPeer, data: unknown, timeoutMs = 30_000): Promise<unknown> {
  return client.getHandle('echo').options({ timeoutMs }).remote(data) as unknown as Promise<unknown>
}
