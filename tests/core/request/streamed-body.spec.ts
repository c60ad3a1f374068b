import { expect } from 'chai'
import { ServeError } from '../../../core/base/index.ts'
import { BODY_WINDOW_BYTES, encodeHttpHead, HttpRequest, StreamedBody } from '../../../core/request/index.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const codeOf = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'none',
    (error: { code?: string }) => error.code,
  )

/** A request whose body streams in, and the sender's end of it. */
function open(contentType = 'application/json', method = 'POST') {
  const credits: number[] = []
  const body = new StreamedBody((bytes) => credits.push(bytes))
  const head = {
    rendered: true,
    callMethod: '',
    httpMethod: method,
    url: 'http://h/p',
    requestId: 'r',
    rawHeaders: ['content-type', contentType],
  }
  return { credits, body, request: new HttpRequest(encodeHttpHead(head), body) as HttpRequest & Request }
}

/** The same, with all of its body there. */
function filled(text: string, contentType?: string) {
  const opened = open(contentType)
  opened.body.push(bytesOf(text))
  opened.body.end()
  return opened
}

async function partsOf(stream: ReadableStream<Uint8Array> | null): Promise<string[]> {
  const texts: string[] = []
  const reader = stream!.getReader()
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) texts.push(new TextDecoder().decode(value))
  return texts
}

describe('a body that streams in', () => {
  for (const member of ['data', 'form'] as const) {
    it(`has no request.${member}: ERR_BODY_STREAMED names the readers`, () => {
      const { request } = open()
      expect(() => request[member])
        .to.throw(ServeError)
        .with.property('code', 'ERR_BODY_STREAMED')
      expect(() => request[member]).to.throw(/json\(\)|formData\(\)/)
    })
  }

  it('is asked for by nobody until it is read', async () => {
    const { credits, request, body } = open()
    expect(credits).to.deep.equal([])
    const text = request.text()
    expect(credits).to.deep.equal([BODY_WINDOW_BYTES])
    body.end()
    expect(await text).to.equal('')
  })

  it('gives credit back when half of the window was taken', async () => {
    const { credits, request, body } = open()
    const reader = request.body!.getReader()
    const first = reader.read()
    await Promise.resolve()
    body.push(new Uint8Array(BODY_WINDOW_BYTES / 2 - 1))
    await first
    expect(credits).to.deep.equal([BODY_WINDOW_BYTES])
    body.push(new Uint8Array(1))
    await reader.read()
    expect(credits).to.deep.equal([BODY_WINDOW_BYTES, BODY_WINDOW_BYTES / 2])
  })

  it('is read by every reader, as often as one likes, once it was read whole', async () => {
    const { request } = filled('{"a":1}')
    expect(await request.json()).to.deep.equal({ a: 1 })
    expect(await request.text()).to.equal('{"a":1}')
    expect((await request.bytes()).length).to.equal(7)
    expect((await request.arrayBuffer()).byteLength).to.equal(7)
    expect((await request.blob()).size).to.equal(7)
    expect(await partsOf(request.body)).to.deep.equal(['{"a":1}'])
    expect(await partsOf(request.body)).to.deep.equal(['{"a":1}'])
    expect(request.bodyUsed).to.equal(false)
  })

  it('is read by several readers at once', async () => {
    const { request } = filled('ab')
    expect(await Promise.all([request.text(), request.text()])).to.deep.equal(['ab', 'ab'])
  })

  it('gives a form', async () => {
    const { request } = filled('a=1&b=2', 'application/x-www-form-urlencoded')
    expect([...(await request.formData())]).to.deep.equal([
      ['a', '1'],
      ['b', '2'],
    ])
  })

  it('guards JSON as a small body does', async () => {
    expect(await codeOf(filled('{"__proto__":1}').request.json())).to.equal('ERR_NOT_JSON')
  })

  it('gives the parts of request.body as they come', async () => {
    const { request, body } = open()
    const reader = request.body!.getReader()
    const first = reader.read()
    await Promise.resolve()
    body.push(bytesOf('a'))
    expect(new TextDecoder().decode((await first).value)).to.equal('a')
    body.push(bytesOf('b'))
    body.end()
    expect(new TextDecoder().decode((await reader.read()).value)).to.equal('b')
    expect((await reader.read()).done).to.equal(true)
  })

  it('cannot be read again after request.body was read: ERR_BODY_STREAMED', async () => {
    const { request } = filled('ab')
    await partsOf(request.body)
    expect(request.bodyUsed).to.equal(true)
    expect(await codeOf(request.text())).to.equal('ERR_BODY_STREAMED')
  })

  it('is kept for others when a clone reads it', async () => {
    const { request } = filled('ab')
    expect(await request.clone().text()).to.equal('ab')
    expect(await request.text()).to.equal('ab')
  })

  it('rejects its readers when the caller lets go, now and later', async () => {
    const { request } = open()
    const text = codeOf(request.text())
    HttpRequest.abort(request, new ServeError('ERR_CANCELLED', 'gone'))
    expect(await text).to.equal('ERR_CANCELLED')
    expect(await codeOf(request.bytes())).to.equal('ERR_CANCELLED')
  })

  it('breaks its stream when the caller lets go', async () => {
    const { request } = open()
    const parts = codeOf(partsOf(request.body))
    await Promise.resolve()
    HttpRequest.abort(request, new ServeError('ERR_CANCELLED', 'gone'))
    expect(await parts).to.equal('ERR_CANCELLED')
  })

  it('gives what had come before it broke off, then the reason', async () => {
    const { request, body } = open()
    body.push(bytesOf('a'))
    body.end(new ServeError('ERR_PAYLOAD_TOO_LARGE', 'too much'))
    const reader = request.body!.getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).to.equal('a')
    expect(await codeOf(reader.read())).to.equal('ERR_PAYLOAD_TOO_LARGE')
  })

  it('is no reason to wait before the handler starts, multipart or not', () => {
    expect(HttpRequest.prepare(open('multipart/form-data; boundary=x').request)).to.equal(undefined)
  })
})
