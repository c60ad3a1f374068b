import { expect } from 'chai'
import * as serve from '../../browser/index.ts'

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/** Starts an instance for one test and gives a client; all are closed after it. */
const clients: serve.Client[] = []
async function start(options: serve.StartOptions = {}): Promise<serve.Client> {
  const client = await serve.start({ logger: SILENT, ...options })
  clients.push(client)
  return client
}
const codeOf = (work: PromiseLike<unknown>): Promise<string | undefined> =>
  Promise.resolve(work).then(
    () => undefined,
    (error: { code?: string }) => error.code ?? String(error),
  )

async function serving(target: serve.BackendTarget, options: serve.BackendOptions = {}): Promise<serve.Client> {
  const client = await start()
  await client.createBackend('backend', target, options)
  await client.createEndpoint('endpoint', { backend: 'backend', route: '/api', methods: ['GET', 'POST'] })
  return client
}

describe('an instance in a page', () => {
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.shutdown({ timeoutMs: 0 })))
  })

  it('answers by a function in a Web Worker', async () => {
    const client = await serving((request) => [request.data, typeof document, typeof DedicatedWorkerGlobalScope])
    expect(await client.getHandle('endpoint').remote('hello')).to.deep.equal(['hello', 'undefined', 'function'])
  })

  it('answers by a class in a Web Worker, constructed with its initArgs', async () => {
    class Counter {
      count: number
      constructor(from: number) {
        this.count = from
      }
      call() {
        this.count++
        return this.count
      }
    }
    const client = await serving(Counter, { initArgs: [3] })
    const handle = client.getHandle('endpoint')
    expect([await handle.remote(), await handle.remote()]).to.deep.equal([4, 5])
  })

  it('answers several requests as one batch', async () => {
    const client = await serving(
      serve.acceptBatch((requests: { data: number }[]) => requests.map((request) => `${request.data} of ${requests.length}`)),
      { config: { maxBatchSize: 4, batchWaitTimeoutMs: 1_000 } },
    )
    const handle = client.getHandle('endpoint')
    expect(await Promise.all([1, 2, 3, 4].map((n) => handle.remote(n)))).to.deep.equal(['1 of 4', '2 of 4', '3 of 4', '4 of 4'])
  })

  it('gives the parts of a stream as they come', async () => {
    const client = await serving(async function* parts() {
      yield 1
      yield 2
    })
    const parts: unknown[] = []
    for await (const part of client.getHandle('endpoint').remote()) parts.push(part)
    expect(parts).to.deep.equal([1, 2])
  })

  it('answers client.fetch through its gateway', async () => {
    const client = await serving(async (request) => ({ got: await request.json(), by: request.method }))
    const response = await client.fetch('/api', {
      method: 'POST',
      body: JSON.stringify([1]),
      headers: { 'content-type': 'application/json' },
    })
    expect([response.status, await response.json()]).to.deep.equal([200, { got: [1], by: 'POST' }])
  })

  it('puts the middlewares of http in front of client.fetch', async () => {
    const outer: serve.HttpMiddleware = async (context, next) => {
      await next()
      ;(context as { header(name: string, value: string): void }).header('x-outer', 'seen')
    }
    const client = await start({ http: { middlewares: [outer] } })
    const response = await client.fetch('/-/healthz')
    expect([response.status, response.headers.get('x-outer')]).to.deep.equal([200, 'seen'])
  })

  it('serves a function beside its caller when it is inline', async () => {
    const seen: unknown[] = []
    const client = await serving((request: { data: unknown }) => seen.push(request.data), { replicaOptions: { isolation: 'inline' } })
    await client.getHandle('endpoint').remote('here')
    expect(seen).to.deep.equal(['here'])
  })

  it('loads a module by its URL in the worker', async () => {
    const client = await serving(serve.module(new URL('./fixtures/greeter.js', import.meta.url), 'Greeter'), { initArgs: ['hello'] })
    expect(await client.getHandle('endpoint').remote('you')).to.equal('hello, you')
  })

  it('starts the worker that the factory of serve.worker makes', async () => {
    const target = serve.worker((W: typeof Worker) => new W(new URL('./fixtures/exposed.worker.ts', import.meta.url), { type: 'module' }))
    const client = await serving(target)
    expect(await client.getHandle('endpoint').remote(4)).to.equal(8)
  })

  it('brings a handle and an asset in initArgs to life in the worker', async () => {
    const client = await serving((request) => (request.data as number) + 1)
    class Caller {
      next: { remote(data: unknown): Promise<number> }
      file: serve.Asset
      constructor(next: Caller['next'], file: serve.Asset) {
        this.next = next
        this.file = file
      }
      async call(request: { data: number }) {
        return [await this.next.remote(request.data), (await this.file.bytes()).length]
      }
    }
    const file = serve.asset(new URL('data:application/octet-stream;base64,AQID'))
    await client.createBackend('caller', Caller, { initArgs: [client.getHandle('endpoint'), file] })
    await client.createEndpoint('caller', { backend: 'caller' })
    expect(await client.getHandle('caller').remote(1)).to.deep.equal([2, 3])
  })

  it('resolves a relative import() from the file that gave the function', async () => {
    const client = await serving(async () => {
      // @ts-expect-error: a fixture without types
      const { Greeter } = await import('./fixtures/greeter.js')
      return new Greeter('hi').call({ data: 'there' })
    })
    expect(await client.getHandle('endpoint').remote()).to.equal('hi, there')
  })

  it('refuses a function that needs a name from outside with ERR_BACKEND_NOT_PORTABLE', async () => {
    const captured = 4
    const client = await start()
    expect(await codeOf(client.createBackend('backend', () => captured))).to.equal('ERR_BACKEND_NOT_PORTABLE')
  })

  it('refuses an import() whose address is no literal with ERR_BACKEND_NOT_PORTABLE', async () => {
    const client = await start()
    const target = (request: { data: string }) => import(request.data)
    expect(await codeOf(client.createBackend('backend', target))).to.equal('ERR_BACKEND_NOT_PORTABLE')
  })

  for (const [what, failing] of Object.entries({
    'an error outside of a call': "setTimeout(() => { throw new TypeError('late') }, 0)",
    'an unhandled rejection': "void Promise.reject(new Error('nobody waits'))",
    'self.close()': 'self.close()',
  })) {
    it(`settles the call and replaces the replica after ${what} in its worker`, async () => {
      const source = `async (request) => { if (request.data === 'live') return 'alive'; ${failing}; await new Promise(() => {}) }`
      const client = await serving(new Function(`return ${source}`)())
      const handle = client.getHandle('endpoint')
      expect(await codeOf(handle.remote('die'))).to.equal('ERR_REPLICA_DIED')
      expect(await handle.remote('live')).to.equal('alive')
    })
  }

  it('settles the call and replaces the replica when its worker is terminated from outside', async () => {
    const workers: Worker[] = []
    const target = serve.worker((W: typeof Worker) => {
      const worker = new W(new URL('./fixtures/exposed.worker.ts', import.meta.url), { type: 'module' })
      workers.push(worker)
      return worker
    })
    const client = await serving(target)
    const open = client.getHandle('endpoint').remote('never')
    // Behind the open call on the same port: once this is answered, that has begun.
    await client.getHandle('endpoint').remote(1)
    workers[0]?.terminate()
    expect(await codeOf(open)).to.equal('ERR_REPLICA_DIED')
    expect(await client.getHandle('endpoint').remote(2)).to.equal(4)
  })

  it('ends a loop that never ends when its backend is deleted', async () => {
    const client = await serving(() => {
      for (;;);
    })
    const looping = codeOf(client.getHandle('endpoint').options({ timeoutMs: 100 }).remote())
    expect(await looping).to.equal('ERR_TIMEOUT')
    await client.shutdown({ timeoutMs: 0 })
  })

  it('says that a worker file is not there', async () => {
    const client = await start()
    const target = serve.worker((W: typeof Worker) => new W('/there/is/no/such.js', { type: 'module' }))
    const error = await client.createBackend('backend', target).catch((reason: Error) => reason)
    expect(error).to.have.property('code', 'ERR_BACKEND_START_FAILED')
    expect((error as Error).message).to.include('could not be loaded')
  })

  it('says that its own worker is not where workerUrl says', async () => {
    const client = await start({ workerUrl: '/there/is/no/such.js' })
    const error = await client.createBackend('backend', () => 1).catch((reason: Error) => reason)
    expect(error).to.have.property('code', 'ERR_BACKEND_START_FAILED')
    expect((error as Error).message).to.include('workerUrl')
  })

  it('leaves nothing behind a constructor that throws', async () => {
    const client = await start()
    class Failing {
      constructor() {
        throw new RangeError('no model')
      }
      call() {}
    }
    expect(await codeOf(client.createBackend('backend', Failing))).to.equal('ERR_BACKEND_START_FAILED')
    expect(await client.listBackends()).to.deep.equal({})
  })

  for (const [what, options] of Object.entries({
    'a detached instance': { detached: true },
    'a socket': { http: { port: 8000 } },
    'a mesh': { mesh: true },
  })) {
    it(`refuses ${what} with ERR_UNSUPPORTED`, async () => {
      expect(await codeOf(serve.start(options as serve.StartOptions))).to.equal('ERR_UNSUPPORTED')
    })
  }

  for (const [what, replicaOptions] of Object.entries({
    'a child process': { isolation: 'process' },
    'a limit of memory': { memoryLimitBytes: 1e8 },
    'an environment': { env: { A: '1' } },
    'a shared set beside the caller': { shared: true, isolation: 'inline' },
  })) {
    it(`refuses ${what} for a replica with ERR_UNSUPPORTED`, async () => {
      const client = await start()
      const options = { replicaOptions: replicaOptions as serve.ReplicaOptions }
      expect(await codeOf(client.createBackend('backend', () => 1, options))).to.equal('ERR_UNSUPPORTED')
    })
  }
})

declare const DedicatedWorkerGlobalScope: unknown
