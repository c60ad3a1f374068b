import { expect } from 'chai'
import fc from 'fast-check'
import { checkMsgpack, msgpackCodec } from '../../../../core/adapters/codec/index.ts'
import { ServeError } from '../../../../core/base/index.ts'
import { seededRandom } from '../../../support/seeded-random.ts'

const codec = msgpackCodec()
const trip = (value: unknown): unknown => codec.decode(codec.encode([value]), true)[0]

describe('msgpackCodec', () => {
  it('carries what structured clone carries', () => {
    const value = {
      text: 'ä€😀',
      numbers: [0, 1, -1, 1.5, 2 ** 31, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY],
      big: [1n, -(2n ** 63n), 2n ** 200n],
      nothing: [null, undefined, true, false],
      date: new Date(1_700_000_000_123),
      old: new Date(-1),
      set: new Set([1, 'a']),
      map: new Map<unknown, unknown>([
        ['k', 1],
        [2, new Map([[{ a: 1 }, 'object key']])],
      ]),
      pattern: /a+b/gi,
    }
    expect(trip(value)).to.deep.equal(value)
  })

  it('carries every kind of typed array, with its own bytes', () => {
    const floats = new Float64Array([1, 2, 3, 4])
    const value = [
      new Int8Array([-1]),
      new Uint8Array([255]),
      new Uint8ClampedArray([7]),
      new Int16Array([-300]),
      new Uint16Array([300]),
      new Int32Array([-70_000]),
      new Uint32Array([70_000]),
      new Float32Array([0.5]),
      floats.subarray(1, 3),
      new BigInt64Array([-5n]),
      new BigUint64Array([5n]),
      new Uint8Array(0),
      new Uint8Array([1, 2, 3]).buffer,
    ]
    expect(trip(value)).to.deep.equal(value)
  })

  for (const [what, value] of [
    ['a Blob', new Blob(['content'])],
    ['a boxed number', Object(1)],
    ['a boxed text', Object('text')],
    ['headers', new Headers({ a: 'b' })],
    ['a stream', new ReadableStream()],
  ] as const) {
    it(`refuses ${what} with ERR_NOT_SERIALIZABLE instead of losing what is in it`, () => {
      expect(() => codec.encode([{ deep: [value] }]))
        .to.throw()
        .with.property('code', 'ERR_NOT_SERIALIZABLE')
    })
  }

  it('carries an object of a class that only calls itself something as its fields', () => {
    class Named {
      field = 1
      get [Symbol.toStringTag]() {
        return 'Blob'
      }
    }
    expect(trip(new Named())).to.deep.equal({ field: 1 })
  })

  it('carries a DataView', () => {
    const view = trip(new DataView(new Uint8Array([7, 9, 8]).buffer, 1)) as DataView
    expect([view.byteLength, view.getUint8(0), view.getUint8(1)]).to.deep.equal([2, 9, 8])
  })

  it('looks at a large array where it lies instead of copying it', () => {
    const bytes = codec.encode([new Float32Array(250_000)])
    const [view] = codec.decode(bytes, true) as [Float32Array]
    expect(view.buffer).to.equal(bytes.buffer)
    expect(view.byteOffset % 8).to.equal(0)
  })

  it('never looks into bytes that belong to someone else', () => {
    const bytes = codec.encode([new Uint8Array([1, 2, 3])])
    const [view] = codec.decode(bytes, false) as [Uint8Array]
    bytes.fill(0)
    expect([...view]).to.deep.equal([1, 2, 3])
  })

  it('keeps what is named twice one thing, and circles closed', () => {
    const shared = { n: 1 }
    const circle: Record<string, unknown> = { a: shared, b: shared }
    circle.self = circle
    const copy = trip(circle) as typeof circle
    expect(copy.a).to.equal(copy.b)
    expect(copy.self).to.equal(copy)
    const withBytes: Record<string, unknown> = { bytes: new Uint8Array([1]), list: [] as unknown[] }
    ;(withBytes.list as unknown[]).push(withBytes, withBytes.bytes)
    const marked = trip(withBytes) as { bytes: Uint8Array; list: unknown[] }
    expect(marked.list[0]).to.equal(marked)
    expect(marked.list[1]).to.equal(marked.bytes)
  })

  it('turns an instance of a class into its own fields, as structured clone does', () => {
    class Point {
      x = 1
      toJSON(): string {
        return 'not this'
      }
    }
    expect(trip(new Point())).to.deep.equal({ x: 1 })
  })

  it('keeps message and cause of an Error', () => {
    const copy = trip(new RangeError('far', { cause: new Error('near') })) as Error
    expect([copy.name, copy.message, (copy.cause as Error).message]).to.deep.equal(['RangeError', 'far', 'near'])
  })

  it('carries odd keys as data, and changes no prototype', () => {
    const value = JSON.parse('{"__proto__": {"polluted": true}, "\\u0000shoal": [1, 0]}')
    const copy = trip({ inner: value }) as { inner: object }
    expect(Object.keys(copy.inner)).to.have.members(['__proto__', '\u0000shoal'])
    expect(Object.getPrototypeOf(copy.inner)).to.equal(Object.prototype)
    expect(({} as { polluted?: boolean }).polluted).to.equal(undefined)
  })

  for (const [what, value] of [
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a promise', Promise.resolve()],
    ['a function deep inside', { a: [new Map([['k', { f: () => 1 }]])] }],
    ['a WeakMap', new WeakMap()],
  ] as const) {
    it(`refuses ${what} with ERR_NOT_SERIALIZABLE`, () => {
      expect(() => codec.encode([value]))
        .to.throw(ServeError)
        .with.property('code', 'ERR_NOT_SERIALIZABLE')
    })
  }

  it('refuses what is nested too deep on both sides', () => {
    let deep: unknown = 1
    for (let i = 0; i < 1_000; i++) deep = [deep]
    expect(() => codec.encode([deep]))
      .to.throw(ServeError)
      .with.property('code', 'ERR_NOT_SERIALIZABLE')
    const bytes = new Uint8Array(10_001).fill(0x91)
    bytes[0] = 0
    bytes[10_000] = 1
    expect(() => codec.decode(bytes, true))
      .to.throw(ServeError)
      .with.property('code', 'ERR_BAD_REQUEST')
  })

  it('takes any JSON there and back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const plain = JSON.parse(JSON.stringify(value))
        expect(trip(plain)).to.deep.equal(plain)
      }),
      { numRuns: 300 },
    )
  })

  it('returns or throws ERR_BAD_REQUEST for 10,000 random and mutated messages', () => {
    const random = seededRandom(20_261)
    const samples = [
      [1, 5_000, 0, 'text'],
      [0.5, 1, 0, { a: [1, 2n, null] }],
      [1, 2, new Map([[1, new Float32Array(9)]]), new Set([1])],
    ].map((sample) => codec.encode(sample))
    const pure = JSON.stringify(Object.getOwnPropertyNames(Object.prototype))
    for (let i = 0; i < 10_000; i++) {
      const bytes = i % 2 === 0 ? randomBytes(random) : mutated(samples[i % samples.length] as Uint8Array, random)
      try {
        expect(codec.decode(bytes, i % 3 === 0)).to.be.an('array')
      } catch (error) {
        if ((error as ServeError).code !== 'ERR_BAD_REQUEST') throw error
      }
    }
    expect(JSON.stringify(Object.getOwnPropertyNames(Object.prototype))).to.equal(pure)
  })
})

describe('checkMsgpack', () => {
  const limits = { maxDepth: 4, maxValues: 10 }
  for (const [what, bytes] of [
    ['a list longer than its bytes', [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ['a map longer than its bytes', [0xdf, 0xff, 0xff, 0xff, 0xff]],
    ['text longer than its bytes', [0xdb, 0x7f, 0xff, 0xff, 0xff]],
    ['bytes after the value', [0x01, 0x01]],
    ['nothing at all', []],
    ['nesting beyond the limit', [0x91, 0x91, 0x91, 0x91, 0x91, 0x01]],
    ['more values than the limit', [0x9a, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]],
    ['a key that is no text', [0x81, 0x01, 0x01]],
    ['the key __proto__', [0x81, 0xa9, 0x5f, 0x5f, 0x70, 0x72, 0x6f, 0x74, 0x6f, 0x5f, 0x5f, 0x01]],
    ['an extension of a kind that is not written', [0xd4, 0x72, 0x40]],
    ['a byte that begins nothing', [0xc1]],
  ] as const) {
    it(`refuses ${what}`, () => {
      expect(() => checkMsgpack(Uint8Array.from(bytes), limits))
        .to.throw(ServeError)
        .with.property('code', 'ERR_BAD_REQUEST')
    })
  }
})

function randomBytes(random: () => number): Uint8Array {
  const bytes = Uint8Array.from({ length: Math.floor(random() * 200) }, () => Math.floor(random() * 256))
  if (bytes.length > 0) bytes[0] = Math.floor(random() * 3)
  return bytes
}

function mutated(sample: Uint8Array, random: () => number): Uint8Array {
  const bytes = sample.slice(0, random() < 0.2 ? Math.floor(random() * sample.length) : sample.length)
  for (let i = 0; i < 1 + random() * 4 && bytes.length > 0; i++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
  return bytes
}
