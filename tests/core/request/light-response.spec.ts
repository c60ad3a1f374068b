import { expect } from 'chai'
import { isResponse, LightResponse } from '../../../core/request/index.ts'

/** Every way to make one, for a native and for a light one. */
const WAYS: Readonly<Record<string, (make: typeof Response) => Response>> = {
  'without anything': (R) => new R(),
  'of null': (R) => new R(null, { status: 204 }),
  'of a text': (R) => new R('text'),
  'of a text with a type of its own': (R) => new R('<p>', { headers: { 'Content-Type': 'text/html' } }),
  'of bytes': (R) => new R(new Uint8Array([104, 105]), { status: 201 }),
  'of a buffer': (R) => new R(new Uint8Array([104, 105]).buffer),
  'of URL parameters': (R) => new R(new URLSearchParams({ a: '1' })),
  'of a blob': (R) => new R(new Blob(['hi'], { type: 'text/x' })),
  'with header pairs': (R) => new R('x', { headers: [['x-a', '1']] }),
  'with a status text': (R) => new R('x', { status: 404, statusText: 'Gone fishing' }),
  'by json': (R) => R.json({ a: 1 }),
  'by json with a type of its own': (R) => R.json([1], { status: 202, headers: { 'content-type': 'application/x+json' } }),
  'by redirect': (R) => R.redirect('http://h/', 303),
}

async function describeResponse(response: Response): Promise<unknown> {
  const clone = response.clone()
  return {
    status: response.status,
    statusText: response.statusText,
    ok: response.ok,
    headers: [...response.headers],
    text: await response.text(),
    bodyUsed: response.bodyUsed,
    cloned: await clone.text(),
  }
}

describe('LightResponse', () => {
  for (const [way, make] of Object.entries(WAYS)) {
    it(`made ${way} is like a native one`, async () => {
      const light = make(LightResponse as unknown as typeof Response)
      expect(await describeResponse(light)).to.deep.equal(await describeResponse(make(Response)))
    })
  }

  it('refuses a status out of range like a native one', () => {
    for (const status of [0, 101, 600]) expect(() => new LightResponse('x', { status }), String(status)).to.throw(RangeError)
  })

  it('passes for a Response of its own and of the native class', () => {
    expect((new Response() as object) instanceof LightResponse).to.equal(true)
    expect((new LightResponse() as object) instanceof LightResponse).to.equal(true)
    expect(({} as object) instanceof LightResponse).to.equal(false)
  })

  it('gives its parts as long as nobody made it real', () => {
    const response = new LightResponse('text', { status: 201 })
    expect(LightResponse.parts(response)).to.deep.equal([[201, ['content-type', 'text/plain;charset=UTF-8']], 'text'])
    void (response as unknown as Response).body
    expect(LightResponse.parts(response)).to.equal(undefined)
  })

  it('keeps headers that were changed after it was made', () => {
    const response = new LightResponse('text')
    response.headers.set('x-a', '1')
    expect(LightResponse.parts(response)?.[0][1]).to.include('x-a')
    expect(LightResponse.real(response).headers.get('x-a')).to.equal('1')
  })

  it('refuses invalid headers, at the latest when they are read', () => {
    expect(() => new LightResponse('x', { headers: { 'bad name': '1' } }).headers).to.throw(TypeError)
  })

  it('is told from everything else by isResponse', () => {
    expect([new Response(), new LightResponse(), {}, null, 'x'].map(isResponse)).to.deep.equal([true, true, false, false, false])
  })
})
