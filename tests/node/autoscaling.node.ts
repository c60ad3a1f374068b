import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'chai'
import { SILENT } from '../../core/base/index.ts'
import * as serve from '../../node/index.ts'

describe('autoscaling under a real spike', function () {
  this.timeout(60_000)
  let client: serve.Client

  afterEach(() => client.close())

  it('grows while the load lasts, shrinks again, and cuts no call', async () => {
    client = await serve.start({ http: false, logger: SILENT })
    const autoscaling = {
      minReplicas: 1,
      maxReplicas: 4,
      upscaleDelayMs: 500,
      downscaleDelayMs: 300,
      lookBackMs: 600,
      panicWindowMs: 400,
    }
    await client.createBackend('work', () => new Promise((resolve) => setTimeout(resolve, 40, 'done')), { config: { autoscaling } })
    await client.createEndpoint('work', { backend: 'work' })
    const handle = client.getHandle('work')
    const replicas = async (): Promise<number> => (await client.status()).backends.work?.ready ?? 0

    // Twelve callers: six times the target of one replica.
    let isSpike = true
    const callers = Array.from({ length: 12 }, async () => {
      const own: unknown[] = []
      while (isSpike) own.push(await handle.remote())
      return own
    })
    while ((await replicas()) < 4) await delay(20)
    isSpike = false
    const answers = await Promise.all(callers)

    // A trickle while it shrinks: every call of it is answered too.
    const trickle: unknown[] = []
    while ((await replicas()) > 1) trickle.push(await handle.remote())

    const { calls } = (await client.status()).backends.work as unknown as { calls: Record<string, number> }
    expect([...answers.flat(), ...trickle].every((answer) => answer === 'done')).to.equal(true)
    expect(calls.failed).to.equal(0)
    expect(calls.succeeded).to.equal(answers.flat().length + trickle.length)
  })
})
