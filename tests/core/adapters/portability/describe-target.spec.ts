import { expect } from 'chai'
import { describeTarget } from '../../../../core/adapters/portability/index.ts'

describe('describeTarget', () => {
  it('knows a class, also anonymous and extending', () => {
    for (const target of [class A {}, class {}, class extends Map {}]) expect(describeTarget(target)).to.equal('class')
  })

  it('takes every other function with source for a function', () => {
    const { class: method } = { class() {} }
    for (const target of [() => 1, function classy() {}, async () => 1, function* () {}, method]) {
      expect(describeTarget(target)).to.equal('function')
    }
  })

  it('is undefined for what has no source', () => {
    for (const target of [Math.max, Map, (() => 1).bind(null), new Proxy(class {}, {}), {}, 'x', undefined, null]) {
      expect(describeTarget(target)).to.equal(undefined)
    }
  })

  it('ignores a toString of the target', () => {
    expect(describeTarget(Object.assign(() => 1, { toString: () => 'class A {}' }))).to.equal('function')
  })
})
