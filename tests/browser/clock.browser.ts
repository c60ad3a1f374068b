import { expect } from 'chai'
import { realClock, realTurns } from '../../browser/clock.ts'
import { clockCompliance } from '../compliance/clock.ts'

clockCompliance('the real clock of a page', () => ({
  clock: realClock,
  pass: async (ms) => {
    const endMs = realClock.nowMs() + ms
    // As many turns as well: after a stall all timers are due at once, and this one comes before later ones.
    for (let turns = 0; turns < ms || realClock.nowMs() < endMs; turns++) await new Promise((resolve) => setTimeout(resolve, 1))
  },
}))

describe('the turns of a page', () => {
  it('runs soon after the asking code, later after soon, each in the order asked', async () => {
    const order: string[] = []
    await new Promise<void>((resolve) => {
      realTurns.later(() => order.push('later 1'))
      realTurns.later(() => {
        order.push('later 2')
        resolve()
      })
      realTurns.soon(() => order.push('soon'))
      order.push('asked')
    })
    expect(order).to.deep.equal(['asked', 'soon', 'later 1', 'later 2'])
  })
})
