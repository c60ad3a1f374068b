import { expect } from 'chai'
import { decodeHttpHead, encodeHttpHead, HttpRequest, type RawBody } from '../../../core/request/index.ts'
import { failure } from '../../support/failure.ts'

interface Parts {
  readonly method?: string
  readonly url?: string
  readonly headers?: readonly string[]
}

function head({ method = 'POST', url = 'http://host:80/path?a=1&b=2&a=3#end', headers = [] }: Parts = {}): string {
  return encodeHttpHead({ rendered: true, callMethod: '', httpMethod: method, url, requestId: 'r1', rawHeaders: headers })
}

const of = (body: RawBody, type?: string, parts: Parts = {}): HttpRequest =>
  new HttpRequest(head({ headers: type === undefined ? [] : ['Content-Type', type], ...parts }), body)

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('HttpRequest', () => {
  it('gives method, URL, id and headers as they came', () => {
    const request = of(undefined, undefined, { method: 'PUT', headers: ['X-A', '1', 'x-a', '2', 'Cookie', 'c=d'] })
    expect([request.method, request.url, request.id]).to.deep.equal(['PUT', 'http://host:80/path?a=1&b=2&a=3#end', 'r1'])
    expect([request.headers.get('x-a'), request.headers.get('cookie')]).to.deep.equal(['1, 2', 'c=d'])
  })

  it('passes for a Request', () => {
    expect((of(undefined) as unknown) instanceof Request).to.equal(true)
    expect(Object.prototype.toString.call(of(undefined))).to.equal('[object Request]')
  })

  it('becomes a real Request where one is needed', async () => {
    const real = HttpRequest.real(of('text', 'text/plain')) as Request
    expect([real.method, real.url, await real.text()]).to.deep.equal(['POST', 'http://host/path?a=1&b=2&a=3#end', 'text'])
  })

  it('answers what it does not know itself through a real one', () => {
    const request = of(undefined) as unknown as Request
    expect([request.redirect, request.referrer]).to.deep.equal(['follow', 'about:client'])
  })

  it('gives args without prototype, the last value winning, and all of them by the URL', () => {
    const { args, url } = of(undefined)
    expect({ ...args }).to.deep.equal({ a: '3', b: '2' })
    expect(Object.getPrototypeOf(args)).to.equal(null)
    expect(new URL(url).searchParams.getAll('a')).to.deep.equal(['1', '3'])
  })

  it('gives no args for an URL without a query', () => {
    expect({ ...of(undefined, undefined, { url: 'http://h/p#x?y=1' }).args }).to.deep.equal({})
  })

  it('decodes a query', () => {
    expect({ ...of(undefined, undefined, { url: 'http://h/?q=a+b%26c&empty=&flag' }).args }).to.deep.equal({
      q: 'a b&c',
      empty: '',
      flag: '',
    })
  })

  describe('data', () => {
    for (const [what, body, type, data] of [
      ['JSON', '{"a":[1]}', 'application/json', { a: [1] }],
      ['JSON with a charset', '{"a":1}', 'Application/JSON; charset=utf-8', { a: 1 }],
      ['JSON of a suffix', '[]', 'application/problem+json', []],
      ['JSON in bytes', bytes('{"a":"é"}'), 'application/json', { a: 'é' }],
      ['a text', 'x', 'text/plain', 'x'],
      ['a text in bytes', bytes('é'), 'text/csv', 'é'],
      ['bytes', 'ab', 'application/octet-stream', bytes('ab')],
      ['bytes without a type', 'ab', undefined, bytes('ab')],
      ['no body', undefined, 'application/json', undefined],
    ] as const) {
      it(`is right for ${what}`, () => expect(of(body, type).data).to.deep.equal(data))
    }

    it('is a plain object for a form', () => {
      const request = of('a=1&b=x+y&a=2', 'application/x-www-form-urlencoded')
      expect({ ...(request.data as object) }).to.deep.equal({ a: '2', b: 'x y' })
      expect(Object.getPrototypeOf(request.form)).to.equal(null)
    })

    it('is decoded once', () => {
      const request = of('{}', 'application/json')
      expect(request.data).to.equal(request.data)
    })

    it('fails with ERR_NOT_JSON for broken JSON, at every asking', () => {
      const request = of('{', 'application/json')
      for (let i = 0; i < 2; i++)
        expect(() => request.data)
          .to.throw()
          .with.property('code', 'ERR_NOT_JSON')
    })

    it('is guarded by the limits it is given', () => {
      const request = new HttpRequest(head({ headers: ['content-type', 'application/json'] }), '[[1]]', { maxDepth: 1, maxValues: 10 })
      expect(() => request.data)
        .to.throw()
        .with.property('code', 'ERR_NOT_JSON')
    })
  })

  describe('readers', () => {
    it('may be used repeatedly and in any order', async () => {
      const request = of('{"a":1}', 'application/json')
      for (let i = 0; i < 2; i++) {
        expect(await request.text()).to.equal('{"a":1}')
        expect(await request.json()).to.deep.equal({ a: 1 })
        expect(await request.bytes()).to.deep.equal(bytes('{"a":1}'))
        expect((await request.arrayBuffer()).byteLength).to.equal(7)
        expect(await (await request.blob()).text()).to.equal('{"a":1}')
        expect(await new Response(request.body).text()).to.equal('{"a":1}')
        expect(await request.clone().text()).to.equal('{"a":1}')
      }
      expect(request.bodyUsed).to.equal(false)
    })

    it('read a body of any type as JSON when asked to', async () => {
      expect(await of('[1]', 'text/plain').json()).to.deep.equal([1])
    })

    it('fail with ERR_NOT_JSON for an empty body', async () => {
      expect((await failure(of(undefined).json())).code).to.equal('ERR_NOT_JSON')
    })

    it('give nothing for no body', async () => {
      const request = of(undefined)
      expect([await request.text(), (await request.bytes()).length, request.body]).to.deep.equal(['', 0, null])
    })

    it('read a form', async () => {
      const form = await of('a=1&a=2', 'application/x-www-form-urlencoded').formData()
      expect(form.getAll('a')).to.deep.equal(['1', '2'])
    })
  })

  describe('a multipart form', () => {
    const body = '--x\r\nContent-Disposition: form-data; name="n"\r\n\r\nAda\r\n--x--\r\n'

    it('is there at once after it was prepared', async () => {
      const request = of(body, 'multipart/form-data; boundary=x')
      await HttpRequest.prepare(request)
      expect({ ...request.form }).to.deep.equal({ n: 'Ada' })
      expect({ ...(request.data as object) }).to.deep.equal({ n: 'Ada' })
      expect((await request.formData()).get('n')).to.equal('Ada')
    })

    it('that is broken has no fields', async () => {
      const request = of('nonsense', 'multipart/form-data; boundary=x')
      await HttpRequest.prepare(request)
      expect({ ...request.form }).to.deep.equal({})
    })

    it('is all that needs preparing', () => {
      expect(HttpRequest.prepare(of('{}', 'application/json'))).to.equal(undefined)
      expect(HttpRequest.prepare(of(undefined, 'multipart/form-data; boundary=x'))).to.equal(undefined)
    })
  })

  it('gives an aborted signal, whenever it is asked for', () => {
    const [before, after] = [of(undefined), of(undefined)]
    const { signal } = before
    for (const request of [before, after]) HttpRequest.abort(request, 'reason')
    expect([signal.aborted, after.signal.aborted, after.signal.reason]).to.deep.equal([true, true, 'reason'])
  })
})

describe('the packed head', () => {
  it('comes back as it was', () => {
    for (const rawHeaders of [[], ['a', '1', 'b', ''], ['x', 'y: z']]) {
      const parts = { rendered: true, callMethod: 'm', httpMethod: 'GET', url: 'http://h/', requestId: 'r', rawHeaders }
      expect(decodeHttpHead(encodeHttpHead(parts))).to.deep.equal(parts)
      expect(decodeHttpHead(encodeHttpHead({ ...parts, rendered: false })).rendered).to.equal(false)
    }
  })
})
