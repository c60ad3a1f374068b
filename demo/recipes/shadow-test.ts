/** A new model sees real requests and answers nobody: its answers are dropped, its errors are counted. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import * as serve from '../../node/index.ts'

const client = await serve.start({ http: { port: 0 } })
await client.createBackend('stable', (request: serve.ServeRequest<number>) => request.data * 2)
await client.createBackend('next', (request: serve.ServeRequest<number>) => {
  if (request.data % 10 === 0) throw new Error('not ready for round numbers')
  return 'nobody reads this'
})
await client.createEndpoint('double', { backend: 'stable', route: '/double' })
await client.shadowTraffic('double', 'next', 1)

const handle = client.getHandle('double')
const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => handle.remote(index)))
assert.deepEqual(
  answers,
  Array.from({ length: 100 }, (_, index) => index * 2),
)

// The answers never wait for the copies, so those are looked for a little later.
for (let i = 0; i < 500 && (await client.status()).endpoints.double?.shadowsFailed !== 10; i++) await sleep(10)
const { shadowed, shadowsDropped, shadowsFailed } = (await client.status()).endpoints.double ?? {}
assert.deepEqual({ shadowed, shadowsDropped, shadowsFailed }, { shadowed: 100, shadowsDropped: 0, shadowsFailed: 10 })

// Traffic and shadows are apart: new weights leave the shadow, and 0 takes it away.
await client.setTraffic('double', { stable: 1 })
assert.deepEqual((await client.listEndpoints()).double?.shadows, { next: 1 })
await client.shadowTraffic('double', 'next', 0)
assert.deepEqual((await client.listEndpoints()).double?.shadows, {})

await client.close()
