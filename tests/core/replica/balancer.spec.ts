import { expect } from 'chai'
import fc from 'fast-check'
import { chooseReplica, type Loaded } from '../../../core/replica/index.ts'
import { seededRandom } from '../../support/seeded-random.ts'

const loaded = (load: number, hasRoom = true): Loaded => ({ load, hasRoom })

describe('chooseReplica', () => {
  it('gives undefined when there is no candidate, or none has room', () => {
    expect(chooseReplica([], seededRandom(1))).to.equal(undefined)
    for (const count of [1, 2, 5]) {
      expect(chooseReplica(new Array(count).fill(loaded(0, false)), seededRandom(1))).to.equal(undefined)
    }
  })

  it('finds the one that has room, wherever it stands', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.nat(19), fc.integer(), (count, place, seed) => {
        const free = loaded(1_000)
        const candidates = Array.from({ length: count }, (_, i) => (i === place % count ? free : loaded(0, false)))
        expect(chooseReplica(candidates, seededRandom(seed))).to.equal(free)
      }),
    )
  })

  it('never gives the heaviest, for two are sampled', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(1_000), { minLength: 2, maxLength: 20 }), fc.integer(), (loads, seed) => {
        const chosen = chooseReplica(
          loads.map((load) => loaded(load)),
          seededRandom(seed),
        )
        expect(chosen!.load).to.be.below(Math.max(...loads))
      }),
    )
  })

  it('samples two distinct candidates and gives the lighter one', () => {
    const draws = [0.5, 0.5]
    // The first draw is place 2 of 4; the second one counts without it: place 1.
    expect(
      chooseReplica(
        [0, 1, 2, 3].map((load) => loaded(load)),
        () => draws.shift()!,
      )!.load,
    ).to.equal(1)
  })

  it('gives one of two that weigh the same now and then', () => {
    const candidates = [loaded(1), loaded(1)]
    const random = seededRandom(3)
    const chosen = new Set(Array.from({ length: 50 }, () => chooseReplica(candidates, random)))
    expect(chosen.size).to.equal(2)
  })

  it('keeps the fullest of 64 bins at 5 or below for 64 throws, over 200 seeds', () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = seededRandom(seed)
      const bins = Array.from({ length: 64 }, () => ({ load: 0, hasRoom: true }))
      for (let i = 0; i < 64; i++) chooseReplica(bins, random)!.load++
      expect(Math.max(...bins.map(({ load }) => load)), `seed ${seed}`).to.be.at.most(5)
    }
  })
})
