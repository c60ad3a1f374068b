import { expect } from 'chai'
import { type ServeError, SILENT } from '../../../core/base/index.ts'
import type { ServeEvent } from '../../../core/controller/index.ts'
import { BundleDesk, BundleIntake, type BundleRefusal } from '../../../core/mesh/index.ts'
import { Asset, type HostedReplica, type ReplicaCode, type ReplicaHost, type ReplicaSpec } from '../../../core/replica/index.ts'
import { type BundleBench, bundleBench, fakeSha256, textBytes } from '../../support/bundle-bench.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { MeshWorld, type WorldPeer } from '../../support/mesh-world.ts'

const echo = (request: { data: unknown }): unknown => request.data

describe('bundles in a mesh', () => {
  it('are fetched from the controller, verified, and started from the copy of the peer', async () => {
    const { world } = await makeWorld()
    const { peer, bench } = await join(world, 'p')
    await world.serve('echo', echo, { config: { numReplicas: 2 } })
    expect(world.spread('echo')).to.deep.equal({ controller: 1, p: 1 })
    expect(bench.store.bytes).to.equal('test:echo'.length)
    expect(codeOf(peer)).to.deep.equal([{ kind: 'module', url: 'test:echo', exportName: 'default' }])
    expect(await world.drive(world.client.getHandle('echo').remote(1) as unknown as Promise<unknown>)).to.equal(1)
  })

  it('are made once for a deploy, and travel once to a peer, however many replicas start', async () => {
    const { world, desk, made } = await makeWorld()
    await join(world, 'p')
    await world.serve('echo', echo, { config: { numReplicas: 8 } })
    expect(world.spread('echo')).to.deep.equal({ controller: 4, p: 4 })
    expect([made.length, desk.shelf.reads]).to.deep.equal([1, 1])
  })

  it('come from a peer that has them, before the controller', async () => {
    const { world, desk } = await makeWorld()
    const p = await join(world, 'p')
    const q = await join(world, 'q')
    await world.serve('echo', echo, { config: { numReplicas: 2 } })
    const first = desk.shelf.reads
    await world.drive(world.client.updateBackendConfig('echo', { numReplicas: 3 }))
    expect(world.spread('echo')).to.deep.equal({ controller: 1, p: 1, q: 1 })
    expect([first, desk.shelf.reads, p.bench.shelf.reads + q.bench.shelf.reads]).to.deep.equal([1, 1, 1])
  })

  it('are refused with a changed byte, reported, and not started: ERR_BUNDLE_MISMATCH', async () => {
    const { world, desk } = await makeWorld()
    const { peer, bench } = await join(world, 'p')
    desk.shelf.isWrong = true
    const events = world.client.watch()
    expect(await world.codeOf(world.serve('echo', echo, { config: { numReplicas: 2 } }))).to.equal('ERR_BUNDLE_MISMATCH')
    const refused = await firstOf(events, 'bundle')
    expect(refused).to.deep.include({ state: 'refused', name: 'p', from: 'controller', digest: await fakeSha256(textBytes('test:echo')) })
    expect([bench.store.bytes, peer.host.replicas.length]).to.deep.equal([0, 0])
  })

  it('come from the controller when another peer gives wrong bytes, which is reported', async () => {
    const { world, desk } = await makeWorld()
    const peers = [await join(world, 'p'), await join(world, 'q')]
    await world.serve('echo', echo, { config: { numReplicas: 2 } })
    for (const { bench } of peers) bench.shelf.isWrong = true
    const events = world.client.watch()
    await world.drive(world.client.updateBackendConfig('echo', { numReplicas: 3 }))
    expect(world.spread('echo')).to.deep.equal({ controller: 1, p: 1, q: 1 })
    expect(await firstOf(events, 'bundle')).to.deep.include({ name: 'q', from: 'p' })
    expect(desk.shelf.reads).to.equal(2)
  })

  it('bring the assets along, as URLs of the peer', async () => {
    const { world } = await makeWorld()
    const { peer, bench } = await join(world, 'p')
    class Reader {
      readonly #asset: Asset
      constructor({ model }: { readonly model: Asset }) {
        this.#asset = model
      }
      call(): string {
        return this.#asset.url
      }
    }
    const initArgs = [{ model: new Asset('test:model', async () => textBytes('')) }]
    await world.serve('reader', Reader, { config: { numReplicas: 2 }, initArgs })
    expect(peer.host.alive[0]?.spec.initArgs).to.deep.equal([{ model: { '\u0000shoal': 'asset', data: 'bytes of test:model' } }])
    expect(bench.store.bytes).to.equal('test:reader'.length + 'bytes of test:model'.length)
  })

  it('are listed no more when their backend is deleted', async () => {
    const { world, desk } = await makeWorld()
    await join(world, 'p')
    await world.serve('echo', echo, { config: { numReplicas: 2 } })
    const digest = await fakeSha256(textBytes('test:echo'))
    const before = desk.desk.isListed(digest)
    await world.drive(world.client.deleteEndpoint('echo'))
    await world.drive(world.client.deleteBackend('echo'))
    await world.settle()
    expect([before, desk.desk.isListed(digest)]).to.deep.equal([true, false])
  })

  it('are made again when the controller has lost them', async () => {
    const { world, desk, made } = await makeWorld()
    await join(world, 'p')
    await world.serve('echo', echo)
    await desk.store.close()
    await world.drive(world.client.updateBackendConfig('echo', { numReplicas: 2 }))
    expect(world.spread('echo')).to.deep.equal({ controller: 1, p: 1 })
    expect(made.length).to.equal(2)
  })

  it('come back to a controller that has lost them from a peer, whatever became of their source', async () => {
    const { world, desk, change } = await makeWorld()
    await join(world, 'p')
    await world.serve('echo', echo, { config: { numReplicas: 2 } })
    await desk.store.close()
    change()
    await join(world, 'q')
    await world.drive(world.client.updateBackendConfig('echo', { numReplicas: 3 }))
    expect(world.spread('echo')).to.deep.equal({ controller: 1, p: 1, q: 1 })
    expect(desk.store.bytes).to.equal('test:echo'.length)
  })

  it('are made again of their source when the peer that has them gives wrong bytes', async () => {
    const { world, desk, made } = await makeWorld()
    const { bench } = await join(world, 'p')
    await world.serve('echo', echo, { config: { numReplicas: 2 } })
    await desk.store.close()
    bench.shelf.isWrong = true
    await world.drive(world.client.updateBackendConfig('echo', { numReplicas: 4 }))
    expect([world.spread('echo'), made.length]).to.deep.equal([{ controller: 2, p: 2 }, 2])
  })

  it('are all listed for a peer that comes, with who has them', async () => {
    const { world, desk } = await makeWorld()
    await join(world, 'p')
    await world.serve('echo', echo, { config: { numReplicas: 2 } })
    const digest = await fakeSha256(textBytes('test:echo'))
    expect(desk.desk.listed('q')).to.deep.equal([{ digest, holders: ['p'] }])
    expect(desk.desk.listed('p')).to.deep.equal([{ digest, holders: [] }])
  })

  it('do not start from a source that has changed since the deploy and is lost: ERR_BUNDLE_MISMATCH', async () => {
    const { world, desk, change } = await makeWorld()
    await join(world, 'p')
    await world.serve('echo', echo)
    await desk.store.close()
    change()
    expect(await world.codeOf(world.client.updateBackendConfig('echo', { numReplicas: 2 }))).to.equal('ERR_BUNDLE_MISMATCH')
  })

  it('are made for a backend that was kept without a digest', async () => {
    const { world, desk } = await makeWorld()
    const { code, initArgs } = await desk.desk.complete({ backend: 'b', code: world.module('echo', echo), initArgs: [] } as never)
    expect(code).to.have.nested.property('bundle.bytes', 'test:echo'.length)
    expect(initArgs).to.deep.equal([])
  })

  it('go to no peer that takes none, which runs what its owner registered', async () => {
    const { world } = await makeWorld()
    const named = new Map<string, ReplicaCode>([['echo', world.module('own', () => 'own')]])
    const p = await world.join('p', { bundles: { store: bundleBench().store, named } })
    await world.serve('other', echo, { config: { numReplicas: 2 } })
    await world.serve('echo', echo, { config: { numReplicas: 2 } })
    expect([world.spread('other'), world.spread('echo')]).to.deep.equal([{ controller: 2 }, { controller: 1, p: 1 }])
    expect(codeOf(p)).to.deep.equal([{ kind: 'module', url: 'test:own', exportName: 'default' }])
  })
})

describe('the door of a peer for code', () => {
  it('lets nothing in that no controller lists: ERR_FORBIDDEN', async () => {
    const { start } = await door()
    const bundle = { digest: 'a'.repeat(64), bytes: 3, name: 'a.mjs', files: [] }
    expect(await start({ kind: 'module', url: 'file:///a.ts', exportName: 'default', bundle })).to.equal('ERR_FORBIDDEN')
  })

  it('lets no module in without a digest: ERR_FORBIDDEN', async () => {
    const { start } = await door()
    expect(await start({ kind: 'module', url: 'file:///a.ts', exportName: 'default' })).to.equal('ERR_FORBIDDEN')
  })

  it('lets source in that is what was listed, whatever the order of its keys', async () => {
    const { start, list, started } = await door()
    await list({ kind: 'source', portable: { source: '() => 1', name: 'one' } })
    expect(await start({ kind: 'source', portable: { name: 'one', source: '() => 1' } })).to.equal('started')
    expect(started.length).to.equal(1)
  })

  for (const [what, code] of [
    ['a changed byte', { kind: 'source', portable: { source: '() => 2' } }],
    ['another file that its imports resolve from', { kind: 'source', portable: { source: '() => 1' }, filename: '/elsewhere' }],
  ] as const) {
    it(`refuses source with ${what}, and reports it: ERR_BUNDLE_MISMATCH`, async () => {
      const { start, list, refusals } = await door()
      await list({ kind: 'source', portable: { source: '() => 1' } })
      expect(await start(code)).to.equal('ERR_BUNDLE_MISMATCH')
      expect(refusals.length).to.equal(1)
    })
  }

  it('refuses an asset that came without a digest: ERR_FORBIDDEN', async () => {
    const { start, list } = await door()
    const code: ReplicaCode = { kind: 'source', portable: { source: 'class {}' } }
    await list(code)
    expect(await start(code, [{ '\u0000shoal': 'asset', data: 'file:///secret' }])).to.equal('ERR_FORBIDDEN')
  })

  it('takes no code at all when it runs what its owner gave: ERR_FORBIDDEN', async () => {
    const { start, list } = await door(new Map())
    const code: ReplicaCode = { kind: 'source', portable: { source: '() => 1' } }
    await list(code)
    expect(await start(code)).to.equal('ERR_FORBIDDEN')
  })
})

interface DeskBench extends BundleBench {
  readonly desk: BundleDesk
}

/** A world whose controller makes a bundle of a module by writing its URL into it. */
async function makeWorld(): Promise<{ world: MeshWorld; desk: DeskBench; made: string[]; change(): void }> {
  const bench = bundleBench()
  const made: string[] = []
  let version = ''
  const desk = new BundleDesk(bench.store, {
    bundle: async (_tag, url) => {
      made.push(url)
      return { name: 'module.mjs', bytes: textBytes(url + version), files: [] }
    },
    readBytes: async (url) => textBytes(`bytes of ${url}`),
  })
  const world = await MeshWorld.make([0, 0], desk)
  return { world, desk: { ...bench, desk }, made, change: () => (version = ' changed') }
}

async function join(world: MeshWorld, name: string): Promise<{ peer: WorldPeer; bench: BundleBench }> {
  const bench = bundleBench()
  return { peer: await world.join(name, { bundles: { store: bench.store } }), bench }
}

const codeOf = ({ host }: WorldPeer): ReplicaCode[] => host.alive.map(({ spec }) => spec.code)

async function firstOf(events: AsyncIterable<ServeEvent>, kind: ServeEvent['kind']): Promise<ServeEvent | undefined> {
  for await (const event of events) if (event.kind === kind) return event
  return undefined
}

/** A peer's door in front of a host that notes what it would start. */
async function door(named?: ReadonlyMap<string, ReplicaCode>) {
  const { store } = bundleBench()
  const refusals: BundleRefusal[] = []
  const started: ReplicaSpec[] = []
  const intake = new BundleIntake(
    { store, named },
    { sources: async () => [], onRefused: (refusal) => refusals.push(refusal) },
    new FakeClock(),
    SILENT,
  )
  const host: ReplicaHost = {
    name: 'noting',
    async start(spec) {
      started.push(spec)
      return { whenGone: new Promise(() => {}) } as unknown as HostedReplica
    },
  }
  const over = intake.over(new Map([['thread', host]])).get('thread') as ReplicaHost
  const toSpec = (code: ReplicaCode, initArgs: readonly unknown[] = []) =>
    ({ backend: 'b', replicaId: 'b#1', code, initArgs }) as unknown as ReplicaSpec
  return {
    refusals,
    started,
    async list(code: ReplicaCode): Promise<void> {
      const desk = new BundleDesk(store, {
        bundle: () => Promise.reject(new TypeError()),
        readBytes: () => Promise.reject(new TypeError()),
      })
      intake.list(await desk.list(toSpec(code), 'p', async () => false))
    },
    async start(code: ReplicaCode, initArgs?: readonly unknown[]): Promise<string> {
      const failure = await over.start(toSpec(code, initArgs), new AbortController().signal).then(
        () => undefined,
        (error: ServeError) => error,
      )
      return failure?.code ?? 'started'
    },
  }
}
