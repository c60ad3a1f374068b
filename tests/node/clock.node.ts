import { execFileSync } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { expect } from 'chai'
import { realClock, realTurns } from '../../node/clock.ts'
import { clockCompliance } from '../compliance/clock.ts'

clockCompliance('the real clock of Node', () => ({
  clock: realClock,
  pass: async (ms) => {
    const endMs = realClock.nowMs() + ms
    // As many turns as well: after a stall all timers are due at once, and this one comes before later ones.
    for (let turns = 0; turns < ms || realClock.nowMs() < endMs; turns++) await wait(1)
  },
}))

describe('the real clock of Node', () => {
  it('keeps no process alive by a timer', function () {
    this.timeout(60_000)
    const url = new URL('../../node/clock.ts', import.meta.url).href
    const script = `const { realClock } = await import(${JSON.stringify(url)}); realClock.after(600_000, () => {}); console.log('end of script')`
    expect(execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8', timeout: 50_000 })).to.equal(
      'end of script\n',
    )
  })

  it('runs soon after the asking code, later after soon', async () => {
    const order: string[] = []
    await new Promise<void>((resolve) => {
      realTurns.later(() => {
        order.push('later')
        resolve()
      })
      realTurns.soon(() => order.push('soon'))
      order.push('asked')
    })
    expect(order).to.deep.equal(['asked', 'soon', 'later'])
  })
})
