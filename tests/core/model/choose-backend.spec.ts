import { expect } from 'chai'
import fc from 'fast-check'
import { chooseBackend, chooseByShardKey, shadowsFor, type TrafficPolicy } from '../../../core/model/index.ts'
import { seededRandom } from '../../support/seeded-random.ts'

const KEYS = Array.from({ length: 20_000 }, (_, i) => `user:${i}`)
const ALL = (_tag: string): boolean => true

function policy(weights: Readonly<Record<string, number>>, shadows: Readonly<Record<string, number>> = {}): TrafficPolicy {
  return {
    entries: Object.entries(weights).map(([backend, weight]) => ({ backend, weight })),
    shadows: Object.entries(shadows).map(([backend, proportion]) => ({ backend, proportion })),
  }
}

/** How often each backend is chosen for `draws` places spread evenly over [0, 1). */
function countsByDraw(traffic: TrafficPolicy, draws: number, isReady = ALL): Record<string, number> {
  return tally(numbers(draws, (i) => chooseBackend(traffic, (i + 0.5) / draws, isReady)))
}

function countsByKey(traffic: TrafficPolicy, isReady = ALL): Record<string, number> {
  return tally(KEYS.map((key) => chooseByShardKey(traffic, key, isReady)))
}

function tally(names: readonly (string | undefined)[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name ?? 'none'] = (counts[name ?? 'none'] ?? 0) + 1
  return counts
}

function numbers<T>(length: number, make: (i: number) => T): T[] {
  return Array.from({ length }, (_, i) => make(i))
}

/** Weights of 1 to 6 backends that sum to 1 as far as floats can; some are 0. */
const anyTraffic = fc
  .array(fc.nat({ max: 1_000 }), { minLength: 1, maxLength: 6 })
  .filter((parts) => parts.some((part) => part > 0))
  .map((parts) => {
    const sum = parts.reduce((a, b) => a + b, 0)
    return policy(Object.fromEntries(parts.map((part, i) => [`b${i}`, part / sum])))
  })

describe('choice by chance', () => {
  it('takes the first backend whose cumulative weight exceeds the draw', () => {
    const traffic = policy({ a: 0.25, b: 0.25, c: 0.5 })
    const draws = [0, 0.2499, 0.25, 0.4999, 0.5, 1 - 2 ** -53]
    expect(draws.map((draw) => chooseBackend(traffic, draw, ALL))).to.deep.equal(['a', 'a', 'b', 'b', 'c', 'c'])
  })

  it('gives every backend its share of evenly spread draws, to the request', () => {
    fc.assert(
      fc.property(anyTraffic, (traffic) => {
        const counts = countsByDraw(traffic, 2_000)
        for (const { backend, weight } of traffic.entries) {
          expect(Math.abs((counts[backend] ?? 0) - weight * 2_000)).to.be.at.most(1)
        }
      }),
    )
  })

  it('splits random draws of any seed within six standard deviations', () => {
    fc.assert(
      fc.property(fc.integer(), fc.double({ min: 0.01, max: 0.99, noNaN: true }), (seed, weight) => {
        const random = seededRandom(seed)
        const { a = 0 } = tally(numbers(5_000, () => chooseBackend(policy({ a: weight, b: 1 - weight }), random(), ALL)))
        expect(Math.abs(a - weight * 5_000)).to.be.at.most(6 * Math.sqrt(5_000 * weight * (1 - weight)))
      }),
    )
  })

  it('always finds a backend, and never one of weight 0, whatever the sum of the floats', () => {
    const draw = fc.oneof(fc.constantFrom(0, 1 - 2 ** -53), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }))
    const slack = fc.double({ min: 1 - 1e-5, max: 1 + 1e-5, noNaN: true })
    fc.assert(
      fc.property(anyTraffic, slack, draw, (traffic, factor, place) => {
        const entries = traffic.entries.map(({ backend, weight }) => ({ backend, weight: weight * factor }))
        const tag = chooseBackend({ entries, shadows: [] }, place, ALL)
        expect(entries.find(({ backend }) => backend === tag)?.weight).to.be.above(0)
      }),
      { numRuns: 1_000 },
    )
  })

  it('lets a backend that is not ready yield its share to the others in proportion', () => {
    const counts = countsByDraw(policy({ a: 0.5, b: 0.3, c: 0.2 }), 10_000, (tag) => tag !== 'a')
    expect(counts).to.deep.equal({ b: 6_000, c: 4_000 })
  })

  it('leaves the requests of ready backends where they are when another is not ready', () => {
    const traffic = policy({ a: 0.5, b: 0.3, c: 0.2 })
    for (let i = 0; i < 1_000; i++) {
      const before = chooseBackend(traffic, i / 1_000, ALL)
      if (before !== 'b') expect(chooseBackend(traffic, i / 1_000, (tag) => tag !== 'b')).to.equal(before)
    }
  })

  it('takes weights by their ratio when their sum is not 1', () => {
    expect(countsByDraw(policy({ a: 1, b: 3 }), 100)).to.deep.equal({ a: 25, b: 75 })
  })

  it('yields nothing to a backend of weight 0', () => {
    expect(countsByDraw(policy({ a: 1, b: 0 }), 100, (tag) => tag === 'b')).to.deep.equal({ none: 100 })
  })

  it('gives undefined when none is ready or there is no traffic', () => {
    expect(chooseBackend(policy({ a: 0.5, b: 0.5 }), 0.3, () => false)).to.equal(undefined)
    expect(chooseBackend(policy({}), 0.3, ALL)).to.equal(undefined)
  })
})

describe('choice by shard key', () => {
  it('gives the same backend for the same key, in whatever order the backends are listed', () => {
    fc.assert(
      fc.property(anyTraffic, fc.string({ unit: 'binary' }), (traffic, key) => {
        const turned = { entries: [...traffic.entries].reverse(), shadows: [] }
        expect(chooseByShardKey(turned, key, ALL)).to.equal(chooseByShardKey(traffic, key, ALL))
      }),
    )
  })

  it('never chooses a backend of weight 0', () => {
    fc.assert(
      fc.property(anyTraffic, fc.string({ unit: 'binary' }), (traffic, key) => {
        const tag = chooseByShardKey(traffic, key, ALL)
        expect(traffic.entries.find(({ backend }) => backend === tag)?.weight).to.be.above(0)
      }),
    )
  })

  it('spreads 20,000 keys by weight', () => {
    expect(countsByKey(policy({ a: 0.5, b: 0.3, c: 0.2 }))).to.deep.equal({ a: 9_982, b: 5_958, c: 4_060 })
  })

  it('moves 5 % of the keys, all to the canary, when its weight goes from 5 to 10 %', () => {
    const moves = KEYS.map((key) => {
      const before = chooseByShardKey(policy({ canary: 0.05, stable: 0.95 }), key, ALL)
      const after = chooseByShardKey(policy({ canary: 0.1, stable: 0.9 }), key, ALL)
      return before === after ? 'stays' : `${before} to ${after}`
    })
    expect(tally(moves)).to.deep.equal({ stays: 19_034, 'stable to canary': 966 })
  })

  it('moves only keys of the backend that is not ready, to the others in proportion', () => {
    const traffic = policy({ a: 0.5, b: 0.3, c: 0.2 })
    for (const key of KEYS.slice(0, 2_000)) {
      const before = chooseByShardKey(traffic, key, ALL)
      if (before !== 'a') expect(chooseByShardKey(traffic, key, (tag) => tag !== 'a')).to.equal(before)
    }
    expect(countsByKey(traffic, (tag) => tag !== 'a')).to.deep.equal({ b: 11_997, c: 8_003 })
  })

  it('gives undefined when none is ready', () => {
    expect(chooseByShardKey(policy({ a: 1 }), 'k', () => false)).to.equal(undefined)
  })
})

describe('shadows', () => {
  const traffic = policy({ main: 1 }, { half: 0.5, tenth: 0.1 })

  it('get a copy when the draw lies below their proportion', () => {
    expect(shadowsFor(traffic, 0.0999)).to.deep.equal(['half', 'tenth'])
    expect(shadowsFor(traffic, 0.1)).to.deep.equal(['half'])
    expect(shadowsFor(traffic, 0.5)).to.deep.equal([])
  })

  it('are nested: whatever the smaller one gets, the larger one gets too', () => {
    const proportion = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(proportion, proportion, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (one, other, draw) => {
        const tags = shadowsFor(policy({}, { small: Math.min(one, other), large: Math.max(one, other) }), draw)
        if (tags.includes('small')) expect(tags).to.include('large')
      }),
    )
  })

  it('at 1 get every request', () => {
    expect(shadowsFor(policy({}, { all: 1 }), 1 - 2 ** -53)).to.deep.equal(['all'])
  })
})
