import { expect } from 'chai'
import fc from 'fast-check'
import { parseGuardedJson } from '../../../core/request/index.ts'

const code = (text: string, limits?: { maxDepth: number; maxValues: number }): string => {
  try {
    parseGuardedJson(text, limits)
    return 'taken'
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('parseGuardedJson', () => {
  it('gives what JSON.parse gives, for any JSON', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 20 }), (text) => {
        fc.pre(!text.includes('__proto__'))
        expect(parseGuardedJson(text)).to.deep.equal(JSON.parse(text))
      }),
    )
  })

  it('takes texts with quotes, backslashes and brackets for what they are', () => {
    for (const value of ['[[[[', '"', '\\', '\\"', '\\\\"[', '{"a":"]"}', '__proto_', '\u2028']) {
      const text = JSON.stringify({ [value]: value })
      expect(parseGuardedJson(text, { maxDepth: 1, maxValues: 3 })).to.deep.equal(JSON.parse(text))
    }
  })

  it('refuses with ERR_NOT_JSON whatever JSON.parse refuses', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('[', ']', '{', '}', '"', ',', ':', '1', '\\', 'a', ' ') }), (text) => {
        let valid = true
        try {
          JSON.parse(text)
        } catch {
          valid = false
        }
        expect(code(text)).to.equal(valid ? 'taken' : 'ERR_NOT_JSON')
      }),
    )
  })

  it('takes a nesting of maxDepth and refuses one more', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
    expect([code(nested(64)), code(nested(65))]).to.deep.equal(['taken', 'ERR_NOT_JSON'])
  })

  it('refuses a million levels without building one of them', () => {
    expect(code('['.repeat(1_000_000))).to.equal('ERR_NOT_JSON')
  })

  it('takes maxValues values and refuses one more', () => {
    const limits = { maxDepth: 9, maxValues: 10 }
    const list = (count: number): string => JSON.stringify(new Array(count).fill(1))
    expect([code(list(9), limits), code(list(10), limits)]).to.deep.equal(['taken', 'ERR_NOT_JSON'])
  })

  for (const key of [
    '__proto__',
    '\\u005f_proto__',
    '__\\u0070roto__',
    '__p\\u0072oto__',
    '__pr\\u006fto__',
    '__pr\\u006Fto__',
    '__pro\\u0074o__',
    '__proto\\u005F_',
  ]) {
    it(`refuses the key ${key}, however deep`, () => {
      expect(code(`{"a":[{"${key}":{"admin":true}}]}`)).to.equal('ERR_NOT_JSON')
    })
  }

  it('takes __proto__ as a value', () => {
    expect(parseGuardedJson('["__proto__"]')).to.deep.equal(['__proto__'])
  })

  it('takes a key that is escaped and harmless', () => {
    expect(parseGuardedJson('{"\\u0061\\u0070":1}')).to.deep.equal({ ap: 1 })
  })
})
