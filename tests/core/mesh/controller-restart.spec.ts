import { expect } from 'chai'
import type { Client } from '../../../core/api/index.ts'
import { BundleDesk } from '../../../core/mesh/index.ts'
import { type BundleBench, bundleBench, textBytes } from '../../support/bundle-bench.ts'
import { MeshWorld } from '../../support/mesh-world.ts'

/** A class whose every replica says which it is: the same answer before and after means the same replica. */
function numbered(): { new (): { call(): number; reconfigure(value: unknown): void }; made: number; tuned: unknown[] } {
  return class Numbered {
    static made = 0
    static tuned: unknown[] = []
    readonly number: number = ++Numbered.made
    reconfigure(value: unknown): void {
      Numbered.tuned.push(value)
    }
    call(): number {
      return this.number
    }
  }
}

/** A controller that hosts nothing itself, so that a crash of it takes no replica along, and two peers with two replicas each. */
async function worldOfPeers(config: object = { numReplicas: 4 }) {
  const world = await MeshWorld.kept()
  const [p, q] = [await world.join('p'), await world.join('q')]
  const target = numbered()
  await world.serve('count', target, { config, replicaOptions: { placement: { labels: {} } } })
  return { world, p, q, target }
}

const remote = (client: Client, endpoint: string, data?: unknown): Promise<unknown> =>
  client.getHandle(endpoint).remote(data) as unknown as Promise<unknown>

describe('a controller that is started again', () => {
  it('adopts the replicas that its peers run, and restarts none', async () => {
    const world = await MeshWorld.kept()
    const p = await world.join('p')
    const target = numbered()
    await world.serve('count', target, { config: { numReplicas: 4 } })
    expect(world.spread('count')).to.deep.equal({ controller: 2, p: 2 })
    const before = p.host.alive
    await world.crashController()
    await world.startController()
    await world.until(() => world.spread('count').p === 2)
    expect([p.host.alive, world.spread('count')]).to.deep.equal([before, { controller: 2, p: 2 }])
    // Two of the controller's own went with it.
    expect(target.made).to.equal(6)
  })

  it('fails no call of a peer meanwhile', async () => {
    const { world, p, q } = await worldOfPeers({ numReplicas: 3 })
    expect(world.spread('count')).to.deep.equal({ controller: 1, p: 1, q: 1 })
    const answers: Promise<unknown>[] = []
    const load = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 20) {
        for (const { client } of [p, q]) answers.push(remote(client, 'count'))
        await world.clock.advance(20)
      }
    }
    // What runs in the controller itself dies with it: it is given nothing to do.
    await world.crashController()
    await load(3_000)
    await world.startController()
    await load(8_000)
    const outcomes = await world.drive(Promise.allSettled(answers))
    expect(outcomes.filter(({ status }) => status === 'rejected')).to.deep.equal([])
  })

  it('has its state, and takes edits again', async () => {
    const { world, p } = await worldOfPeers()
    const before = [await world.client.listBackends(), await world.client.listEndpoints()]
    await world.crashController()
    await world.startController()
    expect([await world.client.listBackends(), await world.client.listEndpoints()]).to.deep.equal(before)
    await world.until(() => world.hub.peers.p !== undefined)
    await world.drive(world.client.createEndpoint('again', { backend: 'count' }))
    expect(await world.drive(remote(p.client, 'again'))).to.be.a('number')
  })

  it('leads under a greater term each time', async () => {
    const { world } = await worldOfPeers()
    expect(world.hub.epoch.term).to.equal(1)
    await world.crashController()
    await world.startController()
    expect(world.hub.epoch.term).to.equal(2)
  })

  it('gives peers a table of the new term without a step back to an empty one', async () => {
    const { world, p } = await worldOfPeers()
    const seen = new Set<boolean>()
    await world.crashController()
    await world.startController()
    for (let i = 0; i < 400; i++) {
      seen.add(p.client.getHandle('count') !== undefined && p.peer.table.endpoints.has('count'))
      await world.clock.advance(20)
    }
    expect([...seen]).to.deep.equal([true])
  })

  it('takes peers back that come after it has started others in their place, and lets those go', async () => {
    const { world, p, q, target } = await worldOfPeers()
    const before = [...p.host.alive, ...q.host.alive]
    await world.crashController()
    world.isolate('p', ['controller'])
    world.isolate('q', ['controller'])
    await world.startController()
    await world.advance(3_000)
    expect(world.spread('count')).to.deep.equal({ controller: 4 })
    world.network.heal()
    await world.until(() => world.spread('count').p !== undefined && world.spread('count').q !== undefined)
    await world.advance(30_000)
    expect([...p.host.alive, ...q.host.alive]).to.deep.equal(before)
    expect(Object.values(world.spread('count')).reduce((sum, count) => sum + count)).to.equal(4)
    expect(world.host.alive.length + p.host.alive.length + q.host.alive.length).to.equal(4)
    expect(target.made).to.be.at.most(9)
  })

  it('has what it wants of a peer back, and lets go of what it has started at another one meanwhile', async () => {
    const world = await MeshWorld.kept()
    const [p, q] = [await world.join('p', { labels: { at: 'peer' } }), await world.join('q', { labels: { at: 'peer' } })]
    const replicaOptions = { placement: { labels: { at: 'peer' } } }
    await world.serve('count', numbered(), { config: { numReplicas: 4 }, replicaOptions })
    const before = [...p.host.alive, ...q.host.alive]
    await world.crashController()
    world.isolate('p', ['controller'])
    await world.startController()
    await world.advance(6_000)
    expect(world.spread('count')).to.deep.equal({ q: 4 })
    const calls = [1, 2, 3].map(() => remote(q.client, 'count'))
    world.network.heal()
    await world.until(() => world.spread('count').p === 2)
    await world.advance(1_000)
    await world.drive(Promise.all(calls))
    expect([...p.host.alive, ...q.host.alive]).to.deep.equal(before)
  })

  it('brings limits and userConfig of adopted replicas up to date', async () => {
    const { world, p, target } = await worldOfPeers({ numReplicas: 2, userConfig: 1 })
    const before = p.host.alive
    await world.crashController()
    editKept(world, (spec) => ({ ...spec, config: { ...spec.config, userConfig: 2 } }))
    target.tuned = []
    await world.startController()
    await world.until(() => world.spread('count').p !== undefined)
    expect(p.host.alive).to.deep.equal(before)
    // One that was adopted, and one that was started anew in the controller.
    expect([world.spread('count'), target.tuned]).to.deep.equal([{ controller: 1, p: 1 }, [2, 2]])
  })

  it('stops what nobody wants any more: other code, and too many', async () => {
    const { world, p, q } = await worldOfPeers({ numReplicas: 6 })
    const before = [...p.host.alive, ...q.host.alive]
    expect(before).to.have.length(4)
    await world.crashController()
    editKept(world, (spec) => ({ ...spec, config: { ...spec.config, numReplicas: 2 } }))
    await world.startController()
    await world.advance(15_000)
    const after = [...world.host.alive, ...p.host.alive, ...q.host.alive]
    expect(after).to.have.length(2)
    expect(after.filter((replica) => before.includes(replica))).to.have.length(2)
    await world.crashController()
    editKept(world, (spec) => ({ ...spec, initArgs: ['other'] }))
    await world.startController()
    await world.advance(15_000)
    const anew = [...world.host.alive, ...p.host.alive, ...q.host.alive]
    expect(anew.map(({ spec }) => spec.initArgs)).to.deep.equal([['other'], ['other']])
  })

  it('lets others call what it has not adopted yet', async () => {
    const { world, p, q } = await worldOfPeers({ numReplicas: 6 })
    await world.crashController()
    editKept(world, (spec) => ({ ...spec, config: { ...spec.config, numReplicas: 1 } }))
    await world.startController()
    await world.advance(2_500)
    const r = await world.join('r', { roles: ['caller'] })
    expect(r.peer.entries.find(({ id }) => id === 'p')?.ready).to.deep.equal({ count: 2 })
    expect([p.host.alive.length, q.host.alive.length]).to.deep.equal([2, 2])
  })

  it('has what it wants once it is back in the middle of a replacement, and neither more nor other', async () => {
    const { world, p, q } = await worldOfPeers()
    const before = [...p.host.alive, ...q.host.alive]
    const isNew = ({ initArgs }: { readonly initArgs: readonly unknown[] }): boolean => initArgs[0] === 'new'
    // The new ones that start at the controller never get ready.
    world.host.onStart = (spec) => (isNew(spec) ? new Promise(() => {}) : undefined)
    const target = { [Symbol.for('shoal.ModuleTarget')]: true, url: 'test:count', exportName: 'default' }
    world.client
      .createBackend('count', target as never, { config: { numReplicas: 4 }, initArgs: ['new'], ifExists: 'replace' })
      .catch(() => undefined)
    await world.until(() => [...p.host.alive, ...q.host.alive].some(({ spec }) => isNew(spec)))
    await world.crashController()
    await world.startController()
    await world.advance(40_000)
    expect([...p.host.alive, ...q.host.alive].filter(({ spec }) => isNew(spec))).to.deep.equal([])
    expect([...p.host.alive, ...q.host.alive]).to.include.members(before)
    expect((await world.client.status()).backends.count).to.deep.include({ wanted: 4, ready: 4 })
  })

  it('takes one that runs already instead of one that is slow to start', async () => {
    const { world, p, q } = await worldOfPeers({ numReplicas: 3 })
    const before = [...p.host.alive, ...q.host.alive]
    await world.crashController()
    world.isolate('p', ['controller'])
    world.isolate('q', ['controller'])
    const starting = world.startController({ onStart: () => new Promise(() => {}) })
    await world.advance(10_000)
    world.network.heal()
    await world.until(() => Object.keys(world.hub.peers).length === 2)
    await world.advance(1_000)
    expect([...p.host.alive, ...q.host.alive]).to.deep.equal(before)
    expect((await world.client.status()).backends.count?.ready).to.equal(2)
    void starting
  })

  it('keeps what scales by load until the load is known', async () => {
    const autoscaling = { minReplicas: 1, maxReplicas: 4, targetOngoingRequests: 1, upscaleDelayMs: 1_000 }
    const world = await MeshWorld.kept()
    const p = await world.join('p')
    const waits = (): Promise<void> => new Promise((resolve) => world.clock.after(60_000, resolve))
    await world.serve('waits', waits, { config: { autoscaling, requestTimeoutMs: 120_000 } })
    const calls = Array.from({ length: 4 }, () => remote(p.client, 'waits'))
    await world.until(() => p.host.alive.length === 2)
    await world.crashController()
    const before = p.host.alive
    // Those that ran in the controller are gone with it; these wait where they began.
    calls.push(...Array.from({ length: 4 }, () => remote(p.client, 'waits')))
    await world.startController()
    await world.advance(12_000)
    expect(p.host.alive).to.include.members(before)
    await world.drive(Promise.allSettled(calls), 200_000)
  })
})

describe('a controller that is started again without its bundles', () => {
  it('has them from its peers', async () => {
    const deskOf = (bench: BundleBench, makes: (url: string) => Promise<Uint8Array>): BundleDesk =>
      new BundleDesk(bench.store, {
        bundle: async (_tag, url) => ({ name: 'bundle.mjs', bytes: await makes(url), files: [] }),
        readBytes: async () => textBytes(''),
      })
    const world = await MeshWorld.kept(deskOf(bundleBench(), async (url) => textBytes(url)))
    const join = (name: string) => world.join(name, { bundles: { store: bundleBench().store } })
    const p = await join('p')
    const target = numbered()
    await world.serve('count', target, { config: { numReplicas: 2 } })
    const before = p.host.alive
    await world.crashController()
    const gone = (): Promise<never> => Promise.reject(new TypeError('the file is gone'))
    const bench = bundleBench()
    await world.startController({ bundles: deskOf(bench, gone) })
    await world.until(() => world.spread('count').p === 1)
    expect(p.host.alive).to.deep.equal(before)
    const q = await join('q')
    await world.drive(world.client.updateBackendConfig('count', { numReplicas: 6 }))
    expect(q.host.alive.length).to.be.above(0)
    expect(bench.store.bytes).to.equal('test:count'.length)
  })
})

describe('a controller of a lesser term', () => {
  it('is not obeyed by a peer that obeyed a greater one, and hears of that', async () => {
    const { world, p } = await worldOfPeers()
    await world.crashController()
    await world.startController()
    await world.until(() => world.hub.peers.p !== undefined)
    await world.advance(3_000)
    await world.crashController()
    const { alive } = p.host
    const { table } = p.peer
    // Its storage was lost: for all it knows its mesh is new.
    world.disk?.clear()
    await world.startController()
    await world.advance(30_000)
    expect(world.greater).to.deep.equal({ term: 2, controllerId: 'controller' })
    expect(Object.keys(world.hub.peers)).to.deep.equal([])
    expect([p.host.alive, p.peer.table]).to.deep.equal([alive, table])
    expect(await world.codeOf(p.client.deleteEndpoint('count'))).to.equal('ERR_NO_CONTROLLER')
  })
})

/** As an edit does that was kept, and whose word to the peers was lost. */
function editKept(world: MeshWorld, change: (spec: KeptSpec) => object): void {
  const disk = world.disk as Map<string, { readonly value: KeptSpec }>
  const kept = disk.get('entry/backend/count')
  if (kept !== undefined) disk.set('entry/backend/count', { ...kept, value: change(kept.value) as KeptSpec })
}

interface KeptSpec {
  readonly config: object
}
