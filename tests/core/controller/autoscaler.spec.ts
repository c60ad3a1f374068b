import { expect } from 'chai'
import { Deployment } from '../../support/deployment.ts'

const UPSCALE_DELAY_MS = 500
const LOOK_MS = 100
const CALL_MS = 40

describe('Autoscaler', () => {
  it('grows once the load has lasted for its delay from the first look on, shrinks when it is over, and cuts no call', async () => {
    const deployment = new Deployment()
    const { clock } = deployment
    const autoscaling = {
      maxReplicas: 4,
      upscaleDelayMs: UPSCALE_DELAY_MS,
      downscaleDelayMs: 300,
      lookBackMs: 600,
      // Longer than the delay, so that it never panics.
      panicWindowMs: 60_000,
    }
    const work = () => new Promise((resolve) => clock.after(CALL_MS, () => resolve('done')))
    const handle = await deployment.serve('work', work, { autoscaling })
    const wanted = (): number => deployment.status('work').wanted
    const answers: unknown[] = []
    let isBusy = true
    // Six times the target of one replica.
    const callers = Array.from({ length: 12 }, async () => {
      while (isBusy) answers.push(await handle.remote())
    })

    await deployment.advance(LOOK_MS + UPSCALE_DELAY_MS - 1)
    expect(wanted()).to.equal(1)
    await deployment.advance(1)
    expect(wanted()).to.equal(4)
    isBusy = false
    await deployment.advance(CALL_MS)
    await Promise.all(callers)
    await deployment.advance(5_000)
    expect(wanted()).to.equal(1)
    expect(answers.every((answer) => answer === 'done')).to.equal(true)
    expect(deployment.status('work').calls).to.include({ failed: 0, cancelled: 0, succeeded: answers.length })
  })
})
