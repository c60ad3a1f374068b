/** Two variants side by side, half of the users each; the experiment is read from the answers. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

const client = await serve.start({ http: { port: 0 } })
await client.createBackend('blue', () => ({ variant: 'blue', price: 10 }))
await client.createBackend('green', () => ({ variant: 'green', price: 12 }))
await client.createEndpoint('offer', { backend: 'blue', route: '/offer' })
await client.setTraffic('offer', { blue: 0.5, green: 0.5 })

const seenBy = new Map<string, string>()
const counts: Record<string, number> = { blue: 0, green: 0 }
for (let visit = 0; visit < 2; visit++) {
  for (let id = 0; id < 200; id++) {
    // A user is one arm of the experiment, however often they come: the key decides, not the dice.
    const response = await fetch(`${client.http?.url}/offer`, { headers: { 'X-SERVE-SHARD-KEY': `user:${id}` } })
    const { variant } = (await response.json()) as { variant: string }
    counts[variant] = (counts[variant] ?? 0) + 1
    assert.equal(seenBy.get(`user:${id}`) ?? variant, variant)
    seenBy.set(`user:${id}`, variant)
  }
}

// The keys are fixed, so the split is as well: near a half each.
assert.equal((counts.blue ?? 0) + (counts.green ?? 0), 400)
assert.ok(Math.abs((counts.blue ?? 0) - 200) < 60, JSON.stringify(counts))

await client.close()
