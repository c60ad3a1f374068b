import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { SILENT } from '../../core/base/index.ts'
import * as serve from '../../node/index.ts'

const start = (options: serve.StartOptions = {}): Promise<serve.Client> => serve.start({ http: { port: 0 }, logger: SILENT, ...options })

/** Code and message of what the work fails with. */
async function failureOf(work: () => unknown): Promise<{ code: string; message: string; error: serve.ServeError }> {
  try {
    await work()
  } catch (error) {
    if (serve.isServeError(error)) return { code: error.code, message: error.message, error }
    throw error
  }
  throw new Error('it did not fail')
}

describe('bad input', function () {
  this.timeout(20_000)
  let client: serve.Client

  before(async () => {
    client = await start()
    await client.createBackend('echo', (request) => request.data)
    await client.createEndpoint('echo', { backend: 'echo', route: '/echo', methods: ['GET', 'POST'] })
  })

  // Whatever went wrong, nothing is left behind and the next good call is answered.
  afterEach(async () => {
    expect(await client.getHandle('echo').remote('still here')).to.equal('still here')
    expect(Object.keys(await client.listBackends())).to.deep.equal(['echo'])
    const { calls } = (await client.status()).backends.echo as unknown as { calls: Record<string, number> }
    expect(calls.admitted).to.equal((calls.succeeded ?? 0) + (calls.failed ?? 0) + (calls.cancelled ?? 0))
  })

  after(() => client.close())

  it('names the sum of weights that is not 1', async () => {
    const { code, message, error } = await failureOf(() => client.setTraffic('echo', { echo: 0.9 }))
    expect(code).to.equal('ERR_INVALID_TRAFFIC')
    expect(message).to.include('0.9')
    expect(error).to.be.instanceOf(RangeError)
  })

  it('names the nearest key for a typo in a config', async () => {
    const { code, message } = await failureOf(() => client.createBackend('typo', () => 1, { config: { numReplica: 2 } as object }))
    expect(code).to.equal('ERR_INVALID_CONFIG')
    expect(message).to.include('numReplicas')
  })

  it('names the nearest option for a typo at start', async () => {
    const { code, message } = await failureOf(() => start({ htpp: false } as object))
    expect(code).to.equal('ERR_INVALID_CONFIG')
    expect(message).to.include('http')
  })

  it('names a captured variable and the ways out', async () => {
    const captured = 5
    const { code, message } = await failureOf(() => client.createBackend('closure', () => captured))
    expect(code).to.equal('ERR_BACKEND_NOT_PORTABLE')
    expect(message).to.include('captured').and.include('initArgs').and.include('serve.module').and.include('inline')
  })

  it('names the path of an argument that cannot travel', async () => {
    const { code, message, error } = await failureOf(() => client.getHandle('echo').remote({ model: { session: () => 1 } }))
    expect(code).to.equal('ERR_NOT_SERIALIZABLE')
    expect(message).to.include('data.model.session')
    expect(error.outcome).to.equal('not-started')
  })

  it('fails a start whose port is in use, with the cause', async () => {
    const taken: Server = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    const { code, message, error } = await failureOf(() => start({ http: { port } }))
    taken.close()
    expect(code).to.equal('ERR_HTTP_LISTEN')
    expect(message).to.include(String(port))
    expect(error.cause).to.include({ code: 'EADDRINUSE' })
  })

  it('refuses a body of 20 MB before it has come in', async () => {
    const answer = await fetch(`${client.http?.url}/echo`, { method: 'POST', body: new Uint8Array(20_000_000) })
    expect(answer.status).to.equal(413)
    expect(await answer.json()).to.include({ code: 'ERR_PAYLOAD_TOO_LARGE' })
  })

  it('fails every request of a batch whose handler returns too short a list', async () => {
    const handler = serve.acceptBatch((requests: unknown[]) => requests.slice(1))
    await client.createBackend('short', handler, { config: { maxBatchSize: 4 } })
    await client.createEndpoint('short', { backend: 'short' })
    const handle = client.getHandle('short')
    const failures = await Promise.all([1, 2, 3].map((data) => failureOf(() => handle.remote(data))))
    await client.deleteEndpoint('short')
    await client.deleteBackend('short')
    expect(failures.map(({ code }) => code)).to.deep.equal(['ERR_BATCH_RESULT', 'ERR_BATCH_RESULT', 'ERR_BATCH_RESULT'])
    expect(failures[0]?.message).to.include("doesn't preserve batch size")
  })

  it('says what a worker ended with that exits while it starts', async () => {
    class Exits {
      constructor() {
        process.exit(7)
      }
      call() {}
    }
    const { code, message } = await failureOf(() => client.createBackend('exits', Exits))
    expect(code).to.equal('ERR_BACKEND_START_FAILED')
    expect(message).to.include('exited with code 7')
  })

  it('says what a constructor threw', async () => {
    class Throws {
      constructor() {
        throw new RangeError('no such model')
      }
      call() {}
    }
    const { code, error } = await failureOf(() => client.createBackend('throws', Throws, { config: { numReplicas: 3 } }))
    expect(code).to.equal('ERR_BACKEND_START_FAILED')
    expect(error.cause).to.include({ name: 'RangeError', message: 'no such model' })
  })

  it('gives up on a constructor that hangs after startTimeoutMs', async () => {
    class Hangs {
      async init() {
        await new Promise(() => {})
      }
      call() {}
    }
    const { code, message } = await failureOf(() => client.createBackend('hangs', Hangs, { config: { startTimeoutMs: 300 } }))
    expect(code).to.equal('ERR_BACKEND_START_FAILED')
    expect(message).to.include('startTimeoutMs')
  })

  it('names the exports of a module that lacks the one asked for', async () => {
    const url = new URL('../support/seeded-random.ts', import.meta.url)
    const { code, message } = await failureOf(() => client.createBackend('nothing', serve.module(url, 'Nothing')))
    expect(code).to.equal('ERR_BACKEND_START_FAILED')
    expect(message).to.include('seededRandom')
  })

  it('refuses what is no backend at all', async () => {
    expect((await failureOf(() => client.createBackend('five', 5 as never))).code).to.equal('ERR_INVALID_ARG_TYPE')
  })

  it('refuses initArgs for a function', async () => {
    expect((await failureOf(() => client.createBackend('args', () => 1, { initArgs: [1] }))).code).to.equal('ERR_INVALID_ARG_VALUE')
  })

  it('refuses batches for a handler that takes none', async () => {
    const { code, message } = await failureOf(() => client.createBackend('plain', () => 1, { config: { maxBatchSize: 8 } }))
    expect(code).to.equal('ERR_INVALID_CONFIG')
    expect(message).to.include('acceptBatch')
  })

  it('refuses a userConfig that nobody would receive', async () => {
    expect((await failureOf(() => client.createBackend('deaf', () => 1, { config: { userConfig: 1 } }))).code).to.equal(
      'ERR_INVALID_CONFIG',
    )
  })

  it('refuses resources that the machine does not have, and leaves nothing behind', async () => {
    const { code, message } = await failureOf(() =>
      client.createBackend('huge', () => 1, { replicaOptions: { resources: { cpu: 10_000 } } }),
    )
    expect(code).to.equal('ERR_INFEASIBLE')
    expect(message).to.match(/^Cannot scale backend/)
  })

  it('keeps its tag free after a failed start', async () => {
    await failureOf(() =>
      client.createBackend(
        'again',
        class {
          constructor() {
            throw new Error('first')
          }
          call() {}
        },
      ),
    )
    await client.createBackend('again', () => 'second')
    await client.deleteBackend('again')
  })

  it('refuses a client in call data, in JSON and in initArgs', async () => {
    const inData = await failureOf(() => client.getHandle('echo').remote({ client }))
    const inJson = await failureOf(() => JSON.stringify({ client }))
    class Holder {
      call() {}
    }
    const inArgs = await failureOf(() => client.createBackend('holder', Holder, { initArgs: [{ client }] }))
    expect([inData.code, inJson.code, inArgs.code]).to.deep.equal(Array(3).fill('ERR_CLIENT_NOT_SERIALIZABLE'))
  })

  it('fails with ERR_CLIENT_CLOSED once closed', async () => {
    const closed = await start({ http: false })
    await closed.close()
    await closed.close()
    expect((await failureOf(() => closed.listBackends())).code).to.equal('ERR_CLIENT_CLOSED')
    expect((await failureOf(() => closed.getHandle('x'))).code).to.equal('ERR_CLIENT_CLOSED')
  })

  for (const address of ['/ip4/127.0.0.1/udp/1', '/ip4/192.0.2.1/tcp/1']) {
    it(`says in one line why a mesh cannot listen on ${address}`, async () => {
      const { code, message } = await failureOf(() => start({ http: false, mesh: { listen: [address] } }))
      expect(code).to.equal('ERR_INVALID_CONFIG')
      expect(message)
        .to.match(/^mesh: cannot listen on \S+: .+$/)
        .and.not.match(/faultTolerance|\n/)
    })
  }

  it('refuses resources below 0, with a mesh and without', async () => {
    for (const mesh of [true, false]) {
      expect((await failureOf(() => start({ http: false, mesh, resources: { cpu: -1 } }))).code).to.equal('ERR_INVALID_CONFIG')
    }
  })

  it('refuses to join with resources below 0, before anything is dialled', async () => {
    const { code, message } = await failureOf(() => serve.join('no ticket', { resources: { cpu: -1 } }))
    expect([code, message.includes('cpu')]).to.deep.equal(['ERR_INVALID_CONFIG', true])
  })

  it('says which names there are for an unknown endpoint', async () => {
    const { code, message } = await failureOf(() => client.getHandle('ecko'))
    expect(code).to.equal('ERR_ENDPOINT_NOT_FOUND')
    expect(message).to.include('did you mean echo')
  })
})
