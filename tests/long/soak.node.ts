import { expect } from 'chai'
import { SILENT } from '../../core/base/index.ts'
import * as serve from '../../node/index.ts'

const SECONDS = Number(process.env.SOAK_SECONDS ?? 60)
const CALLS_PER_SECOND = 150
const KILL_EVERY_MS = 5_000

/** Answers; ends its thread on demand. */
class Mortal {
  async call(request: { readonly data: { readonly id: number; readonly die: boolean } }): Promise<number> {
    if (request.data.die) process.exit(1)
    await new Promise((resolve) => setTimeout(resolve, 5))
    return request.data.id
  }
}

describe('under load while replicas die', function () {
  this.timeout((SECONDS + 60) * 1_000)

  it('gives every call one outcome, loses none, and is whole again afterwards', async () => {
    const client = await serve.start({ http: false, logger: SILENT })
    await client.createBackend('mortal', Mortal, { config: { numReplicas: 3, idempotent: true } })
    await client.createEndpoint('mortal', { backend: 'mortal' })
    const handle = client.getHandle('mortal')
    const outcomes = new Map<string, number>()
    const count = (name: string): void => void outcomes.set(name, (outcomes.get(name) ?? 0) + 1)
    const pending: Promise<void>[] = []
    const endAt = performance.now() + SECONDS * 1_000
    let killAt = performance.now() + KILL_EVERY_MS
    let sent = 0
    // Open loop: arrivals are scheduled, whatever the answers do.
    for (let dueAt = performance.now(); dueAt < endAt; dueAt += 1_000 / CALLS_PER_SECOND) {
      const waitMs = dueAt - performance.now()
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
      const die = performance.now() >= killAt
      if (die) killAt += KILL_EVERY_MS
      const id = sent++
      pending.push(
        handle
          .options({ idempotent: !die })
          .remote({ id, die })
          .then(
            (answer: unknown) => count(answer === id ? 'answered' : 'answered for another'),
            (error: serve.ServeError) => count(`${error.code} ${error.outcome}`),
          ),
      )
    }
    await Promise.all(pending)
    const { mortal } = (await client.status()).backends
    const { calls } = mortal as unknown as { calls: Record<string, number> }
    console.log(Object.fromEntries(outcomes), calls)
    await client.close()
    const kills = outcomes.get('ERR_REPLICA_DIED started-unknown') ?? 0
    expect([...outcomes.keys()].sort()).to.deep.equal(['ERR_REPLICA_DIED started-unknown', 'answered'])
    expect((outcomes.get('answered') ?? 0) + kills).to.equal(sent)
    expect(calls.admitted).to.equal((calls.succeeded ?? 0) + (calls.failed ?? 0) + (calls.cancelled ?? 0))
    expect(mortal).to.include({ queued: 0, ongoing: 0 })
  })
})
