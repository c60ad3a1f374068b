import { expect } from 'chai'
import { SILENT } from '../../../core/base/index.ts'
import { Adoption } from '../../../core/mesh/adoption.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const nothing = (): never => {
  throw new Error('nobody asks for this')
}
const SEAMS = { markOf: nothing, moveTo: nothing, placeAnew: nothing, adopt: nothing, stop: nothing, move: nothing, patienceMs: nothing }

describe('Adoption', () => {
  it('goes on gathering while peers come back, and ends two seconds after the last', async () => {
    const { clock, adoption } = gathering()
    for (let i = 0; i < 5; i++) {
      await clock.advance(1_900)
      void adoption.offer(`peer ${i}`, [])
    }
    await clock.advance(1_999)
    expect(adoption.isGathering).to.equal(true)
    await clock.advance(1)
    expect(adoption.isGathering).to.equal(false)
  })

  it('gathers for half a minute at most, however many come', async () => {
    const { clock, adoption } = gathering()
    for (let i = 0; i < 29; i++) {
      await clock.advance(1_000)
      void adoption.offer(`peer ${i}`, [])
    }
    await clock.advance(999)
    expect(adoption.isGathering).to.equal(true)
    await clock.advance(1)
    expect(adoption.isGathering).to.equal(false)
  })
})

function gathering() {
  const clock = new FakeClock()
  const adoption = new Adoption(SEAMS, clock, SILENT)
  void adoption.gather()
  return { clock, adoption }
}
