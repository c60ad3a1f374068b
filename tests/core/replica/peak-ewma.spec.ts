import { expect } from 'chai'
import { PeakEwma } from '../../../core/replica/peak-ewma.ts'

describe('PeakEwma', () => {
  it('jumps to a peak at once', () => {
    const mean = new PeakEwma(0)
    mean.add(50, 1)
    expect(mean.valueMs).to.equal(50)
  })

  it('forgets a peak by 1/e of the distance in ten seconds', () => {
    const mean = new PeakEwma(0)
    mean.add(100, 0)
    mean.add(0, 10_000)
    expect(mean.valueMs).to.be.closeTo(100 / Math.E, 1e-9)
  })

  it('sinks by at least a hundredth with every answer, however close they come', () => {
    const mean = new PeakEwma(0)
    mean.add(100, 0)
    mean.add(0, 0)
    expect(mean.valueMs).to.equal(99)
  })

  it('never falls below the smallest sample', () => {
    const mean = new PeakEwma(0)
    mean.add(100, 0)
    for (let i = 1; i < 2_000; i++) mean.add(3, i * 1_000)
    expect(mean.valueMs).to.be.at.least(3)
  })
})
