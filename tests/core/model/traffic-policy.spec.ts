import { expect } from 'chai'
import fc from 'fast-check'
import { isServeError, type ServeError } from '../../../core/base/index.ts'
import { namesBackend, policyOf, resolveShadow, resolveTraffic, withShadow, withTraffic } from '../../../core/model/index.ts'

const KNOWN = new Set(['v1', 'v2', 'canary'])

function failure(act: () => unknown): ServeError {
  try {
    act()
  } catch (error) {
    if (isServeError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('traffic', () => {
  it('is sorted by tag and frozen', () => {
    const entries = resolveTraffic('e', { v2: 0.25, canary: 0, v1: 0.75 }, KNOWN)
    expect(entries).to.deep.equal([
      { backend: 'canary', weight: 0 },
      { backend: 'v1', weight: 0.75 },
      { backend: 'v2', weight: 0.25 },
    ])
    expect(Object.isFrozen(entries) && entries.every((entry) => Object.isFrozen(entry))).to.equal(true)
  })

  it('takes a sum within 1e-5 of 1', () => {
    for (const weight of [0.99999, 1.00001, 1]) expect(resolveTraffic('e', { v1: weight }, KNOWN)).to.have.lengthOf(1)
  })

  it('takes weights that sum to 1 only in real numbers', () => {
    const tags = Array.from({ length: 10 }, (_, i) => `b${i}`)
    expect(resolveTraffic('e', Object.fromEntries(tags.map((tag) => [tag, 0.1])), new Set(tags))).to.have.lengthOf(10)
  })

  it('takes any weights that are divided by their sum', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 50 }), (parts) => {
        const sum = parts.reduce((a, b) => a + b, 0)
        const weights = Object.fromEntries(parts.map((part, i) => [`b${i}`, part / sum]))
        expect(resolveTraffic('e', weights, new Set(Object.keys(weights)))).to.have.lengthOf(parts.length)
      }),
    )
  })

  it('refuses another sum with ERR_INVALID_TRAFFIC and tells the sum', () => {
    const error = failure(() => resolveTraffic('e', { v1: 0.5, v2: 0.25 }, KNOWN))
    expect(error.code).to.equal('ERR_INVALID_TRAFFIC')
    expect(error).to.be.instanceOf(RangeError)
    expect(error.message).to.contain('0.75')
    expect(error.details).to.deep.equal({ endpoint: 'e', sum: 0.75 })
  })

  for (const [name, weights] of [
    ['no weights', {}],
    ['a sum just too high', { v1: 1.000011 }],
    ['a sum just too low', { v1: 0.999989 }],
    ['a negative weight', { v1: 1.5, v2: -0.5 }],
    ['NaN', { v1: Number.NaN }],
    ['infinity', { v1: Number.POSITIVE_INFINITY }],
    ['a weight that is a string', { v1: '1' }],
    ['a weight that is undefined', { v1: 1, v2: undefined }],
  ] as const) {
    it(`refuses ${name} with ERR_INVALID_TRAFFIC`, () => {
      expect(failure(() => resolveTraffic('e', weights, KNOWN)).code).to.equal('ERR_INVALID_TRAFFIC')
    })
  }

  it('refuses an unknown backend and names the nearest', () => {
    const error = failure(() => resolveTraffic('e', { canari: 1 }, KNOWN))
    expect(error.code).to.equal('ERR_BACKEND_NOT_FOUND')
    expect(error.details).to.deep.equal({ endpoint: 'e', backend: 'canari', nearest: 'canary' })
  })

  it('refuses a backend __proto__ that nobody made', () => {
    expect(failure(() => resolveTraffic('e', JSON.parse('{"__proto__":1}'), KNOWN)).code).to.equal('ERR_BACKEND_NOT_FOUND')
  })

  for (const weights of [null, undefined, 'v1', [1], new Map([['v1', 1]])]) {
    it(`refuses ${Object.prototype.toString.call(weights)} with ERR_INVALID_ARG_TYPE`, () => {
      expect(failure(() => resolveTraffic('e', weights, KNOWN)).code).to.equal('ERR_INVALID_ARG_TYPE')
    })
  }

  it('is replaced as a whole while shadows stay', () => {
    const policy = withShadow(policyOf('v1'), resolveShadow('e', 'canary', 0.1, KNOWN))
    expect(withTraffic(policy, resolveTraffic('e', { v2: 1 }, KNOWN))).to.deep.equal({
      entries: [{ backend: 'v2', weight: 1 }],
      shadows: [{ backend: 'canary', proportion: 0.1 }],
    })
  })

  it('names a backend even at weight 0, and in a shadow', () => {
    const policy = withShadow(withTraffic(policyOf('v1'), resolveTraffic('e', { v1: 1, v2: 0 }, KNOWN)), {
      backend: 'canary',
      proportion: 1,
    })
    expect(['v1', 'v2', 'canary', 'v3'].map((tag) => namesBackend(policy, tag))).to.deep.equal([true, true, true, false])
  })
})

describe('a shadow', () => {
  it('is added in order of tags, changed, and removed by 0', () => {
    const one = withShadow(policyOf('v1'), { backend: 'v2', proportion: 0.5 })
    const two = withShadow(one, { backend: 'canary', proportion: 0.1 })
    expect(two.shadows.map((shadow) => shadow.backend)).to.deep.equal(['canary', 'v2'])
    expect(withShadow(two, { backend: 'v2', proportion: 0.7 }).shadows[1]).to.deep.equal({ backend: 'v2', proportion: 0.7 })
    expect(withShadow(two, { backend: 'v2', proportion: 0 }).shadows).to.deep.equal([{ backend: 'canary', proportion: 0.1 }])
  })

  it('leaves the policy it is added to as it was', () => {
    const policy = policyOf('v1')
    withShadow(policy, { backend: 'v2', proportion: 0.5 })
    expect(policy.shadows).to.deep.equal([])
  })

  for (const proportion of [-0.1, 1.1, Number.NaN, Number.POSITIVE_INFINITY]) {
    it(`refuses the proportion ${proportion} as a RangeError`, () => {
      const error = failure(() => resolveShadow('e', 'v1', proportion, KNOWN))
      expect(error.code).to.equal('ERR_INVALID_ARG_VALUE')
      expect(error).to.be.instanceOf(RangeError)
    })
  }

  it('refuses a proportion that is no number, and a tag that is no string', () => {
    expect(failure(() => resolveShadow('e', 'v1', '0.1', KNOWN)).code).to.equal('ERR_INVALID_ARG_TYPE')
    expect(failure(() => resolveShadow('e', undefined, 0.1, KNOWN)).code).to.equal('ERR_INVALID_ARG_TYPE')
  })

  it('refuses an unknown backend unless it is taken away', () => {
    expect(failure(() => resolveShadow('e', 'v9', 0.1, KNOWN)).code).to.equal('ERR_BACKEND_NOT_FOUND')
    expect(resolveShadow('e', 'v9', 0, KNOWN)).to.deep.equal({ backend: 'v9', proportion: 0 })
  })
})
