/** A shard key picks the same backend every time, by header or by option, while the traffic stands. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

const client = await serve.start({ http: { port: 0 } })
for (const tag of ['a', 'b', 'c']) {
  await client.createBackend(
    tag,
    class {
      tag: string
      constructor(tag: string) {
        this.tag = tag
      }
      call(): string {
        return this.tag
      }
    },
    { initArgs: [tag], config: { numReplicas: 2 } },
  )
}
await client.createEndpoint('session', { backend: 'a', route: '/session' })
await client.setTraffic('session', { a: 0.4, b: 0.3, c: 0.3 })

const handle = client.getHandle('session')
const backendOf = async (key: string): Promise<unknown> => handle.options({ shardKey: key }).remote()
const keys = Array.from({ length: 100 }, (_, index) => `session-${index}`)
const before = await Promise.all(keys.map(backendOf))

// The same again, and the same over HTTP.
assert.deepEqual(await Promise.all(keys.map(backendOf)), before)
const overHttp = await fetch(`${client.http?.url}/session`, { headers: { 'x-serve-shard-key': 'session-7' } })
assert.equal(await overHttp.text(), before[7])
assert.deepEqual([...new Set(before)].sort(), ['a', 'b', 'c'])

// Weights that change move few sessions: none but to the backend that gained.
await client.setTraffic('session', { a: 0.5, b: 0.25, c: 0.25 })
const after = await Promise.all(keys.map(backendOf))
const moved = keys.map((_, index) => [before[index], after[index]]).filter(([from, to]) => from !== to)
assert.ok(moved.every(([, to]) => to === 'a'))
assert.ok(moved.length < 30, `${moved.length} of 100 moved`)

await client.close()
