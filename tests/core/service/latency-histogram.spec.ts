import { expect } from 'chai'
import fc from 'fast-check'
import { countsSince, cumulativeCounts, LatencyHistogram, quantileMs } from '../../../core/service/index.ts'

const of = (...durationsMs: number[]): LatencyHistogram => {
  const histogram = new LatencyHistogram()
  for (const durationMs of durationsMs) histogram.add(durationMs)
  return histogram
}

describe('LatencyHistogram', () => {
  it('reads 0 when nothing was noted', () => expect(quantileMs(of().snapshot(), 0.99)).to.equal(0))

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
          const read = quantileMs(of(...durationsMs).snapshot(), share)
          expect(read).to.be.at.least(truth * (1 - 1e-9))
          expect(read).to.be.at.most(truth * 1.19)
        },
      ),
    )
  })

  it('puts what is below a microsecond, even nothing, into its first bucket', () => {
    expect(quantileMs(of(0).snapshot(), 1)).to.be.below(0.002)
  })

  it('keeps what is beyond a minute in its last bucket', () => {
    expect(quantileMs(of(10 * 60_000).snapshot(), 1)).to.be.above(60_000)
  })

  it('counts up to bounds, as many at the last as there are below it', () => {
    expect(cumulativeCounts(of(0.5, 5, 50, 500).snapshot(), [1, 10, 100, 1_000])).to.deep.equal([1, 2, 3, 4])
  })

  it('reads what was added after a snapshot by itself', () => {
    const histogram = of(1, 1, 1)
    const earlier = histogram.snapshot()
    histogram.add(100)
    const since = countsSince(histogram.snapshot(), earlier)
    expect(quantileMs(since, 0.01)).to.be.above(99)
    expect(quantileMs(countsSince(histogram.snapshot(), histogram.snapshot()), 1)).to.equal(0)
  })
})
