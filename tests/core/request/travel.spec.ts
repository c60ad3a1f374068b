import { expect } from 'chai'
import { isPlainObject, isPrimitive, movableBuffers, notSerializable, roughSizeBytes } from '../../../core/request/index.ts'

describe('isPrimitive', () => {
  it('holds for what structured clone gives no identity', () => {
    for (const value of [undefined, null, true, 5, 5n, 'x']) expect(isPrimitive(value), String(value)).to.equal(true)
  })

  it('does not hold for objects, nor for what does not travel', () => {
    for (const value of [{}, [], () => {}, Symbol('x')]) expect(isPrimitive(value), String(value)).to.equal(false)
  })
})

describe('movableBuffers', () => {
  it('finds whole buffers at the top, in objects and in lists', () => {
    const [a, b, c] = [new Uint8Array(4), new Float32Array(2), new ArrayBuffer(3)]
    expect(movableBuffers(a)).to.deep.equal([a.buffer])
    expect(movableBuffers({ b, deep: { list: [c] } })).to.deep.equal([b.buffer, c])
  })

  it('leaves a view on a part of a buffer to be copied', () => {
    expect(movableBuffers(new Uint8Array(8).subarray(2, 4))).to.deep.equal([])
  })

  it('names a buffer once that is there twice', () => {
    const bytes = new Uint8Array(4)
    expect(movableBuffers([bytes, bytes])).to.deep.equal([bytes.buffer])
  })

  it('does not look into instances of classes, deeper than three levels, or into long lists', () => {
    class Model {
      readonly weights = new Uint8Array(4)
    }
    const bytes = new Uint8Array(4)
    expect(movableBuffers(new Model())).to.deep.equal([])
    expect(movableBuffers([[[[bytes]]]])).to.deep.equal([])
    expect(movableBuffers(new Array(65).fill(bytes))).to.deep.equal([])
  })

  it('does not run for ever in a cycle', () => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    expect(movableBuffers(cycle)).to.deep.equal([])
  })
})

describe('roughSizeBytes', () => {
  it('is exact for texts and buffers at the top, and nothing for other primitives', () => {
    expect([roughSizeBytes('abc'), roughSizeBytes(new Uint16Array(4)), roughSizeBytes(new ArrayBuffer(7))]).to.deep.equal([3, 8, 7])
    expect([roughSizeBytes(5), roughSizeBytes(null), roughSizeBytes(undefined)]).to.deep.equal([0, 0, 0])
  })

  it('grows with what an object holds', () => {
    expect(roughSizeBytes({ image: new Uint8Array(1_000) })).to.be.within(1_000, 1_100)
    expect(roughSizeBytes(new Array(1_000).fill('x'.repeat(100)))).to.be.within(90_000, 120_000)
  })
})

describe('isPlainObject', () => {
  it('holds for literals and for objects without prototype only', () => {
    class Model {}
    expect([{}, Object.create(null)].map(isPlainObject)).to.deep.equal([true, true])
    expect([new Model(), [], new Map(), null, 5].map(isPlainObject)).to.deep.equal([false, false, false, false, false])
  })
})

describe('notSerializable', () => {
  const refused = (value: unknown): { code: string; path: unknown; message: string } => {
    const { code, details, message } = notSerializable(value, 'data', new Error('why'))
    return { code, path: details?.path, message }
  }

  for (const [what, value, path] of [
    ['the top', () => {}, 'data'],
    ['a field', { model: { session: () => {} } }, 'data.model.session'],
    ['a list', [1, { f: () => {} }], 'data[1].f'],
    ['a Map', new Map([['k', () => {}]]), 'data.k'],
    ['a symbol', { s: Symbol('x') }, 'data.s'],
    ['what only the platform refuses', { p: Promise.resolve() }, 'data.p'],
  ] as const) {
    it(`names the path to ${what}`, () => {
      expect(refused(value)).to.include({ code: 'ERR_NOT_SERIALIZABLE', path })
    })
  }

  it('names what stands there', () => {
    expect(refused({ f: function handler() {} }).message).to.contain('the function handler')
    expect(refused({ p: Promise.resolve() }).message).to.contain('a Promise')
  })

  it('keeps the original as cause', () => {
    const cause = new Error('why')
    expect(notSerializable(() => {}, 'data', cause).cause).to.equal(cause)
  })

  it('has a code of its own for a client', () => {
    const client = Object.assign(Object.create({ [Symbol.for('shoal.Client')]: true }), { shutdown: () => {} })
    expect(refused({ inner: { client } })).to.include({ code: 'ERR_CLIENT_NOT_SERIALIZABLE', path: 'data.inner.client' })
  })
})
