import { expect } from 'chai'
import { SILENT } from '../../core/base/index.ts'
import * as serve from '../../node/index.ts'

const UPSCALE_DELAY_MS = 500

describe('autoscaling under a real spike', function () {
  this.timeout(30_000)
  let client: serve.Client

  afterEach(() => client.close())

  it('grows within a second of its delay, shrinks again, and cuts no call', async () => {
    client = await serve.start({ http: false, logger: SILENT })
    const autoscaling = {
      minReplicas: 1,
      maxReplicas: 4,
      upscaleDelayMs: UPSCALE_DELAY_MS,
      downscaleDelayMs: 300,
      lookBackMs: 600,
      panicWindowMs: 400,
    }
    await client.createBackend('work', () => new Promise((resolve) => setTimeout(resolve, 40, 'done')), { config: { autoscaling } })
    await client.createEndpoint('work', { backend: 'work' })
    const handle = client.getHandle('work')
    const scales: { readonly to: number; readonly atMs: number }[] = []
    const startedAtMs = performance.now()
    void (async () => {
      for await (const event of client.watch()) {
        if (event.kind === 'scale') scales.push({ to: event.to, atMs: performance.now() - startedAtMs })
      }
    })()

    // Twelve callers for two seconds: six times the target of one replica.
    const answers = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const own: unknown[] = []
        while (performance.now() - startedAtMs < 2_000) own.push(await handle.remote())
        return own
      }),
    )
    const grown = scales.find(({ to }) => to === 4)
    expect(grown?.atMs).to.be.at.most(UPSCALE_DELAY_MS + 1_000)
    expect((await client.status()).backends.work).to.include({ wanted: 4 })

    // A trickle while it shrinks: every call of it is answered too.
    const trickle: unknown[] = []
    while (scales.at(-1)?.to !== 1 && performance.now() - startedAtMs < 20_000) trickle.push(await handle.remote())
    expect(scales.at(-1)?.to).to.equal(1)

    const { calls } = (await client.status()).backends.work as unknown as { calls: Record<string, number> }
    expect([...answers.flat(), ...trickle].every((answer) => answer === 'done')).to.equal(true)
    expect(calls.failed).to.equal(0)
    expect(calls.succeeded).to.equal(answers.flat().length + trickle.length)
  })
})
