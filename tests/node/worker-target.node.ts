import { expect } from 'chai'
import { SILENT } from '../../core/base/index.ts'
import * as serve from '../../node/index.ts'
import { failure } from '../support/failure.ts'

describe('a backend by worker factory', function () {
  this.timeout(20_000)
  let client: serve.Client

  before(async () => {
    client = await serve.start({ http: false, logger: SILENT })
  })
  after(() => client.close())

  const counterWorker = serve.worker((Worker) => new Worker(new URL('../fixtures/counter.worker.ts', import.meta.url)))

  it('serves the class that its file exposes, with initArgs and batches', async () => {
    await client.createBackend('counter', counterWorker, { initArgs: [10], config: { maxBatchSize: 8 } })
    await client.createEndpoint('counter', { backend: 'counter' })
    const handle = client.getHandle('counter')
    expect(await handle.remote(5)).to.equal(15)
    expect(await Promise.all([1, 2, 3].map((data) => handle.sum.remote(data)))).to.deep.equal([3, 3, 3])
  })

  it('says that the file must call expose() when it ends without', async () => {
    const target = serve.worker((Worker) => new Worker('process.exit(0)', { eval: true }))
    const error = await failure(client.createBackend('mute', target))
    expect(error.code).to.equal('ERR_BACKEND_START_FAILED')
    expect(error.message).to.include('expose()')
  })

  it('refuses a factory that returns no worker', async () => {
    expect(
      (
        await failure(
          client.createBackend(
            'none',
            serve.worker(() => 5),
          ),
        )
      ).code,
    ).to.equal('ERR_INVALID_ARG_TYPE')
  })

  it('refuses any isolation but a thread', async () => {
    const creating = client.createBackend('inline', counterWorker, { replicaOptions: { isolation: 'inline' } })
    expect((await failure(creating)).code).to.equal('ERR_INVALID_ARG_VALUE')
  })
})
