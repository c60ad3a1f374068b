/** A threshold changes while the model goes on: no replica is started again, nothing is loaded twice. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

class Threshold {
  threshold = 0
  reconfigured = 0

  /** Called after construction, and whenever `userConfig` is really another. */
  reconfigure(userConfig: { threshold: number }): void {
    this.threshold = userConfig.threshold
    this.reconfigured++
  }

  call(request: serve.ServeRequest<number>): { isAbove: boolean; reconfigured: number } {
    return { isAbove: request.data > this.threshold, reconfigured: this.reconfigured }
  }
}

const client = await serve.start({ http: { port: 0 } })
await client.createBackend('threshold', Threshold, { config: { userConfig: { threshold: 0.01 } } })
await client.createEndpoint('threshold', { backend: 'threshold' })
const handle = client.getHandle<typeof Threshold>('threshold')
assert.deepEqual(await handle.remote(0.5), { isAbove: true, reconfigured: 1 })

await client.updateBackendConfig('threshold', { userConfig: { threshold: 0.99 } })
assert.deepEqual(await handle.remote(0.5), { isAbove: false, reconfigured: 2 })

// Another field, or the same data again, is no reason to call it.
await client.updateBackendConfig('threshold', { maxConcurrentQueries: 7, userConfig: { threshold: 0.99 } })
assert.deepEqual(await handle.remote(0.5), { isAbove: false, reconfigured: 2 })
assert.equal((await client.getBackendConfig('threshold')).maxConcurrentQueries, 7)

await client.close()
