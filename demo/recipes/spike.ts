/** A spike of requests: replicas are added after a short delay, and go again when it is over, without cutting a call. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

const client = await serve.start({ http: { port: 0 } })
await client.createBackend('slow', () => new Promise((resolve) => setTimeout(() => resolve('done'), 50)), {
  config: {
    maxConcurrentQueries: 2,
    // Short times, so that one can watch; the defaults wait 3 s before growing and a minute before shrinking.
    autoscaling: {
      minReplicas: 1,
      maxReplicas: 4,
      targetOngoingRequests: 2,
      upscaleDelayMs: 100,
      downscaleDelayMs: 300,
      lookBackMs: 500,
      panicWindowMs: 300,
    },
  },
})
await client.createEndpoint('slow', { backend: 'slow', route: '/slow' })

const counts: number[] = []
const watching = (async () => {
  for await (const event of client.watch()) {
    if (event.kind !== 'scale') continue
    counts.push(event.to)
    if (event.to === 1) break
  }
})()

const handle = client.getHandle('slow')
const answers = await Promise.all(Array.from({ length: 200 }, () => handle.remote()))
assert.equal(answers.filter((answer) => answer === 'done').length, 200)
await watching

console.log(`replicas over time: 1, ${counts.join(', ')}`)
assert.equal(Math.max(...counts), 4)
assert.equal(counts.at(-1), 1)

await client.close()
