import { expect } from 'chai'
import type { Client } from '../../../core/api/index.ts'
import { MeshWorld } from '../../support/mesh-world.ts'

/** A class whose every replica says which it is. */
function numbered(): { new (): { call(): number }; made: number } {
  return class Numbered {
    static made = 0
    readonly number: number = ++Numbered.made
    call(): number {
      return this.number
    }
  }
}

const remote = (client: Client, endpoint: string, data?: unknown): Promise<unknown> =>
  client.getHandle(endpoint).remote(data) as unknown as Promise<unknown>

/** A controller, a standby `s` and a peer `p`, with one replica each. */
async function makeWorld() {
  const world = await MeshWorld.kept()
  const s = await world.standBy('s')
  const p = await world.join('p')
  const target = numbered()
  await world.serve('count', target, { config: { numReplicas: 3 } })
  return { world, s, p, target }
}

describe('a standby controller', () => {
  it('stands by while the controller leads, and hosts and calls as any peer', async () => {
    const { world, s } = await makeWorld()
    expect(world.spread('count')).to.deep.equal({ controller: 1, s: 1, p: 1 })
    await world.advance(30_000)
    expect([s.standby.isActing, s.standby.group.role]).to.deep.equal([false, 'standby'])
    expect(await world.drive(remote(s.client, 'count'))).to.be.a('number')
  })

  it('leads within 10 s after the controller is gone, and takes edits', async () => {
    const { world, s, p } = await makeWorld()
    await world.crashController()
    const goneAtMs = world.clock.nowMs()
    let isDone = false
    await world.until(() => {
      if (!isDone) {
        s.client.createEndpoint('again', { backend: 'count' }).then(
          () => {
            isDone = true
          },
          () => undefined,
        )
      }
      return isDone
    })
    expect(world.clock.nowMs() - goneAtMs).to.be.below(10_000)
    await world.until(() => p.peer.table.endpoints.has('again'))
    expect(await world.drive(remote(p.client, 'again'))).to.be.a('number')
  })

  it('restarts no replica and fails no call of a peer when it takes over', async () => {
    const { world, s, p } = await makeWorld()
    const before = [...s.host.alive, ...p.host.alive]
    await world.crashController()
    const answers: Promise<unknown>[] = []
    for (let passed = 0; passed < 20_000; passed += 50) {
      for (const { client } of [s, p]) answers.push(remote(client, 'count'))
      await world.clock.advance(50)
    }
    const outcomes = await world.drive(Promise.allSettled(answers))
    expect(outcomes.filter(({ status }) => status === 'rejected')).to.deep.equal([])
    expect([...s.host.alive, ...p.host.alive]).to.include.members(before)
    const status = await world.drive(p.client.status())
    expect(status.backends.count).to.deep.include({ wanted: 3, ready: 3 })
    expect(Object.keys(status.nodes).sort()).to.deep.equal(['p', 's'])
  })

  it('has every edit that was acknowledged when the controller was killed in the middle of them', async () => {
    const { world, s, p } = await makeWorld()
    const acked: string[] = []
    for (let i = 0; i < 20; i++) {
      world.client.createEndpoint(`e${i}`, { backend: 'count' }).then(
        () => acked.push(`e${i}`),
        () => undefined,
      )
    }
    for (let i = 0; i < 60 && acked.length < 8; i++) await world.clock.advance(1)
    const known = [...acked]
    await world.crashController()
    expect(known.length).to.be.within(1, 19)
    await world.until(() => s.standby.isActing && p.peer.epoch.controllerId === 's')
    expect([...p.peer.table.endpoints.keys()]).to.include.members(known)
  })

  it('goes on on both sides of a partition, and afterwards has the edits of both, with the conflict told', async () => {
    const { world, s, p } = await makeWorld()
    world.isolate('s', ['controller', 'p'])
    await world.until(() => s.standby.isActing)
    const events = s.client.watch()
    await world.drive(s.client.createEndpoint('of-s', { backend: 'count' }))
    await world.drive(world.client.createEndpoint('of-c', { backend: 'count' }))
    await world.drive(world.client.shadowTraffic('count', 'count', 0).catch(() => undefined))
    await world.drive(s.client.updateBackendConfig('count', { requestTimeoutMs: 1_000 }))
    await world.drive(world.client.updateBackendConfig('count', { requestTimeoutMs: 2_000 }))
    expect([p.peer.epoch.controllerId, s.peer.epoch.controllerId]).to.deep.equal(['controller', 's'])
    world.network.heal()
    const names = ['count', 'of-c', 'of-s']
    const has = ({ peer }: typeof p): boolean => names.every((name) => peer.table.endpoints.has(name))
    await world.until(() => has(s) && has(p) && p.peer.epoch.controllerId === 's')
    // Edits of the other side are taken in under the same term.
    expect([p.peer.epoch, s.standby.group.leader]).to.deep.equal(Array(2).fill({ term: 2, controllerId: 's' }))
    expect([p, s].map(({ peer }) => peer.table.backends.get('count')?.config.requestTimeoutMs)).to.deep.equal([1_000, 1_000])
    const told = s.standby.group.conflicts.map(({ key, kept }) => [key, kept.controllerId])
    expect(told).to.deep.equal([['backend/count', 's']])
    expect((await world.drive(p.client.status())).conflicts).to.equal(undefined)
    expect((await world.drive(s.client.status())).conflicts?.map(({ key }) => key)).to.deep.equal(['backend/count'])
    let event = await world.drive(events.next())
    while (!event.done && event.value.kind !== 'conflict') event = await world.drive(events.next())
    expect(event.value).to.deep.include({ kind: 'conflict', key: 'backend/count' })
  })

  it('is obeyed by peers that could see the former controller all the time, which leads no longer', async () => {
    const { world, s, p } = await makeWorld()
    world.isolate('s', ['controller'])
    await world.until(() => s.standby.isActing)
    world.network.heal()
    await world.until(() => p.peer.epoch.controllerId === 's')
    expect(await world.codeOf(world.client.createEndpoint('late', { backend: 'count' }))).to.equal('ERR_NO_CONTROLLER')
    expect(world.greater?.controllerId ?? 's').to.equal('s')
    // The connection by which it was called before may give way to the one by which it leads, in a page more often than in Node.
    const codes: string[] = []
    for (let i = 0; i < 60 && codes.at(-1) !== 'no failure'; i++) {
      await world.advance(500)
      codes.push(await world.codeOf(p.client.status()))
    }
    expect(codes.at(-1), codes.join()).to.equal('no failure')
  })

  it('leaves everything running that it has led when another one follows it', async () => {
    const { world, s, p } = await makeWorld()
    const t = await world.standBy('t')
    world.isolate('t', ['s', 'p', 'controller'])
    await world.crashController()
    await world.until(() => s.standby.isActing && t.standby.isActing && p.peer.epoch.controllerId === 's')
    await world.advance(10_000)
    const before = [...s.host.alive, ...p.host.alive]
    expect((await world.drive(p.client.status())).backends.count?.ready).to.equal(3)
    world.network.heal()
    await world.until(() => p.peer.epoch.controllerId === 't' && s.peer.epoch.controllerId === 't')
    expect([s.standby.isActing, [...s.host.alive, ...p.host.alive]]).to.deep.equal([false, before])
  })

  it('lets the controller lead on, which lets go of no peer, when it comes back after it has led apart and ended', async () => {
    const { world, s, p } = await makeWorld()
    world.isolate('s', ['controller', 'p'])
    await world.until(() => s.standby.isActing)
    await world.drive(s.client.createEndpoint('of-s', { backend: 'count' }))
    await s.crash()
    const events = world.client.watch()
    world.network.heal()
    const back = await world.standBy('s', s.disk, { isReturning: true })
    await world.until(() => p.peer.table.endpoints.has('of-s'))
    const epochs = [world.hub.epoch, p.peer.epoch, back.peer.epoch]
    expect(epochs).to.deep.equal(Array(3).fill({ term: 3, controllerId: 'controller' }))
    await world.drive(world.client.createEndpoint('late', { backend: 'count' }))
    expect(await world.drive(remote(p.client, 'late'))).to.be.a('number')
    events.return?.(undefined as never)
    const told: string[] = []
    for await (const event of events) if (event.kind === 'peer') told.push(`${event.name} ${event.state}`)
    expect(told).not.to.include('p lost')
  })

  it('refuses a peer that wants to be led, with ERR_NO_CONTROLLER', async () => {
    const { world } = await makeWorld()
    const ticket = await world.client.createTicket()
    // Signatures of this world do not cover what is under them.
    const given = ticket.replace(/"addresses":\[[^\]]*\]/, '"addresses":["memory/s"]')
    expect(await world.codeOf(world.join('x', { given }))).to.equal('ERR_NO_CONTROLLER')
  })

  it('stands by when it comes back and another leads', async () => {
    const { world, s, p } = await makeWorld()
    const t = await world.standBy('t')
    await world.crashController()
    await world.until(() => s.standby.isActing || t.standby.isActing)
    const [leader, other] = s.standby.isActing ? [s, t] : [t, s]
    await world.until(() => p.peer.epoch.controllerId === leader.name && other.peer.epoch.controllerId === leader.name)
    const disk = leader.disk
    await leader.crash()
    await world.until(() => other.standby.isActing && p.peer.epoch.controllerId === other.name)
    const back = await world.standBy(leader.name, disk, { isReturning: true })
    await world.advance(10_000)
    expect([back.standby.isActing, other.standby.isActing]).to.deep.equal([false, true])
    expect(back.peer.epoch).to.deep.equal(other.peer.epoch)
    expect(back.standby.group.map.root).to.equal(other.standby.group.map.root)
  })

  it('leads again by itself when it comes back and nobody does', async () => {
    const { world, s } = await makeWorld()
    await world.crashController()
    await world.until(() => s.standby.isActing)
    await s.crash()
    const back = await world.standBy('s', s.disk, { isReturning: true })
    expect(back.standby.isActing).to.equal(true)
    expect(back.peer.table.endpoints.has('count')).to.equal(true)
  })

  it('gives the lead away when it leaves, and takes nothing along', async () => {
    const { world, s, p } = await makeWorld()
    const t = await world.standBy('t')
    await world.crashController()
    await world.until(() => s.standby.isActing || t.standby.isActing)
    const [leader, other] = s.standby.isActing ? [s, t] : [t, s]
    await world.until(() => p.peer.epoch.controllerId === leader.name && other.peer.epoch.controllerId === leader.name)
    await world.advance(5_000)
    const before = p.host.alive
    await world.drive(leader.client.close())
    await world.until(() => p.peer.epoch.controllerId === other.name)
    await world.advance(5_000)
    expect(p.host.alive).to.include.members(before)
    expect((await world.drive(p.client.status())).backends.count).to.deep.include({ ready: 3 })
  })
})
