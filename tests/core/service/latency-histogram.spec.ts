import { expect } from 'chai'
import fc from 'fast-check'
import { LatencyHistogram } from '../../../core/service/index.ts'

const of = (...durationsMs: number[]): LatencyHistogram => {
  const histogram = new LatencyHistogram()
  for (const durationMs of durationsMs) histogram.add(durationMs)
  return histogram
}

describe('LatencyHistogram', () => {
  it('reads 0 when nothing was noted', () => expect(of().quantileMs(0.99)).to.equal(0))

  it('counts and sums what was noted', () => {
    const histogram = of(1, 2, 3.5)
    expect(histogram.count).to.equal(3)
    expect(histogram.sumMs).to.equal(6.5)
  })

  it('reads a quantile at most 19 % above the true one', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.002, max: 60_000, noNaN: true }), { minLength: 1, maxLength: 50 }),
        fc.constantFrom(0.5, 0.9, 0.99, 1),
        (durationsMs, share) => {
          const sorted = durationsMs.toSorted((a, b) => a - b)
          const truth = sorted[Math.ceil(sorted.length * share) - 1]!
          const read = of(...durationsMs).quantileMs(share)
          expect(read).to.be.at.least(truth * (1 - 1e-9))
          expect(read).to.be.at.most(truth * 1.19)
        },
      ),
    )
  })

  it('puts what is below a microsecond, even nothing, into its first bucket', () => {
    expect(of(0).quantileMs(1)).to.be.below(0.002)
  })

  it('keeps what is beyond a minute in its last bucket', () => {
    expect(of(10 * 60_000).quantileMs(1)).to.be.above(60_000)
  })

  it('counts up to bounds, as many at the last as there are below it', () => {
    expect(of(0.5, 5, 50, 500).cumulative([1, 10, 100, 1_000])).to.deep.equal([1, 2, 3, 4])
  })
})
