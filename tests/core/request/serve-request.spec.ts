import { expect } from 'chai'
import { isServeError } from '../../../core/base/index.ts'
import { packHandleMeta, ServeRequest, unpackHandleMeta } from '../../../core/request/index.ts'
import { failure } from '../../support/failure.ts'

const of = <T>(data: T, options: Parameters<typeof packHandleMeta>[0] = {}): ServeRequest<T> =>
  new ServeRequest(35, 'b#1-', 'my endpoint', packHandleMeta(options), data)

// biome-ignore lint/suspicious/noExplicitAny: a request where a number is expected
const asNumber = (request: ServeRequest): any => request

describe('ServeRequest', () => {
  it('gives data as it was sent', () => {
    const data = { a: new Map([[1, 2]]) }
    expect(of(data).data).to.equal(data)
  })

  it('makes its id of prefix and number', () => expect(of(1).id).to.equal('b#1-z'))

  it('is a GET without headers and args by default', () => {
    const request = of(1)
    expect([request.method, [...request.headers], { ...request.args }]).to.deep.equal(['GET', [], {}])
  })

  it('gives method, headers and args of the handle', () => {
    const request = of(1, { v: 'PUT', h: [['X-A', '1']], a: { n: 5 } })
    expect([request.method, request.headers.get('x-a'), { ...request.args }]).to.deep.equal(['PUT', '1', { n: 5 }])
  })

  it('gives args without a prototype', () => {
    expect(Object.getPrototypeOf(of(1, { a: {} }).args)).to.equal(null)
  })

  it('has an URL of endpoint and args', () => {
    expect(of(1, { a: { q: 'a&b', n: 2 } }).url).to.equal('shoal://my%20endpoint/?q=a%26b&n=2')
    expect(of(1).url).to.equal('shoal://my%20endpoint/')
  })

  describe('json', () => {
    it('gives the data, again and again', async () => {
      const request = of({ a: [1, 'x', null, true] })
      expect([await request.json(), await request.json()]).to.deep.equal([request.data, request.data])
    })

    for (const [what, data, path] of [
      ['a BigInt', { a: 1n }, 'data.a'],
      ['a Map', [{ m: new Map() }], 'data[0].m'],
      ['bytes', new Uint8Array(1), 'data'],
      ['NaN', { n: Number.NaN }, 'data.n'],
      ['an Error', { e: new Error('x') }, 'data.e'],
    ] as const) {
      it(`refuses ${what} with ERR_NOT_JSON, naming the place`, async () => {
        const error = await failure(of(data as unknown).json())
        expect(error.code).to.equal('ERR_NOT_JSON')
        expect(error.message.startsWith(`${path} is`)).to.equal(true)
      })
    }

    it('refuses a cycle', async () => {
      const cycle: { self?: unknown } = {}
      cycle.self = cycle
      expect((await failure(of(cycle).json())).code).to.equal('ERR_NOT_JSON')
    })

    it('takes what knows how to become JSON', async () => {
      const request = of({ when: new Date(5) })
      expect(await request.json()).to.equal(request.data)
    })

    it('takes one object in two places', async () => {
      const shared = { x: 1 }
      expect(await of([shared, shared]).json()).to.deep.equal([{ x: 1 }, { x: 1 }])
    })
  })

  describe('text, bytes and their kin', () => {
    for (const [what, data, text] of [
      ['a text', 'grüße', 'grüße'],
      ['bytes', new TextEncoder().encode('grüße'), 'grüße'],
      ['an object', { a: 1 }, '{"a":1}'],
      ['a number', 5, '5'],
      ['nothing', undefined, ''],
    ] as const) {
      it(`read ${what}, again and again`, async () => {
        const request = of(data as unknown)
        const bytes = new TextEncoder().encode(text)
        for (let i = 0; i < 2; i++) {
          expect(await request.text()).to.equal(text)
          expect(new Uint8Array(await request.bytes())).to.deep.equal(bytes)
          expect(new Uint8Array(await request.arrayBuffer())).to.deep.equal(bytes)
          expect(await (await request.blob()).text()).to.equal(text)
        }
        expect(request.bodyUsed).to.equal(false)
      })
    }

    it('refuse what is no text with ERR_NOT_JSON', async () => {
      expect((await failure(of(new Map()).text())).code).to.equal('ERR_NOT_JSON')
    })

    it('give a body that can be read once per asking', async () => {
      const request = of('text')
      for (let i = 0; i < 2; i++) expect(await new Response(request.body).text()).to.equal('text')
      expect(of(undefined).body).to.equal(null)
    })

    it('give an ArrayBuffer of exactly the bytes of a view', async () => {
      expect((await of(new Uint8Array([1, 2, 3, 4]).subarray(1, 3)).arrayBuffer()).byteLength).to.equal(2)
    })
  })

  describe('forms', () => {
    it('are the fields of the data', async () => {
      const request = of({ name: 'Ada', tags: ['a', 'b'] })
      expect({ ...request.form }).to.deep.equal({ name: 'Ada', tags: ['a', 'b'] })
      const form = await request.formData()
      expect([form.get('name'), form.getAll('tags')]).to.deep.equal(['Ada', ['a', 'b']])
    })

    it('refuse data without fields with ERR_BAD_REQUEST', () => {
      for (const data of [5, 'text', null, [1], new Uint8Array(1)]) {
        expect(() => of(data as unknown).form, String(data))
          .to.throw()
          .that.satisfies((error: unknown) => isServeError(error, 'ERR_BAD_REQUEST'))
      }
    })
  })

  describe('as a primitive', () => {
    it('is its data, so that a number adds and compares', () => {
      let count = 3
      count += asNumber(of(5))
      expect(count).to.equal(8)
      expect(asNumber(of(5)) * 2).to.equal(10)
      expect(asNumber(of(5)) > 4).to.equal(true)
    })

    it('is its text in a text', () => {
      expect(`${of('x')} ${of(5)}`).to.equal('x 5')
      expect(asNumber(of('a')) + 'b').to.equal('ab')
    })

    it('is not broken by an object', () => {
      expect(String(of({ a: 1 }))).to.equal('[object Object]')
    })
  })

  describe('instanceof', () => {
    it('holds, for a request of another copy of the package too', () => {
      const foreign = Object.create({ [Symbol.for('shoal.ServeRequest')]: true })
      expect([of(1) instanceof ServeRequest, foreign instanceof ServeRequest]).to.deep.equal([true, true])
    })

    it('does not hold for anything else', () => {
      for (const value of [{}, null, 'x', new Request('http://h/')]) expect((value as object) instanceof ServeRequest).to.equal(false)
    })
  })

  it('gives one signal, aborted with the reason, whenever it is asked for', () => {
    const [before, after] = [of(1), of(1)]
    const { signal } = before
    for (const request of [before, after]) ServeRequest.abort(request, 'reason')
    expect([signal.aborted, signal.reason, before.signal === signal]).to.deep.equal([true, 'reason', true])
    expect([after.signal.aborted, after.signal.reason]).to.deep.equal([true, 'reason'])
  })
})

describe('packHandleMeta', () => {
  it('needs no slot when nothing is set', () => {
    expect(packHandleMeta({})).to.equal(0)
    expect(packHandleMeta({ m: undefined })).to.equal(0)
  })

  it('makes one text of what JSON keeps', () => {
    const meta = { m: 'x', h: [['a', 'b']] as const, a: { s: 'x', n: 1, b: true, z: null } }
    const packed = packHandleMeta(meta)
    expect(packed).to.be.a('string')
    expect(unpackHandleMeta(packed)).to.deep.equal(meta)
  })

  it('keeps an object for args that JSON would change', () => {
    for (const value of [undefined, Number.NaN, new Date(5), 1n, [1]]) {
      const meta = { a: { value } }
      expect(packHandleMeta(meta)).to.equal(meta)
    }
  })
})
