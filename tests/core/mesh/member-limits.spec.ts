import { expect } from 'chai'
import type { ServeEvent } from '../../../core/controller/index.ts'
import type { Member } from '../../../core/mesh/index.ts'
import { MeshWorld, type WorldPeer } from '../../support/mesh-world.ts'

const echo = (request: { data: unknown }): unknown => request.data
class Configured {
  call(): void {}
  reconfigure(): void {}
}
const CALLER_OF_OPEN = { roles: ['caller'], endpoints: ['open'] } as const

describe('what a member knows', () => {
  it('is for a caller of one endpoint that one, in its table and in all answers', async () => {
    const world = await twoEndpoints()
    const p = await world.join('p', { ticket: CALLER_OF_OPEN })
    expect(known(p)).to.deep.equal({ endpoints: ['open'], backends: ['open'] })
    const { endpoints, backends } = await world.drive(p.client.status())
    expect([endpoints, backends].map((part) => Object.keys(part))).to.deep.equal([['open'], ['open']])
    expect(Object.keys(await world.drive(p.client.listEndpoints()))).to.deep.equal(['open'])
    expect(Object.keys(await world.drive(p.client.listBackends()))).to.deep.equal(['open'])
    expect(await world.codeOf(p.client.getBackendConfig('closed'))).to.equal('ERR_BACKEND_NOT_FOUND')
  })

  it('is told alike of what is hidden and what is not there', async () => {
    const world = await twoEndpoints()
    const p = await world.join('p', { ticket: CALLER_OF_OPEN })
    const said = async (tag: string): Promise<string> =>
      world.drive(p.client.getBackendConfig(tag).then(String, (error: Error) => error.message))
    expect((await said('closed')).replace('closed', 'gone')).to.equal(await said('gone'))
  })

  it('is for a caller of one endpoint nothing of what others have ready', async () => {
    const world = await twoEndpoints()
    const p = await world.join('p', { ticket: CALLER_OF_OPEN })
    await world.join('q', { ticket: { roles: ['replica'] } })
    const ready = p.peer.entries.flatMap((entry) => Object.keys(entry.ready))
    expect([...new Set(ready)]).to.deep.equal(['open'])
  })

  it('is for who hosts replicas what it hosts, as that comes and goes', async () => {
    const world = await twoEndpoints()
    const p = await world.join('p', { ticket: { roles: ['replica'] }, labels: { at: 'p' } })
    expect(known(p)).to.deep.equal({ endpoints: [], backends: [] })
    const replicaOptions = { placement: { labels: { at: 'p' } } }
    await world.serve('third', echo, { replicaOptions })
    expect(known(p)).to.deep.equal({ endpoints: ['third'], backends: ['third'] })
    expect(Object.keys((await world.drive(p.client.status())).nodes).sort()).to.deep.equal(['controller', 'p'])
    await world.drive(world.client.deleteEndpoint('third'))
    await world.drive(world.client.deleteBackend('third'))
    expect(known(p)).to.deep.equal({ endpoints: [], backends: [] })
  })

  it('grows when a replica moves there, which changes no version', async () => {
    const world = await MeshWorld.make()
    await world.serve('echo', echo, { config: { numReplicas: 2 } })
    const p = await world.join('p', { ticket: { roles: ['replica'] } })
    await world.settle()
    expect(world.spread('echo')).to.deep.equal({ controller: 1, p: 1 })
    expect(known(p)).to.deep.equal({ endpoints: ['echo'], backends: ['echo'] })
    expect(p.peer.table.version).to.equal(world.hub.tableVersion)
  })

  it('is not who else is there, for one that calls nobody', async () => {
    const world = await MeshWorld.make()
    await world.join('q')
    const p = await world.join('p', { ticket: { roles: ['replica'] } })
    expect(Object.keys((await world.drive(p.client.status())).nodes).sort()).to.deep.equal(['controller', 'p'])
    expect(p.peer.entries).to.deep.equal([])
  })

  it('is the userConfig of a backend only where that is hosted', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { labels: { at: 'p' } })
    const q = await world.join('q')
    await world.serve('echo', Configured, {
      config: { userConfig: { password: 'hidden' } },
      replicaOptions: { placement: { labels: { at: 'p' } } },
    })
    const userConfigFor = async ({ client }: WorldPeer): Promise<unknown> => [
      (await world.drive(client.getBackendConfig('echo'))).userConfig,
      (await world.drive(client.listBackends())).echo?.userConfig,
    ]
    expect(await userConfigFor(p)).to.deep.equal([{ password: 'hidden' }, { password: 'hidden' }])
    expect(await userConfigFor(q)).to.deep.equal([undefined, undefined])
    for (const { peer } of [p, q]) expect(JSON.stringify([...peer.table.backends])).not.to.include('hidden')
  })

  it('is no event of what it may not know', async () => {
    const world = await twoEndpoints()
    const p = await world.join('p', { ticket: CALLER_OF_OPEN })
    const events: ServeEvent[] = []
    void (async () => {
      for await (const event of p.client.watch()) events.push(event)
    })()
    await world.settle()
    await world.drive(world.client.updateBackendConfig('closed', { numReplicas: 2 }))
    await world.drive(world.client.updateBackendConfig('open', { numReplicas: 2 }))
    await world.drive(world.client.deleteEndpoint('closed'))
    await world.drive(world.client.deleteEndpoint('open'))
    await world.settle()
    expect(JSON.stringify(events)).not.to.include('closed')
    expect(events.filter(({ kind }) => kind === 'edit').map((event) => (event as { name: string }).name)).to.include('open')
  })

  it('wakes no backend and weighs on none that it may not call', async () => {
    const world = await MeshWorld.make()
    const autoscaling = { minReplicas: 0, maxReplicas: 2, targetOngoingRequests: 1, downscaleToZeroDelayMs: 1_000 }
    await world.serve('open', echo)
    await world.serve('asleep', echo, { config: { autoscaling } })
    await world.advance(60_000)
    expect(world.spread('asleep')).to.deep.equal({})
    const liar = await world.stranger('liar', { ticket: CALLER_OF_OPEN })
    liar.control.tell('load', { asleep: 100, open: 1 })
    liar.control.tell('starved', 'asleep')
    await world.settle()
    expect(world.spread('asleep')).to.deep.equal({})
    expect([world.hub.loadElsewhere('asleep'), world.hub.loadElsewhere('open')]).to.deep.equal([0, 1])
  })
})

describe('a ticket for some endpoints', () => {
  it('follows traffic to other backends', async () => {
    const world = await MeshWorld.make()
    await world.serve('open', () => 'old')
    await world.serve('next', () => 'new')
    const p = await world.join('p', { ticket: CALLER_OF_OPEN })
    const call = (): Promise<unknown> => world.drive(p.client.getHandle('open').remote() as unknown as Promise<unknown>)
    expect(await call()).to.equal('old')
    await world.drive(world.client.setTraffic('open', { next: 1 }))
    expect(await call()).to.equal('new')
    expect(known(p)).to.deep.equal({ endpoints: ['open'], backends: ['next'] })
  })

  for (const [where, hosting] of [
    ['the controller', undefined],
    ['a peer that only hosts replicas', 'p'],
  ] as const) {
    it(`loses its way to a backend at ${where} when traffic leaves, after what was under way`, async () => {
      const world = await MeshWorld.make()
      const replicaOptions = hosting === undefined ? {} : { placement: { labels: { at: hosting } } }
      if (hosting !== undefined) await world.join(hosting, { ticket: { roles: ['replica'] }, labels: { at: hosting } })
      await world.serve('open', echo, { replicaOptions })
      await world.serve('next', echo, { replicaOptions })
      const caller = await world.stranger('caller', { ticket: CALLER_OF_OPEN })
      const way = openWay(hosting === undefined ? caller.member : await caller.meet(hosting), 'open')
      expect(await way.call(world)).to.equal('answered')
      await world.drive(world.client.setTraffic('open', { next: 1 }))
      expect(await way.call(world)).to.equal('answered')
      await world.advance(5_000)
      expect(await way.call(world)).to.equal('ERR_FORBIDDEN')
      await world.drive(world.client.setTraffic('open', { open: 1 }))
      await world.settle()
      expect(await way.call(world)).to.equal('answered')
    })
  }

  it('is good for calls to a peer that only hosts replicas, whichever of the two has the lower id', async () => {
    for (const name of ['a', 'z']) {
      const world = await MeshWorld.make()
      await world.join('host', { ticket: { roles: ['replica'] }, labels: { at: 'host' } })
      await world.serve('open', echo, { replicaOptions: { placement: { labels: { at: 'host' } } } })
      const caller = await world.join(name, { ticket: CALLER_OF_OPEN })
      const answer = caller.client.getHandle('open').remote('there') as unknown as Promise<unknown>
      expect(await world.drive(answer), name).to.equal('there')
    }
  })
})

describe('a caller limited to endpoints', () => {
  for (const [where, hosting] of [
    ['the controller', undefined],
    ['another peer', 'p'],
  ] as const) {
    describe(`at ${where}`, () => {
      async function held() {
        const world = await MeshWorld.make()
        const replicaOptions = hosting === undefined ? {} : { placement: { labels: { at: hosting } } }
        const host = hosting === undefined ? undefined : await world.join(hosting, { labels: { at: hosting } })
        for (const tag of ['open', 'closed', 'idle', 'shadow']) await world.serve(tag, TwoMethods, { replicaOptions })
        await world.drive(world.client.createEndpoint('narrow', { backend: 'open', callMethods: ['call'] }))
        await world.drive(world.client.setTraffic('open', { open: 1, idle: 0 }))
        await world.drive(world.client.shadowTraffic('open', 'shadow', 0.5))
        await world.advance(5_000)
        const caller = await world.stranger('caller', { ticket: { roles: ['caller'], endpoints: ['open', 'narrow'] } })
        const meet = async (): Promise<Member> => (hosting === undefined ? caller.member : caller.meet(hosting))
        const forbidden = (): number => (host?.peer ?? world.hub).gateCounts.forbidden
        return { world, member: await meet(), forbidden }
      }

      it('calls backends that traffic leads to, or copies of it', async () => {
        const { world, member } = await held()
        for (const backend of ['open', 'shadow']) expect(await openWay(member, backend).call(world), backend).to.equal('answered')
      })

      it('is refused a backend of weight 0, one of another endpoint, and one that is not there', async () => {
        const { world, member, forbidden } = await held()
        for (const backend of ['idle', 'closed', 'none']) {
          expect(await openWay(member, backend).call(world), backend).to.equal('ERR_FORBIDDEN')
        }
        expect([forbidden(), member.link.isGone]).to.deep.equal([3, false])
      })

      it('is refused methods that callMethods does not list, by handle and by HTTP, and no others', async () => {
        const { world, member } = await held()
        const narrow = openWay(member, 'open', 'narrow')
        const metas = [0, '{"m":"call"}', '{"m":"other"}', { m: 'other' }, 'Hother\nGET\nhttp://h/\nid', 'H\nGET\nhttp://h/\nid']
        const said: unknown[] = []
        for (const meta of metas) said.push(await narrow.call(world, meta))
        expect(said).to.deep.equal(['answered', 'answered', 'ERR_FORBIDDEN', 'ERR_FORBIDDEN', 'ERR_FORBIDDEN', 'answered'])
        expect(await openWay(member, 'open').call(world, '{"m":"other"}')).to.equal('answered')
      })

      it('is sent away when it names other endpoints, or none, three times', async () => {
        for (const endpoint of ['closed', 7]) {
          const { world, member, forbidden } = await held()
          const way = openWay(member, endpoint === 7 ? 'open' : 'closed', endpoint)
          for (let i = 0; i < 2; i++) expect(await way.call(world)).to.equal('ERR_FORBIDDEN')
          expect(member.link.isGone).to.equal(false)
          await way.call(world)
          expect([forbidden(), member.link.isGone]).to.deep.equal([3, true])
        }
      })
    })
  }

  it('is told by its own node, and is not sent away, whatever its program asks for', async () => {
    const world = await MeshWorld.make()
    await world.serve('open', TwoMethods)
    await world.drive(world.client.createEndpoint('narrow', { backend: 'open', callMethods: [] }))
    const caller = await world.join('p', { ticket: { roles: ['caller'], endpoints: ['narrow'] } })
    const ask = (method?: string): Promise<unknown> =>
      caller.client.getHandle('narrow').options({ methodName: method }).remote() as unknown as Promise<unknown>
    for (let i = 0; i < 5; i++) expect(await world.codeOf(ask('other'))).to.equal('ERR_FORBIDDEN')
    expect(await world.drive(ask())).to.equal('one')
    expect(world.hub.gateCounts.forbidden).to.equal(0)
  })

  it('does not call what it hosts when its ticket does not name the endpoint', async () => {
    const world = await MeshWorld.make()
    await world.serve('open', TwoMethods)
    const p = await world.join('p', { ticket: { roles: ['caller', 'replica'], endpoints: ['open'] }, labels: { at: 'p' } })
    await world.serve('closed', TwoMethods, { replicaOptions: { placement: { labels: { at: 'p' } } } })
    const ask = (endpoint: string): Promise<unknown> => p.client.getHandle(endpoint).remote() as unknown as Promise<unknown>
    expect(await world.codeOf(ask('closed'))).to.equal('ERR_FORBIDDEN')
    expect(await world.drive(ask('open'))).to.equal('one')
  })
})

class TwoMethods {
  call(): string {
    return 'one'
  }
  other(): string {
    return 'two'
  }
}

async function twoEndpoints(): Promise<MeshWorld> {
  const world = await MeshWorld.make()
  await world.serve('open', echo)
  await world.serve('closed', echo)
  return world
}

const known = ({ peer }: WorldPeer) => ({ endpoints: [...peer.table.endpoints.keys()], backends: [...peer.table.backends.keys()] })

/** A port for calls of which the member does not let go. */
function openWay({ link }: Member, backend: string, endpoint: unknown = 'open') {
  const port = link.openPort(`backend:${backend}`)
  const answers: unknown[][] = []
  port.listen((message) => answers.push([...message]))
  let id = 0
  return {
    /** The code of the error, if one came. */
    async call(world: MeshWorld, meta: unknown = 0): Promise<unknown> {
      port.post([++id, 5_000, meta, 'hello', endpoint])
      const answer = (): unknown[] | undefined => answers.find((message) => message[1] === id)
      for (let i = 0; i < 50 && answer() === undefined; i++) await world.settle()
      const [, , kind, value] = answer() ?? []
      return kind === 1 ? (value as { code?: string }).code : 'answered'
    },
  }
}
