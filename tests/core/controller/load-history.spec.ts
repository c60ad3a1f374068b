import { expect } from 'chai'
import fc from 'fast-check'
import { LoadHistory } from '../../../core/controller/load-history.ts'

describe('LoadHistory', () => {
  it('weighs each load by how long it lasted', () => {
    const history = new LoadHistory(1_000)
    history.add(0, 2)
    history.add(300, 10)
    expect(history.mean(400, 1_000)).to.equal((2 * 300 + 10 * 100) / 400)
  })

  it('counts only the part of a step that lies in the window', () => {
    const history = new LoadHistory(1_000)
    history.add(0, 8)
    history.add(900, 0)
    expect(history.mean(1_400, 1_000)).to.equal((8 * 500) / 1_000)
  })

  it('gives the newest load when nothing has lasted yet', () => {
    const history = new LoadHistory(1_000)
    history.add(50, 7)
    expect(history.mean(50, 1_000)).to.equal(7)
  })

  it('takes the time before the first sample for idle when asked for the mean from zero', () => {
    const history = new LoadHistory(1_000)
    history.add(0, 100)
    expect(history.meanFromZero(10, 1_000)).to.equal(1)
  })

  it('keeps every mean between the smallest and the largest load, however many old steps were forgotten', () => {
    const samples = fc.array(fc.record({ gapMs: fc.integer({ min: 1, max: 700 }), load: fc.integer({ min: 0, max: 50 }) }), {
      minLength: 1,
    })
    fc.assert(
      fc.property(samples, (steps) => {
        const history = new LoadHistory(1_000)
        let nowMs = 0
        for (const { gapMs, load } of steps) {
          nowMs += gapMs
          history.add(nowMs, load)
        }
        const loads = steps.map((step) => step.load)
        const mean = history.mean(nowMs + 10, 1_000)
        expect(mean)
          .to.be.at.least(Math.min(...loads))
          .and.at.most(Math.max(...loads))
      }),
    )
  })
})
