/** What went wrong is a code; whether the call may be sent again is `outcome`, with what the table says of the code. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

class Fragile {
  async call(request: serve.ServeRequest<string>): Promise<string> {
    if (request.data === 'throw') throw Object.assign(new RangeError('no such item'), { item: 7 })
    if (request.data === 'die') process.exit(1)
    if (request.data === 'hang') await new Promise(() => {})
    return 'fine'
  }
}

const client = await serve.start({ http: { port: 0 } })
await client.createBackend('fragile', Fragile, { config: { numReplicas: 2 } })
await client.createEndpoint('fragile', { backend: 'fragile', route: '/fragile', methods: ['POST'] })
const handle = client.getHandle('fragile')

/** Sends a call again when that can do no harm: it never started, and the code says that time may help. */
async function callSafely(data: string, attempts = 3): Promise<unknown> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await handle.remote(data)
    } catch (error) {
      const isSafe = serve.isServeError(error) && error.outcome === 'not-started' && serve.ERROR_TABLE[error.code].retryable
      if (!isSafe || attempt === attempts) throw error
    }
  }
}
const failure = (call: Promise<unknown>): Promise<serve.ServeError> =>
  call.then(
    () => assert.fail('no failure'),
    (error) => error as serve.ServeError,
  )

// A throw in the handler: the replica lives on, the caller gets its class name, message and data.
const thrown = await failure(callSafely('throw'))
assert.ok(thrown instanceof serve.TaskError)
assert.deepEqual([thrown.code, thrown.outcome], ['ERR_TASK', 'completed'])
assert.deepEqual({ ...(thrown.cause as object) }, { item: 7 })

// A replica that ends in the middle: the call may have had its effect, so nobody sends it again unasked.
const died = await failure(callSafely('die'))
assert.deepEqual([died.code, died.outcome], ['ERR_REPLICA_DIED', 'started-unknown'])

// A deadline.
const late = await failure(handle.options({ timeoutMs: 500 }).remote('hang'))
assert.deepEqual([late.code, late.outcome], ['ERR_TIMEOUT', 'started-unknown'])

// Over HTTP the same, as problem details.
const response = await fetch(`${client.http?.url}/fragile`, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'throw' })
const problem = (await response.json()) as { code: string; outcome: string }
assert.deepEqual([response.status, problem.code, problem.outcome], [500, 'ERR_TASK', 'completed'])
assert.equal(await callSafely('ok'), 'fine')

await client.shutdown({ timeoutMs: 100 })
