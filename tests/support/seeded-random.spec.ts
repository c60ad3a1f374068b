import { expect } from 'chai'
import { seededRandom } from './seeded-random.ts'

describe('seededRandom', () => {
  it('gives the same numbers for the same seed and others for another', () => {
    const draw = (seed: number): number[] => Array.from({ length: 5 }, seededRandom(seed))
    expect(draw(7)).to.deep.equal(draw(7))
    expect(draw(7)).not.to.deep.equal(draw(8))
  })

  it('fills each tenth of [0, 1) with a tenth of its numbers, within five sigma', () => {
    const random = seededRandom(1)
    const bins = new Array<number>(10).fill(0)
    for (let i = 0; i < 100_000; i++) {
      const bin = Math.floor(random() * 10)
      bins[bin] = (bins[bin] ?? 0) + 1
    }
    for (const count of bins) expect(Math.abs(count - 10_000)).to.be.below(5 * Math.sqrt(9_000))
  })
})
