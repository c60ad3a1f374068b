import { expect } from 'chai'
import fc from 'fast-check'
import { drawOfShardKey, lnOfUnit, unitOfShardKey } from '../../../core/model/shard-key.ts'

/** Key, its draw, its number for the tag `v1`. A change of one moves the keys of every user. */
const VECTORS: readonly (readonly [string, number, number])[] = [
  ['', 0.9505763673954057, 0.919710155176577],
  ['a', 0.040362796507345755, 0.985388665953096],
  ['session-1', 0.676064335541211, 0.0004875085419543401],
  ['session-2', 0.29025190325655703, 0.32960397742800607],
  ['user:42', 0.5616207809981548, 0.10449751252012562],
  ['héllo', 0.7781350499696076, 0.8823267891562621],
  ['🐟', 0.5801057107519012, 0.23144023153527882],
]

describe('hash of a shard key', () => {
  for (const [key, draw, unit] of VECTORS) {
    it(`gives the documented numbers for "${key}"`, () => {
      expect([drawOfShardKey(key), unitOfShardKey(key, 'v1')]).to.deep.equal([draw, unit])
    })
  }

  it('lies in [0, 1) for a draw and in (0, 1) for a score', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (key, tag) => {
        expect(drawOfShardKey(key)).to.be.within(0, 1 - 2 ** -53)
        expect(unitOfShardKey(key, tag)).to.be.within(2 ** -53, 1 - 2 ** -53)
      }),
    )
  })

  it('tells where the key ends and the tag begins', () => {
    expect(unitOfShardKey('ab', 'c')).not.to.equal(unitOfShardKey('a', 'bc'))
  })

  it('gives 20,000 counted keys 20,000 different numbers, 58 to 101 of them in each of 256 equal parts', () => {
    const draws = Array.from({ length: 20_000 }, (_, i) => drawOfShardKey(String(i)))
    const parts = new Array<number>(256).fill(0)
    for (const draw of draws) parts[Math.floor(draw * 256)] = (parts[Math.floor(draw * 256)] ?? 0) + 1
    expect(new Set(draws).size).to.equal(20_000)
    expect([Math.min(...parts), Math.max(...parts)]).to.deep.equal([58, 101])
  })
})

describe('logarithm of a number in (0, 1)', () => {
  it('agrees with Math.log to fifteen digits', () => {
    fc.assert(
      fc.property(fc.double({ min: 2 ** -53, max: 1 - 2 ** -53, noNaN: true }), (value) => {
        expect(Math.abs(lnOfUnit(value) / Math.log(value) - 1)).to.be.below(1e-15)
      }),
      { numRuns: 2_000 },
    )
  })

  it('is below 0 next to 1 and finite next to 0', () => {
    expect(lnOfUnit(1 - 2 ** -53)).to.be.below(0)
    expect(lnOfUnit(2 ** -53)).to.be.within(-37, -36)
  })
})
