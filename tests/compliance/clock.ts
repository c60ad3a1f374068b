import { expect } from 'chai'
import type { Clock } from '../../core/base/index.ts'

/** A clock, and the way to let at least `ms` of its time pass. */
export interface ClockUnderTest {
  readonly clock: Clock
  pass(ms: number): Promise<void>
}

/** What every Clock keeps to, real or not. */
export function clockCompliance(name: string, setup: () => ClockUnderTest): void {
  describe(`${name} as a Clock`, () => {
    it('goes forward by what passes', async () => {
      const { clock, pass } = setup()
      const startMs = clock.nowMs()
      await pass(5)
      expect(clock.nowMs()).to.be.at.least(startMs + 5)
    })

    it('calls back no earlier than the delay, fractions included', async () => {
      const { clock, pass } = setup()
      const startMs = clock.nowMs()
      const delaysMs = [0.4, 1, 1.5, 2.3, 3.9]
      const earlyByMs: number[] = []
      for (const delayMs of delaysMs) clock.after(delayMs, () => earlyByMs.push(startMs + delayMs - clock.nowMs()))
      await pass(50)
      expect(earlyByMs).to.have.length(delaysMs.length)
      expect(Math.max(...earlyByMs)).to.be.at.most(0)
    })

    it('calls back once', async () => {
      const { clock, pass } = setup()
      let calls = 0
      clock.after(1, () => calls++)
      await pass(20)
      expect(calls).to.equal(1)
    })

    it('calls back in order of time, whatever the order of asking', async () => {
      const { clock, pass } = setup()
      const order: number[] = []
      for (const delayMs of [20, 1, 10]) clock.after(delayMs, () => order.push(delayMs))
      await pass(50)
      expect(order).to.deep.equal([1, 10, 20])
    })

    it('does not call back within the call that asks, even without a delay', async () => {
      const { clock, pass } = setup()
      const order: string[] = []
      clock.after(0, () => order.push('called back'))
      order.push('asked')
      await pass(20)
      expect(order).to.deep.equal(['asked', 'called back'])
    })

    it('takes a delay below 0 as none', async () => {
      const { clock, pass } = setup()
      let calls = 0
      clock.after(-5, () => calls++)
      await pass(20)
      expect(calls).to.equal(1)
    })

    it('does not call back after a stop', async () => {
      const { clock, pass } = setup()
      let calls = 0
      const stop = clock.after(1, () => calls++)
      stop()
      await pass(20)
      expect(calls).to.equal(0)
    })

    it('takes a second stop, and one after the call, without a word', async () => {
      const { clock, pass } = setup()
      const stop = clock.after(1, () => {})
      await pass(20)
      stop()
      expect(stop).not.to.throw()
    })

    it('lets a callback ask again', async () => {
      const { clock, pass } = setup()
      let calls = 0
      clock.after(1, () => clock.after(1, () => calls++))
      await pass(30)
      expect(calls).to.equal(1)
    })

    it('waits out a delay of more than 31 bits', async () => {
      const { clock, pass } = setup()
      let calls = 0
      const stops = [2 ** 31, Number.POSITIVE_INFINITY].map((delayMs) => clock.after(delayMs, () => calls++))
      await pass(20)
      for (const stop of stops) stop()
      expect(calls).to.equal(0)
    })
  })
}
