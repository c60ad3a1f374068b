/** A new version takes the traffic step by step; a look at its errors sends it back. Nobody is cut off meanwhile. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

const client = await serve.start({ http: { port: 0 } })
await client.createBackend('v1', () => 'v1')
await client.createBackend('v2', () => 'v2')
await client.createBackend('v3', () => {
  throw new Error('a bug')
})
await client.createEndpoint('model', { backend: 'v1', route: '/model' })
const handle = client.getHandle('model')

/** Answers by version; failures by code. */
async function sample(count: number): Promise<Record<string, number>> {
  const seen: Record<string, number> = {}
  const answers = await Promise.allSettled(Array.from({ length: count }, () => handle.remote()))
  for (const answer of answers) {
    const name = answer.status === 'fulfilled' ? String(answer.value) : answer.reason.code
    seen[name] = (seen[name] ?? 0) + 1
  }
  return seen
}

// Roll-out: a little, half, all. The weights sum to 1 and are replaced as a whole.
for (const share of [0.05, 0.5, 1]) {
  await client.setTraffic('model', { v1: 1 - share, v2: share })
  const seen = await sample(1_000)
  assert.equal((seen.v1 ?? 0) + (seen.v2 ?? 0), 1_000)
}
assert.deepEqual(await sample(100), { v2: 100 })

// Roll-back: the canary fails, so the traffic goes back before it gets more.
await client.setTraffic('model', { v2: 0.8, v3: 0.2 })
const canary = await sample(1_000)
assert.ok((canary.ERR_TASK ?? 0) > 0)
await client.setTraffic('model', { v2: 1 })
assert.deepEqual(await sample(100), { v2: 100 })

// Only now does nothing name v3 any more, and it may go.
await client.deleteBackend('v3')
assert.deepEqual(Object.keys(await client.listBackends()), ['v1', 'v2'])

await client.close()
