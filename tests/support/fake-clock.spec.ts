import { expect } from 'chai'
import { clockCompliance } from '../compliance/clock.ts'
import { FakeClock, settle, testTurns } from './fake-clock.ts'

clockCompliance('FakeClock', () => {
  const clock = new FakeClock()
  return { clock, pass: (ms) => clock.advance(ms) }
})

describe('FakeClock', () => {
  it('tells a callback exactly the time it was due at', async () => {
    const clock = new FakeClock()
    const atMs: number[] = []
    for (const delayMs of [7, 2.5]) clock.after(delayMs, () => atMs.push(clock.nowMs()))
    await clock.advance(100)
    expect(atMs).to.deep.equal([2.5, 7])
  })

  it('runs the promise jobs of one timer before the next timer', async () => {
    const clock = new FakeClock()
    const order: string[] = []
    clock.after(1, async () => {
      await undefined
      order.push('job of the first')
    })
    clock.after(1, () => order.push('second'))
    await clock.advance(1)
    expect(order).to.deep.equal(['job of the first', 'second'])
  })

  it('runs a timer that a timer sets within the time passing', async () => {
    const clock = new FakeClock()
    const atMs: number[] = []
    clock.after(3, () => clock.after(3, () => atMs.push(clock.nowMs())))
    await clock.advance(6)
    expect(atMs).to.deep.equal([6])
  })

  it('counts the timers that wait', async () => {
    const clock = new FakeClock()
    clock.after(1, () => {})
    const stop = clock.after(5, () => {})
    await clock.advance(1)
    expect(clock.pendingTimers).to.equal(1)
    stop()
    expect(clock.pendingTimers).to.equal(0)
  })
})

describe('testTurns', () => {
  it('runs soon before later, each in the order asked', async () => {
    const turns = testTurns()
    const order: string[] = []
    turns.later(() => order.push('later 1'))
    turns.later(() => order.push('later 2'))
    turns.soon(() => order.push('soon 1'))
    turns.soon(() => order.push('soon 2'))
    await settle()
    expect(order).to.deep.equal(['soon 1', 'soon 2', 'later 1', 'later 2'])
  })
})
