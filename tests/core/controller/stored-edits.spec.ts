import { expect } from 'chai'
import { ServeError, SILENT } from '../../../core/base/index.ts'
import {
  type BackendSpec,
  Controller,
  MemoryStateStore,
  ResourceLedger,
  type StateEdit,
  type StateStore,
  takeInEdits,
} from '../../../core/controller/index.ts'
import { resolveBackendConfig, resolveReplicaOptions, resolveResources } from '../../../core/model/index.ts'
import { InProcessHost } from '../../../core/replica/index.ts'
import { JSON_LIMITS } from '../../../core/request/index.ts'
import { ServeHandle } from '../../../core/router/index.ts'
import { FakeClock, testTurns } from '../../support/fake-clock.ts'
import { seededRandom } from '../../support/seeded-random.ts'

/** A store whose disk can be told to fail. */
class FailingStore implements StateStore {
  failing = false
  readonly #inner: StateStore

  constructor(inner: StateStore) {
    this.#inner = inner
  }

  load(): Promise<ReadonlyMap<string, unknown>> {
    return this.#inner.load()
  }

  async put(edits: readonly StateEdit[]): Promise<void> {
    if (this.failing) throw new ServeError('ERR_STORAGE', 'the disk is full')
    await this.#inner.put(edits)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}

describe('a controller with a store', () => {
  const clock = (): FakeClock => new FakeClock()

  /** Modules are functions by their URL. */
  const controllerOf = (
    store: StateStore,
    modules: Record<string, () => unknown> = { one: () => 1, two: () => 2 },
    time = clock(),
  ): Controller => {
    const turns = testTurns()
    const host = new InProcessHost(
      {
        load: async (code) => {
          const made = code.kind === 'module' ? modules[code.url] : undefined
          if (made === undefined) throw new Error('there is no such module')
          return made
        },
        readBytes: async () => new Uint8Array(),
        connect: () => ({ getHandle: () => undefined }),
      },
      time,
      turns,
    )
    return new Controller({
      hosts: new Map([
        ['thread', host],
        ['inline', host],
      ]),
      jsonLimits: JSON_LIMITS,
      ledger: new ResourceLedger(resolveResources({ cpu: 4 })),
      clock: time,
      turns,
      random: seededRandom(1),
      log: SILENT,
      onEvent: () => {},
      store,
    })
  }

  const spec = (tag: string, url = tag): BackendSpec => ({
    tag,
    code: { kind: 'module', url, exportName: 'default' },
    initArgs: [],
    config: resolveBackendConfig({}),
    replicaOptions: resolveReplicaOptions({}),
  })

  const codeOf = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => 'no failure',
      (error: ServeError) => error.code,
    )

  it('is as before after each edit that could not be kept', async () => {
    const store = new FailingStore(new MemoryStateStore())
    const controller = controllerOf(store)
    await controller.restore()
    await controller.createBackend(spec('one'))
    await controller.createBackend(spec('two'))
    await controller.createEndpoint('api', { backend: 'one' })
    const before = JSON.stringify([controller.listBackends(), controller.listEndpoints()])
    store.failing = true
    const edits: (() => Promise<void>)[] = [
      () => controller.createBackend(spec('three', 'one')),
      () => controller.updateBackendConfig('one', { maxQueuedRequests: 5 }),
      () => controller.replaceBackend(spec('one', 'two')),
      () => controller.deleteBackend('two'),
      () => controller.createEndpoint('other', { backend: 'one' }),
      () => controller.deleteEndpoint('api'),
      () => controller.setTraffic('api', { two: 1 }),
      () => controller.shadowTraffic('api', 'two', 0.5),
    ]
    for (const edit of edits) {
      expect(await codeOf(edit())).to.equal('ERR_STORAGE')
      expect(JSON.stringify([controller.listBackends(), controller.listEndpoints()])).to.equal(before)
    }
    const handle = new ServeHandle('api', controller.router)
    expect(await handle.remote()).to.equal(1)
    await controller.close(0)
  })

  it('hands what was kept to the next one, traffic and shadows included', async () => {
    const values = new Map<string, unknown>()
    const first = controllerOf(new MemoryStateStore(values))
    await first.restore()
    await first.createBackend(spec('one'))
    await first.createBackend(spec('two'))
    await first.createEndpoint('api', { backend: 'one', route: '/api', methods: ['POST'], callMethods: ['call'] })
    await first.setTraffic('api', { one: 0.25, two: 0.75 })
    await first.shadowTraffic('api', 'one', 0.5)
    const before = [first.listBackends(), first.listEndpoints()]
    await first.close(0)
    const second = controllerOf(new MemoryStateStore(values))
    await second.restore()
    expect([second.listBackends(), second.listEndpoints()]).to.deep.equal(before)
    await second.close(0)
  })

  it('takes away in the next deployment what one before the restart has brought', async () => {
    const values = new Map<string, unknown>()
    const first = controllerOf(new MemoryStateStore(values))
    await first.restore()
    await first.deploy({ backends: [spec('one'), spec('two')], endpoints: [] })
    await first.close(0)
    const second = controllerOf(new MemoryStateStore(values))
    await second.restore()
    await second.deploy({ backends: [spec('two')], endpoints: [] })
    expect(Object.keys(second.listBackends())).to.deep.equal(['two'])
    await second.close(0)
  })

  it('tries a stored backend again that does not start, and serves it once it does', async () => {
    const values = new Map<string, unknown>()
    const first = controllerOf(new MemoryStateStore(values))
    await first.restore()
    await first.createBackend(spec('one'))
    await first.createEndpoint('api', { backend: 'one' })
    await first.close(0)
    const modules: Record<string, () => unknown> = {}
    const time = clock()
    const second = controllerOf(new MemoryStateStore(values), modules, time)
    await second.restore()
    const readyAtFirst = second.backendStatus.one?.ready
    modules.one = () => 1
    await time.advance(1_000)
    expect([readyAtFirst, second.backendStatus.one?.ready]).to.deep.equal([0, 1])
    await second.close(0)
  })

  it('takes in what others have put into the store meanwhile, and leaves alone what runs as it should', async () => {
    const [here, there] = [new Map<string, unknown>(), new Map<string, unknown>()]
    const controller = controllerOf(new MemoryStateStore(here))
    await controller.restore()
    for (const tag of ['one', 'two']) await controller.createBackend(spec(tag))
    await controller.createBackend({ ...spec('inline'), code: { kind: 'inline', value: () => 0 } })
    for (const name of ['api', 'gone', 'inline']) await controller.createEndpoint(name, { backend: name === 'inline' ? 'inline' : 'one' })
    const before = Object.keys(controller.backendStatus.one?.replicas ?? {})
    const other = controllerOf(new MemoryStateStore(there))
    await other.restore()
    await other.createBackend(spec('one'))
    await other.createBackend(spec('three', 'two'))
    await other.createEndpoint('api', { backend: 'three' })
    await other.createEndpoint('new', { backend: 'one', route: '/new' })
    await other.updateBackendConfig('one', { maxQueuedRequests: 7, numReplicas: 2 })
    await other.close(0)
    for (const key of ['endpoint/gone', 'backend/two']) here.delete(key)
    for (const [key, value] of there) here.set(key, value)
    await takeInEdits(controller.parts)
    await controller.deleteBackend('none')
    expect(Object.keys(controller.listEndpoints()).sort()).to.deep.equal(['api', 'inline', 'new'])
    expect(Object.keys(controller.listBackends()).sort()).to.deep.equal(['inline', 'one', 'three'])
    expect(controller.listBackends().one).to.deep.include({ maxQueuedRequests: 7, numReplicas: 2 })
    expect(Object.keys(controller.backendStatus.one?.replicas ?? {})).to.include.members(before)
    expect(await new ServeHandle('api', controller.router).remote()).to.equal(2)
    await controller.close(0)
  })

  it('is as before where what others have put does not start, and says so', async () => {
    const values = new Map<string, unknown>()
    const controller = controllerOf(new MemoryStateStore(values))
    await controller.restore()
    await controller.createBackend(spec('one'))
    await controller.createEndpoint('api', { backend: 'one' })
    values.set('backend/one', { ...(values.get('backend/one') as object), code: { kind: 'module', url: 'none', exportName: 'default' } })
    expect(await codeOf(takeInEdits(controller.parts))).to.equal('ERR_BACKEND_START_FAILED')
    expect(await new ServeHandle('api', controller.router).remote()).to.equal(1)
    await controller.close(0)
  })

  it('refuses to come up on values that it cannot read', async () => {
    const controller = controllerOf(new MemoryStateStore(new Map([['backend/one', { tag: 'one', config: { numReplicas: 'many' } }]])))
    expect(await codeOf(controller.restore())).to.equal('ERR_STORAGE')
    await controller.close(0)
  })
})
