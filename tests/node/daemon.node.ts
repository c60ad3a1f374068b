import { existsSync, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'chai'
import * as serve from '../../node/index.ts'
import { attachToInstance } from '../../node/instance-socket-client.ts'
import { socketPathOf } from '../../node/instance-socket-folder.ts'
import { isRunning } from '../../node/is-running.ts'
import { type InstanceFolders, useInstanceFolders } from '../support/instance-folders.ts'

/** Longest wait for a detached instance that was killed; idle machines need a fraction of it. */
const BACK_WITHIN_MS = 15_000
const KILLS = 3

type Client = Awaited<ReturnType<typeof serve.start>>

const adder = serve.module(new URL('./fixtures/adder.ts', import.meta.url), 'Adder')
const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code
const failureOf = (work: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(work).then(
    () => expect.fail('it did not fail'),
    (error: unknown) => error,
  )

const filesBelow = (folder: string): string[] => readdirSync(folder, { recursive: true }).map(String)

describe('a detached instance', function () {
  this.timeout(60_000)

  let folders: InstanceFolders
  let names: string[] = []

  const start = (name: string, options: serve.StartOptions = {}): Promise<Client> => {
    names.push(name)
    return serve.start({ name, detached: true, http: false, ...options })
  }

  /** The instance and its supervisor. */
  const processesOf = async (name: string): Promise<readonly number[]> => {
    const instance = await attachToInstance(name)
    await instance.close()
    return instance.greeting.processes
  }

  const kill = async (name: string): Promise<void> => {
    const [pid = 0] = await processesOf(name)
    process.kill(pid, 'SIGKILL')
    while (isRunning(pid)) await delay(5)
  }

  /** Attaches as soon as it answers again. */
  const reattached = async (name: string): Promise<Client> => {
    const stopAtMs = performance.now() + BACK_WITHIN_MS
    for (;;) {
      try {
        return await serve.connect({ name })
      } catch (error) {
        if (performance.now() > stopAtMs) throw error
        await delay(20)
      }
    }
  }

  beforeEach(() => {
    folders = useInstanceFolders()
  })

  afterEach(async () => {
    // A socket file is there also while an instance that was killed is on its way back.
    for (const name of new Set(names)) {
      if (!existsSync(socketPathOf(name))) continue
      const client = await reattached(name).catch(() => undefined)
      await client?.shutdown({ timeoutMs: 0 })
    }
    names = []
    folders.remove()
  })

  it('goes on without the client that started it', async () => {
    const client = await start('lives')
    await client.createBackend('echo', (request: serve.ServeRequest) => request.data)
    await client.createEndpoint('echo', { backend: 'echo' })
    await client.close()
    const next = await serve.connect({ name: 'lives' })
    expect(await next.getHandle('echo').remote(1)).to.equal(1)
    await next.close()
  })

  it('is one of its name, and others coexist apart from it', async () => {
    const client = await start('one')
    await client.createBackend('only-here', () => 1)
    const second = await failureOf(start('one'))
    const other = await start('two')
    expect([codeOf(second), await other.listBackends()]).to.deep.equal(['ERR_INSTANCE_EXISTS', {}])
  })

  it('ends with its supervisor at shutdown, and takes its socket along', async () => {
    const client = await start('ends')
    const processes = await processesOf('ends')
    await client.shutdown()
    expect([processes.map(isRunning), existsSync(socketPathOf('ends'))]).to.deep.equal([[false, false], false])
  })

  it('is back on the same port after kill -9, with all that was acknowledged', async () => {
    const client = await start('killed', { http: { port: 0 } })
    const url = client.http?.url
    await client.createBackend('by-value', (request: serve.ServeRequest) => `got ${request.data}`)
    await client.createBackend('adder', adder, { initArgs: [2], config: { numReplicas: 2 } })
    await client.createEndpoint('api', { backend: 'by-value', route: '/api' })
    await client.createEndpoint('adder', { backend: 'adder' })
    await client.setTraffic('api', { 'by-value': 0.75, adder: 0.25 })
    await client.updateBackendConfig('adder', { maxQueuedRequests: 7 })
    const before = [await client.listEndpoints(), await client.listBackends()]
    await kill('killed')
    const again = await reattached('killed')
    expect([await again.listEndpoints(), await again.listBackends()]).to.deep.equal(before)
    expect([again.http?.url, await again.getHandle('adder').remote(1)]).to.deep.equal([url, 3])
  })

  it('has every acknowledged edit after each of several kills', async () => {
    let client = await start('loop')
    await client.createBackend('echo', (request: serve.ServeRequest) => request.data)
    const acknowledged: string[] = []
    for (let life = 0; life < KILLS; life++) {
      const failure = failureOf(
        (async () => {
          for (let i = 0; ; i++) {
            await client.createEndpoint(`e${life}-${i}`, { backend: 'echo' })
            acknowledged.push(`e${life}-${i}`)
          }
        })(),
      )
      const wanted = acknowledged.length + 10
      while (acknowledged.length < wanted) await delay(1)
      await kill('loop')
      await failure
      client = await reattached('loop')
      expect(Object.keys(await client.listEndpoints()), `life ${life}`).to.include.members(acknowledged)
    }
  })

  it('is the mesh that it was after a kill, and leaves no key behind at shutdown', async () => {
    const quiet = { debug() {}, info() {}, warn() {}, error() {} }
    const client = await start('keyed', { mesh: true })
    const [first, second] = await Promise.all([client.createTicket(), client.createTicket()])
    const before = await serve.join(first, { name: 'before', logger: quiet })
    await kill('keyed')
    const again = await reattached('keyed')
    const after = await serve.join(second, { name: 'after', logger: quiet })
    const names = async (): Promise<string[]> => Object.values((await again.status()).nodes).map(({ name }) => name)
    while (!(await names()).includes('before')) await delay(20)
    await Promise.all([before.close(), after.close()])
    await again.shutdown()
    expect(filesBelow(folders.folder).filter((file) => file.endsWith('.key'))).to.deep.equal([])
  })

  it('says that a port is in use, and leaves nothing running', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as AddressInfo
    const error = await failureOf(start('refused', { http: { port } }))
    server.close()
    expect([codeOf(error), codeOf(await failureOf(serve.connect({ name: 'refused' })))]).to.deep.equal([
      'ERR_HTTP_LISTEN',
      'ERR_NO_INSTANCE',
    ])
  })

  it('takes middlewares by module, and refuses functions and a logger', async () => {
    const middlewares = serve.module(new URL('./fixtures/adder.ts', import.meta.url), 'middlewares')
    const client = await start('middlewares', { http: { port: 0, middlewares } })
    const { headers } = await fetch(`${client.http?.url}/-/healthz`)
    const withFunction = await failureOf(start('no', { http: { port: 0, middlewares: [async (_context: never, next) => next()] } }))
    const withLogger = await failureOf(start('no', { logger: { debug() {}, info() {}, warn() {}, error() {} } }))
    expect([headers.get('x-outer'), codeOf(withFunction), codeOf(withLogger)]).to.deep.equal(['yes', 'ERR_UNSUPPORTED', 'ERR_UNSUPPORTED'])
  })

  it('starts empty after a shutdown, unless the folder of its state was given', async () => {
    const storage = join(folders.folder, 'kept')
    const left: unknown[] = []
    for (const options of [{}, { storage }]) {
      const first = await start('again', options)
      await first.createBackend('adder', adder, { initArgs: [1] })
      await first.shutdown()
      const second = await start('again', options)
      left.push(Object.keys(await second.listBackends()))
      await second.shutdown()
    }
    expect(left).to.deep.equal([[], ['adder']])
  })
})

describe('the storage of an instance', () => {
  let folders: InstanceFolders
  const quiet = { debug() {}, info() {}, warn() {}, error() {} }
  const start = (options: serve.StartOptions = {}): Promise<Client> =>
    serve.start({ http: false, logger: quiet, storage: join(folders.folder, 'storage'), ...options })

  beforeEach(() => {
    folders = useInstanceFolders()
  })

  afterEach(() => folders.remove())

  it('brings back backends and endpoints, and forgets what was deleted', async () => {
    const first = await start()
    await first.createBackend('adder', adder, { initArgs: [1] })
    await first.createBackend('gone', () => 1)
    await first.createEndpoint('adder', { backend: 'adder' })
    await first.createEndpoint('gone', { backend: 'gone' })
    await first.deleteEndpoint('gone')
    await first.deleteBackend('gone')
    await first.close()
    const second = await start()
    const answer = await second.getHandle('adder').remote(1)
    const names = [Object.keys(await second.listBackends()), Object.keys(await second.listEndpoints())]
    await second.close()
    expect([answer, names]).to.deep.equal([2, [['adder'], ['adder']]])
  })

  it('does not bring back inline backends, nor the endpoints that name them', async () => {
    const first = await start()
    await first.createBackend('inline', () => 1, { replicaOptions: { isolation: 'inline' } })
    await first.createEndpoint('inline', { backend: 'inline' })
    await first.close()
    const second = await start()
    const left = [await second.listBackends(), await second.listEndpoints()]
    await second.close()
    expect(left).to.deep.equal([{}, {}])
  })

  it('comes up without a backend that no longer starts, and keeps it', async () => {
    const first = await start()
    await first.createBackend(
      'once',
      class {
        constructor(file: string) {
          const fs = process.getBuiltinModule('node:fs')
          if (fs.existsSync(file)) throw new Error('there already')
          fs.writeFileSync(file, '')
        }
        call(): number {
          return 1
        }
      },
      { initArgs: [join(folders.folder, 'mark')] },
    )
    await first.createBackend('adder', adder, { initArgs: [1] })
    await first.close()
    const second = await start()
    const { backends } = await second.status()
    await second.close()
    expect([backends.once?.ready, backends.adder?.ready]).to.deep.equal([0, 1])
  })

  it('is refused to a second instance with ERR_STORAGE', async () => {
    const first = await start()
    const error = await failureOf(start())
    await first.close()
    expect(codeOf(error)).to.equal('ERR_STORAGE')
  })
})
