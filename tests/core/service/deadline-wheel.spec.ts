import { expect } from 'chai'
import fc from 'fast-check'
import { type Call, DeadlineWheel } from '../../../core/service/index.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { makeCall } from '../../support/make-call.ts'

/** Quarters of a millisecond, whose sums are exact. */
const quarters = (maxMs: number): fc.Arbitrary<number> => fc.nat(maxMs * 4).map((count) => count / 4)

const due = (deadlineAtMs: number): Call => Object.assign(makeCall().call, { deadlineAtMs })

/** A wheel that notes when each call was told. */
function watch() {
  const clock = new FakeClock()
  const told: { readonly call: Call; readonly atMs: number }[] = []
  const wheel = new DeadlineWheel((call) => told.push({ call, atMs: clock.nowMs() }), clock)
  return { clock, told, wheel }
}

describe('DeadlineWheel', () => {
  it('tells a deadline never early and at most 16 ms late, whatever the phase', async () => {
    await fc.assert(
      fc.asyncProperty(quarters(50), fc.array(quarters(200), { minLength: 1, maxLength: 8 }), async (startMs, delaysMs) => {
        const { clock, told, wheel } = watch()
        await clock.advance(startMs)
        for (const delayMs of delaysMs) wheel.add(due(startMs + delayMs), startMs)
        await clock.advance(250)
        expect(told).to.have.lengthOf(delaysMs.length)
        for (const { call, atMs } of told) {
          expect(atMs).to.be.at.least(call.deadlineAtMs)
          expect(atMs - call.deadlineAtMs).to.be.at.most(16)
        }
      }),
    )
  })

  it('tells a deadline beyond one turn of the wheel in its own turn', async () => {
    const { clock, told, wheel } = watch()
    const call = due(70_000)
    wheel.add(call, 0)
    await clock.advance(69_990)
    expect(told).to.have.lengthOf(0)
    await clock.advance(26)
    expect(told.map((entry) => entry.call)).to.deep.equal([call])
  })

  it('tells every deadline after a pause longer than a turn of the wheel', () => {
    let nowMs = 0
    let tick: () => void = () => {}
    const told: Call[] = []
    const paused = {
      nowMs: () => nowMs,
      after: (_delayMs: number, callback: () => void) => {
        tick = callback
        return () => {}
      },
    }
    const wheel = new DeadlineWheel((call) => told.push(call), paused)
    const calls = [10, 5_000, 31_000, 40_000].map(due)
    for (const call of calls) wheel.add(call, 0)
    nowMs = 100_000
    tick()
    expect(told).to.have.members(calls)
  })

  it('forgets a removed call', async () => {
    const { clock, told, wheel } = watch()
    const call = due(20)
    wheel.add(call, 0)
    wheel.remove(call)
    await clock.advance(100)
    expect(told).to.have.lengthOf(0)
    expect(wheel.size).to.equal(0)
  })

  it('does nothing when a call that it does not watch is removed', () => {
    const { wheel } = watch()
    wheel.remove(due(1))
    expect(wheel.size).to.equal(0)
  })

  it('tells the others of a slot when the first one told takes the next one off', async () => {
    const clock = new FakeClock()
    const told: Call[] = []
    const calls = [due(5), due(5), due(5)]
    const wheel = new DeadlineWheel((call) => {
      told.push(call)
      if (told.length === 1) wheel.remove(call === calls[1] ? calls[0]! : calls[1]!)
    }, clock)
    for (const call of calls) wheel.add(call, 0)
    await clock.advance(50)
    const removed = told[0] === calls[1] ? calls[0] : calls[1]
    expect(told).to.have.lengthOf(2)
    expect(told).not.to.include(removed)
  })

  it('keeps no timer while it is empty', async () => {
    const { clock, wheel } = watch()
    wheel.add(due(10), 0)
    expect(clock.pendingTimers).to.equal(1)
    await clock.advance(100)
    expect(clock.pendingTimers).to.equal(0)
  })

  it('tells a deadline that has passed before it was added', async () => {
    const { clock, told, wheel } = watch()
    await clock.advance(1_000)
    wheel.add(due(10), 1_000)
    await clock.advance(16)
    expect(told).to.have.lengthOf(1)
  })
})
