/** Child processes hold memory too: a giant allocation costs the one replica it happened in. A thread would take the program along. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

class Hungry {
  call(request: serve.ServeRequest<string>): number {
    if (request.data !== 'eat') return process.pid
    const kept: number[][] = []
    for (;;) kept.push(new Array(1_000_000).fill(1.5))
  }
}

const client = await serve.start({ http: { port: 0 } })
await client.createBackend('hungry', Hungry, {
  config: { numReplicas: 2 },
  replicaOptions: { isolation: 'process', memoryLimitBytes: 64 * 2 ** 20 },
})
await client.createEndpoint('hungry', { backend: 'hungry' })
const handle = client.getHandle('hungry')

const before = new Set(await Promise.all(Array.from({ length: 20 }, () => handle.remote())))
assert.ok(!before.has(process.pid))

const outcome = handle.remote('eat').then(
  () => 'answered',
  (error: serve.ServeError) => error.code,
)
// Its sibling goes on meanwhile, and so does this process.
const meanwhile = await handle.options({ idempotent: true }).remote()
assert.ok(typeof meanwhile === 'number')
assert.equal(await outcome, 'ERR_REPLICA_DIED')
assert.ok(typeof (await handle.remote()) === 'number')

await client.close()
