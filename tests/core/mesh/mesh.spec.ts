import { expect } from 'chai'
import { ControlChannel } from '../../../core/api/index.ts'
import { MeshWorld } from '../../support/mesh-world.ts'

const echo = (request: { data: unknown }): unknown => request.data

describe('a mesh', () => {
  it('gives a joiner the endpoints, and lets it call them', async () => {
    const world = await MeshWorld.make()
    await world.serve('echo', echo)
    const { client } = await world.join('p')
    expect(await world.drive(remote(client, 'echo', 'hello'))).to.equal('hello')
  })

  it('moves surplus replicas to those who join, and evens out again with the next', async () => {
    const world = await MeshWorld.make()
    await world.serve('echo', echo, { config: { numReplicas: 6 } })
    expect(world.spread('echo')).to.deep.equal({ controller: 6 })
    await world.join('p')
    await world.advance(1_000)
    expect(world.spread('echo')).to.deep.equal({ controller: 3, p: 3 })
    await world.join('q')
    await world.advance(1_000)
    expect(world.spread('echo')).to.deep.equal({ controller: 2, p: 2, q: 2 })
  })

  it('places new replicas evenly', async () => {
    const world = await MeshWorld.make()
    await world.join('p')
    await world.join('q')
    await world.serve('echo', echo, { config: { numReplicas: 6 } })
    expect(world.spread('echo')).to.deep.equal({ controller: 2, p: 2, q: 2 })
  })

  it('resolves an edit when it is in force at every peer', async () => {
    const world = await MeshWorld.make([20, 20])
    const { client } = await world.join('p')
    await world.serve('echo', echo)
    expect(client.getHandle('echo')).to.be.an('object')
  })

  it('calls straight from peer to peer', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'] })
    await world.join('q', { roles: ['replica'] })
    await world.serve('echo', echo, { config: { numReplicas: 2 } })
    expect(world.spread('echo')).to.deep.equal({ controller: 1, q: 1 })
    world.network.crash('controller')
    await world.settle()
    for (let i = 0; i < 20; i++) expect(await world.drive(remote(p.client, 'echo', i))).to.equal(i)
  })

  it('goes on without a controller, and refuses edits with ERR_NO_CONTROLLER', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p')
    await world.serve('echo', echo, { config: { numReplicas: 2 } })
    world.network.crash('controller')
    await world.settle()
    for (let i = 0; i < 20; i++) expect(await world.drive(remote(p.client, 'echo', i))).to.equal(i)
    expect(await world.codeOf(p.client.deleteEndpoint('echo'))).to.equal('ERR_NO_CONTROLLER')
    expect(await world.codeOf(p.client.status())).to.equal('ERR_NO_CONTROLLER')
  })

  it('takes an idle replica of its own node before one elsewhere', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p')
    await world.serve('echo', echo, { config: { numReplicas: 2 } })
    for (let i = 0; i < 20; i++) await world.drive(remote(p.client, 'echo', i))
    expect(await guestsAtController(world, 'echo')).to.equal(0)
  })

  it('does so even when its own replica was slow before', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p')
    const slow = (): Promise<void> => new Promise((resolve) => world.clock.after(100, resolve))
    await world.serve('slow', slow, { config: { numReplicas: 2 } })
    for (let i = 0; i < 10; i++) await world.drive(remote(p.client, 'slow', i))
    expect(await guestsAtController(world, 'slow')).to.equal(0)
  })

  it('uses the replicas of others when its own are busy', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p')
    let most = 0
    let running = 0
    const slow = async (): Promise<void> => {
      most = Math.max(most, ++running)
      await new Promise<void>((resolve) => world.clock.after(50, resolve))
      running--
    }
    await world.serve('slow', slow, { config: { numReplicas: 2, maxConcurrentQueries: 1 } })
    await world.drive(Promise.all(Array.from({ length: 8 }, () => remote(p.client, 'slow'))))
    expect(most).to.equal(2)
  })

  for (const reach of ['node', 'thread'] as const) {
    it(`keeps a call with reach '${reach}' on its node: ERR_OUT_OF_REACH where no replica is`, async () => {
      const world = await MeshWorld.make()
      const p = await world.join('p', { roles: ['caller'] })
      await world.serve('echo', echo)
      const handle = p.client.getHandle('echo').options({ reach })
      expect(await world.codeOf(handle.remote(1) as unknown as Promise<unknown>)).to.equal('ERR_OUT_OF_REACH')
      if (reach === 'thread') return
      const here = world.client.getHandle('echo').options({ reach }).remote(1) as unknown as Promise<unknown>
      expect(await world.drive(here)).to.equal(1)
    })
  }

  it('carries what the handler throws, with its code and cause', async () => {
    const world = await MeshWorld.make()
    await world.join('p', { roles: ['replica'] })
    const fails = (): never => {
      throw new RangeError('too far')
    }
    await world.serve('fails', fails, { config: { numReplicas: 2 } })
    const errors = await Promise.all(
      Array.from({ length: 6 }, () => world.drive(remote(world.client, 'fails')).catch((error: unknown) => error)),
    )
    for (const error of errors) {
      expect(error).to.have.property('code', 'ERR_TASK')
      expect((error as Error).cause).to.have.property('name', 'RangeError')
    }
  })

  it('streams an answer across, as fast as it is read', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'] })
    let made = 0
    const count = async function* (): AsyncGenerator<number> {
      for (let i = 0; i < 1_000; i++) {
        made++
        yield i
      }
    }
    await world.serve('count', count)
    const response = p.client.getHandle('count').remote() as unknown as AsyncIterable<number>
    const iterator = response[Symbol.asyncIterator]()
    expect((await world.drive(iterator.next())).value).to.equal(0)
    await world.settle()
    expect(made).to.be.below(500)
    let sum = 0
    for (let next = await world.drive(iterator.next()); !next.done; next = await world.drive(iterator.next())) sum += next.value
    expect(sum).to.equal((999 * 1_000) / 2)
  })

  it('cancels across', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'] })
    let aborted = false
    const waits = (request: { signal: AbortSignal }): Promise<void> =>
      new Promise((resolve) => {
        request.signal.addEventListener('abort', () => {
          aborted = true
          resolve()
        })
      })
    await world.serve('waits', waits)
    const abort = new AbortController()
    const code = world.codeOf(p.client.getHandle('waits').options({ signal: abort.signal }).remote() as unknown as Promise<unknown>)
    await world.settle()
    abort.abort()
    expect(await code).to.equal('ERR_CANCELLED')
    await world.settle()
    expect(aborted).to.equal(true)
  })

  it('carries a megabyte of typed arrays both ways', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'] })
    await world.serve('echo', echo)
    const floats = new Float32Array(250_000).map((_, i) => i)
    const back = (await world.drive(remote(p.client, 'echo', { floats }))) as { floats: Float32Array }
    expect(back.floats).to.deep.equal(floats)
  })

  it('sends a call elsewhere that a full peer refused, and loses none', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'] })
    const q = await world.join('q', { roles: ['caller'] })
    const s = await world.join('s', { roles: ['caller'] })
    await world.join('r', { roles: ['replica'] })
    const slow = (request: { data: unknown }): Promise<unknown> =>
      new Promise((resolve) => world.clock.after(20, () => resolve(request.data)))
    await world.serve('slow', slow, { config: { numReplicas: 2, maxConcurrentQueries: 2 } })
    const callers = [p, q, s]
    const wave = Array.from({ length: 120 }, (_, i) => remote((callers[i % 3] ?? p).client, 'slow', i))
    expect(await world.drive(Promise.all(wave))).to.deep.equal(Array.from({ length: 120 }, (_, i) => i))
    const counters = callers.map(({ peer }) => peer.queues.get('slow')?.counters)
    expect(counters.map((one) => one?.failed)).to.deep.equal([0, 0, 0])
    expect(counters.reduce((sum, one) => sum + (one?.retried ?? 0), 0)).to.be.above(0)
  })

  it('hands the replicas of a peer that leaves over, and fails no call', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p')
    await world.serve('echo', echo, { config: { numReplicas: 4 } })
    expect(world.spread('echo')).to.deep.equal({ controller: 2, p: 2 })
    const answers: Promise<unknown>[] = []
    const leaving = p.client.close()
    for (let i = 0; i < 50; i++) {
      answers.push(remote(world.client, 'echo', i))
      await world.clock.advance(1)
    }
    await world.drive(leaving)
    expect(await world.drive(Promise.all(answers))).to.deep.equal(Array.from({ length: 50 }, (_, i) => i))
    await world.settle()
    expect(world.spread('echo')).to.deep.equal({ controller: 4 })
    expect(Object.keys((await world.client.status()).nodes)).to.deep.equal(['controller'])
    expect(p.host.alive).to.deep.equal([])
  })

  it('replaces the replicas of a peer that dies at once, and counts no crash', async () => {
    const world = await MeshWorld.make()
    await world.join('p')
    await world.serve('echo', echo, { config: { numReplicas: 8 } })
    world.network.crash('p')
    await world.settle()
    expect(world.spread('echo')).to.deep.equal({ controller: 8 })
    const { backends } = await world.client.status()
    expect(backends.echo).to.deep.include({ ready: 8, crashLooping: false })
  })

  it('notices a silent peer within 5 s, replaces its replicas, and has it stop them when it is back', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p')
    await world.serve('echo', echo, { config: { numReplicas: 4 } })
    world.isolate('p', ['controller'])
    await world.advance(6_500)
    expect(world.spread('echo')).to.deep.equal({ controller: 4 })
    world.network.heal()
    await world.until(() => world.spread('echo').p === 2)
    expect(world.spread('echo')).to.deep.equal({ controller: 2, p: 2 })
    await world.until(() => p.host.alive.length === 2)
    expect(await world.drive(remote(p.client, 'echo', 1))).to.equal(1)
  })

  it('replaces a replica that dies on a peer', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p')
    await world.serve('echo', echo, { config: { numReplicas: 2 } })
    await p.host.alive[0]?.die()
    await world.settle()
    const { backends } = await world.client.status()
    expect(backends.echo).to.deep.include({ wanted: 2, ready: 2 })
  })

  it('changes the config of replicas everywhere', async () => {
    const world = await MeshWorld.make()
    await world.join('p', { roles: ['replica'] })
    let seen: unknown[] = []
    class Tuned {
      value: unknown
      reconfigure(value: unknown): void {
        this.value = value
        seen.push(value)
      }
      call(): unknown {
        return this.value
      }
    }
    await world.serve('tuned', Tuned, { config: { numReplicas: 2, userConfig: 1 } })
    seen = []
    await world.drive(world.client.updateBackendConfig('tuned', { userConfig: 2 }))
    expect(seen).to.deep.equal([2, 2])
  })

  it('wakes a backend that sleeps for the call of a peer', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'] })
    const autoscaling = { minReplicas: 0, maxReplicas: 2, targetOngoingRequests: 1, downscaleDelayMs: 1_000, downscaleToZeroDelayMs: 1_000 }
    await world.serve('echo', echo, { config: { autoscaling } })
    await world.until(() => world.spread('echo').controller === undefined)
    const answer = remote(p.client, 'echo', 'awake')
    await world.until(() => world.spread('echo').controller !== undefined)
    expect(await world.drive(answer)).to.equal('awake')
  })

  it('scales by the calls of its peers', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { roles: ['caller'] })
    const waits = (): Promise<void> => new Promise((resolve) => world.clock.after(60_000, resolve))
    const autoscaling = { minReplicas: 1, maxReplicas: 4, targetOngoingRequests: 1, upscaleDelayMs: 1_000 }
    await world.serve('waits', waits, { config: { autoscaling, requestTimeoutMs: 120_000 } })
    const calls = Array.from({ length: 4 }, () => remote(p.client, 'waits'))
    await world.until(() => world.spread('waits').controller === 4)
    await world.drive(Promise.all(calls), 200_000)
  })

  it('tells whoever watches of peers that come and go', async () => {
    const world = await MeshWorld.make()
    const events = world.client.watch()
    const p = await world.join('p')
    await world.drive(p.client.close())
    await world.settle()
    const kinds: string[] = []
    for (let i = 0; i < 2; i++) {
      const { value } = await events.next()
      if (value.kind === 'peer') kinds.push(`${value.name} ${value.state}`)
    }
    expect(kinds).to.deep.equal(['p joined', 'p left'])
  })

  describe('roles and grants', () => {
    it('keep a peer without the role replica free of replicas', async () => {
      const world = await MeshWorld.make()
      await world.join('p', { roles: ['caller'] })
      await world.serve('echo', echo, { config: { numReplicas: 3 } })
      expect(world.spread('echo')).to.deep.equal({ controller: 3 })
    })

    it('let a peer without the role caller call nothing elsewhere', async () => {
      const world = await MeshWorld.make()
      const p = await world.join('p', { roles: ['replica'], resources: { cpu: 0 } })
      await world.serve('echo', echo, { replicaOptions: { resources: { cpu: 1 } } })
      expect(() => p.client.getHandle('echo'))
        .to.throw()
        .with.property('code', 'ERR_ENDPOINT_NOT_FOUND')
      const liar = await world.stranger('liar', { roles: ['replica'] })
      const reason = new Promise((resolve) => liar.member.link.openPort('backend:echo').onClosed(resolve))
      expect(await world.drive(reason)).to.include('needs the role caller')
    })

    it('let a ticket for one endpoint call no other', async () => {
      const world = await MeshWorld.make()
      await world.serve('open', echo)
      await world.serve('closed', echo)
      const p = await world.join('p', { ticket: { roles: ['caller'], endpoints: ['open'] } })
      expect(await world.drive(remote(p.client, 'open', 1))).to.equal(1)
      expect(() => p.client.getHandle('closed'))
        .to.throw()
        .with.property('code', 'ERR_ENDPOINT_NOT_FOUND')
      const liar = await world.stranger('liar', { ticket: { roles: ['caller'], endpoints: ['open'] } })
      const port = liar.member.link.openPort('backend:closed')
      const answer = new Promise<readonly unknown[]>((resolve) => port.listen((message) => resolve([...message])))
      port.post([1, 5_000, 0, 1, 'open'])
      expect((await world.drive(answer))[3]).to.include({ code: 'ERR_FORBIDDEN', outcome: 'not-started' })
    })

    it('let only controllers edit: ERR_FORBIDDEN', async () => {
      const world = await MeshWorld.make()
      await world.serve('echo', echo)
      const p = await world.join('p')
      const edits = [
        () => p.client.deleteBackend('echo'),
        () => p.client.setTraffic('echo', { echo: 1 }),
        () => p.client.createTicket(),
        () => p.client.shutdown(),
      ]
      for (const edit of edits) expect(await world.codeOf(edit())).to.equal('ERR_FORBIDDEN')
    })

    it('let any member ask', async () => {
      const world = await MeshWorld.make()
      await world.serve('echo', echo)
      const p = await world.join('p')
      const { nodes } = await world.drive(p.client.status())
      expect(Object.keys(nodes).sort()).to.deep.equal(['controller', 'p'])
      expect(Object.keys(await world.drive(p.client.listBackends()))).to.deep.equal(['echo'])
    })

    it('send a peer away for 15 min that offers replicas three times without the role', async () => {
      const world = await MeshWorld.make()
      const liar = await world.stranger('liar', { roles: ['caller'] })
      for (let i = 0; i < 3; i++) {
        expect(Object.keys(world.hub.peers)).to.deep.equal(['liar'])
        liar.control.tell('inventory', { echo: 5 })
        await world.settle()
      }
      expect(Object.keys(world.hub.peers)).to.deep.equal([])
      expect(await world.codeOf(liar.meet('controller'))).to.equal('ERR_BACK_PRESSURE')
      await world.advance(900_000)
      expect(await world.codeOf(liar.meet('controller'))).to.equal('no failure')
    })

    it('send a peer away that edits three times without the role', async () => {
      const world = await MeshWorld.make()
      const liar = await world.stranger('liar')
      const instance = new ControlChannel(liar.member.link.openPort('instance'), { requests: new Map(), told: new Map() })
      for (let i = 0; i < 2; i++) expect(await world.codeOf(instance.request('shutdown', 0))).to.equal('ERR_FORBIDDEN')
      expect(Object.keys(world.hub.peers)).to.deep.equal(['liar'])
      void instance.request('shutdown', 0)
      await world.settle()
      expect(Object.keys(world.hub.peers)).to.deep.equal([])
    })

    it('do not send a peer away whose program asks for edits: it is not asked to make them', async () => {
      const world = await MeshWorld.make()
      const p = await world.join('p')
      for (let i = 0; i < 5; i++) expect(await world.codeOf(p.client.deleteBackend('x'))).to.equal('ERR_FORBIDDEN')
      await world.settle()
      expect(Object.keys(world.hub.peers)).to.deep.equal(['p'])
    })

    it('are counted in metrics where they were not enough', async () => {
      const world = await MeshWorld.make()
      const liar = await world.stranger('liar', { roles: ['caller'] })
      for (let i = 0; i < 3; i++) liar.control.tell('inventory', {})
      await world.settle()
      await world.codeOf(liar.meet('controller'))
      const text = await (await world.drive(world.client.fetch('http://x/-/metrics'))).text()
      expect(text).to.include('shoal_mesh_requests_forbidden_total{} 3\n')
      expect(text).to.include('shoal_mesh_bans_total{} 1\n')
      expect(text).to.include('shoal_mesh_admissions_refused_total{code="ERR_BACK_PRESSURE"} 1\n')
    })

    it('believe a peer no more replicas than it was given', async () => {
      const world = await MeshWorld.make()
      await world.serve('echo', echo, { config: { numReplicas: 2 } })
      const p = await world.join('p', { roles: ['caller'] })
      const liar = await world.stranger('liar')
      await world.settle()
      expect(world.spread('echo')).to.deep.equal({ controller: 1, liar: 1 })
      liar.control.tell('inventory', { echo: 1e9, other: 5 })
      await world.settle()
      expect(p.peer.entries.find(({ id }) => id === 'liar')?.ready).to.deep.equal({ echo: 1 })
    })

    it('bound the replicas of a peer', async () => {
      const world = await MeshWorld.make()
      await world.join('p', { ticket: { maxReplicas: 1 } })
      await world.serve('echo', echo, { config: { numReplicas: 6 } })
      expect(world.spread('echo')).to.deep.equal({ controller: 5, p: 1 })
    })

    it('keep replicas off a peer that nobody vouches for, whatever it says of itself', async () => {
      const world = await MeshWorld.make()
      await world.join('p', { ticket: { trusted: false }, runtime: 'node' })
      await world.join('q', { ticket: { trusted: true }, runtime: 'browser' })
      await world.serve('echo', echo, { config: { numReplicas: 3 } })
      expect(world.spread('echo')).to.deep.equal({ controller: 3 })
    })

    it('let replicas that may be anywhere go to peers that nobody vouches for', async () => {
      const world = await MeshWorld.make()
      await world.join('p', { ticket: { trusted: false } })
      const placement = { untrusted: true }
      await world.serve('echo', echo, { config: { numReplicas: 2 }, replicaOptions: { placement } })
      expect(world.spread('echo')).to.deep.equal({ controller: 1, p: 1 })
    })

    it('leave a peer untrusted when it comes back by its credential', async () => {
      const world = await MeshWorld.make()
      await world.join('p', { ticket: { trusted: false } })
      world.isolate('p', ['controller'])
      await world.until(() => Object.keys(world.hub.peers).length === 0)
      world.network.heal()
      await world.until(() => Object.keys(world.hub.peers).length === 1)
      await world.serve('echo', echo, { config: { numReplicas: 3 } })
      expect(world.spread('echo')).to.deep.equal({ controller: 3 })
    })

    it('are not had by a peer whose ticket is taken back while it is let in', async () => {
      const world = await MeshWorld.make([50, 50])
      const given = await world.client.createTicket()
      const joined = world.codeOf(world.join('p', { given }))
      await world.clock.advance(120)
      await world.client.revokeTicket(given)
      await joined
      expect(Object.keys(world.hub.peers)).to.deep.equal([])
    })

    it('end with the ticket that gave them', async () => {
      const world = await MeshWorld.make()
      const given = await world.client.createTicket()
      const p = await world.join('p', { given })
      await world.join('q')
      await world.serve('echo', echo, { config: { numReplicas: 3 } })
      await world.drive(world.client.revokeTicket(given))
      await world.settle()
      expect(world.spread('echo')).to.deep.equal({ controller: 2, q: 1 })
      await world.advance(60_000)
      expect(Object.keys(world.hub.peers)).to.deep.equal(['q'])
      expect(await world.codeOf(p.client.status())).to.equal('ERR_TICKET_INVALID')
    })
  })
})

const remote = (client: { getHandle(name: string): unknown }, endpoint: string, data?: unknown): Promise<unknown> =>
  (client.getHandle(endpoint) as { remote(data: unknown): Promise<unknown> }).remote(data)

/** The controller's own queue has seen nothing but calls of its peers. */
async function guestsAtController(world: MeshWorld, tag: string): Promise<number> {
  const { backends } = await world.client.status()
  return (backends[tag] as unknown as { calls: { received: number } }).calls.received
}
