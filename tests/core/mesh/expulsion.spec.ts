import { expect } from 'chai'
import type { ServeEvent } from '../../../core/controller/index.ts'
import { MeshWorld, type WorldPeer } from '../../support/mesh-world.ts'

const HOUR_MS = 3_600_000
const AT_Q = { placement: { labels: { at: 'q' } } }

describe('a peer that was cut off', () => {
  it('comes back by itself after hours, and other peers take its new credential', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p')
    world.isolate('p', ['controller'])
    await world.advance(5 * HOUR_MS)
    expect(Object.keys(world.hub.peers)).to.deep.equal([])
    world.network.heal()
    await world.until(() => Object.keys(world.hub.peers).length === 1)
    await world.join('q', { labels: { at: 'q' } })
    await world.serve('far', () => 'there', { replicaOptions: AT_Q })
    expect(await world.drive(p.client.getHandle('far').remote() as unknown as Promise<unknown>)).to.equal('there')
  })

  it('is sent away when that took longer than a day: ERR_TICKET_EXPIRED', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p')
    const told = eventsOf(p)
    world.isolate('p', ['controller'])
    await world.advance(26 * HOUR_MS)
    world.network.heal()
    await world.advance(60_000)
    expect(told.events.at(-1)).to.deep.include({ state: 'expelled', code: 'ERR_TICKET_EXPIRED' })
    expect(await world.codeOf(p.client.status())).to.equal('ERR_TICKET_EXPIRED')
  })
})

describe('a peer that is sent away', () => {
  it('hears of it as the last event, from streams of before and of later', async () => {
    const { world, p, sendAway } = await joinedPeer()
    const told = eventsOf(p)
    await sendAway()
    const later = eventsOf(p)
    await world.settle()
    for (const { events, isOver } of [told, later]) {
      expect(events.at(-1)).to.deep.include({ kind: 'peer', state: 'expelled', name: 'p', peerId: 'p', code: 'ERR_TICKET_INVALID' })
      expect(isOver()).to.equal(true)
    }
  })

  it('fails all calls and questions with the code of it, those that wait included', async () => {
    const { world, p, sendAway } = await joinedPeer()
    await world.join('q', { labels: { at: 'q' } })
    await world.serve('far', () => 'there', { replicaOptions: AT_Q })
    world.network.crash('q')
    await world.until(() => Object.keys(world.hub.peers).length === 1)
    const handle = p.client.getHandle('echo')
    const waiting = (p.client.getHandle('far').remote() as unknown as Promise<unknown>).catch((error: { code: string }) => error.code)
    await sendAway()
    expect(await waiting).to.equal('ERR_TICKET_INVALID')
    expect(await world.codeOf(handle.remote(1) as unknown as Promise<unknown>)).to.equal('ERR_TICKET_INVALID')
    expect(await world.codeOf(p.client.fetch('http://peer.test/echo'))).to.equal('ERR_TICKET_INVALID')
    expect(await world.codeOf(p.client.listBackends())).to.equal('ERR_TICKET_INVALID')
    expect(() => p.client.getHandle('echo'))
      .to.throw()
      .with.property('code', 'ERR_TICKET_INVALID')
  })

  it('runs nothing of the mesh any more, and can be closed', async () => {
    const { world, p, sendAway } = await joinedPeer()
    expect(p.host.alive.length).to.equal(1)
    await sendAway()
    expect(p.host.alive.length).to.equal(0)
    await world.drive(p.client.close())
  })
})

describe('the events of a peer', () => {
  it('go on when the controller was away', async () => {
    const { world, p } = await joinedPeer()
    const { events } = eventsOf(p)
    await world.settle()
    world.isolate('p', ['controller'])
    await world.until(() => Object.keys(world.hub.peers).length === 0)
    world.network.heal()
    await world.until(() => Object.keys(world.hub.peers).length === 1)
    await world.settle()
    events.length = 0
    await world.drive(world.client.setTraffic('echo', { echo: 1 }))
    await world.settle()
    expect(events.map(({ kind }) => kind)).to.deep.equal(['edit'])
  })

  it('end when it is closed', async () => {
    const { world, p } = await joinedPeer()
    const { isOver } = eventsOf(p)
    await world.drive(p.client.close())
    await world.settle()
    expect(isOver()).to.equal(true)
  })
})

/** A peer that has one of two replicas. */
async function joinedPeer(): Promise<{ readonly world: MeshWorld; readonly p: WorldPeer; sendAway(): Promise<void> }> {
  const world = await MeshWorld.make()
  const given = await world.client.createTicket()
  const p = await world.join('p', { given })
  await world.serve('echo', (request: { data: unknown }) => request.data, { config: { numReplicas: 2 } })
  return {
    world,
    p,
    async sendAway() {
      await world.drive(world.client.revokeTicket(given))
      await world.advance(5_000)
    },
  }
}

function eventsOf({ client }: WorldPeer) {
  const events: ServeEvent[] = []
  let isOver = false
  void (async () => {
    for await (const event of client.watch()) events.push(event)
    isOver = true
  })()
  return { events, isOver: () => isOver }
}
