import { connect } from 'node:net'
import { expect } from 'chai'
import { type HttpOptions, resolveHttpOptions } from '../../core/gateway/index.ts'
import { AnswerKind } from '../../core/request/index.ts'
import { type HttpGateway, startHttpGateway } from '../../node/http-gateway.ts'
import { FakeSource, FakeStream } from '../compliance/gateway-source.ts'

const LIMITS: HttpOptions = { port: 0, maxBodyBytes: 1_000, maxHeaders: 20 }
/** For what never ends, alone: what is sent whole may take its time on a busy machine. */
const IMPATIENT: HttpOptions = { headersTimeoutMs: 300, uploadTimeoutMs: 400, slowReaderTimeoutMs: 100 }
const GOOD = 'GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

const start = (options: HttpOptions = {}): Promise<HttpGateway> => {
  const source = new FakeSource()
    .serve('/a', (call) => call.sink.answer(AnswerKind.TEXT, 'good'), { methods: ['GET', 'POST', 'PUT', 'DELETE', 'TRACE'] })
    .serve('/files/*', (call) => call.sink.answer(AnswerKind.TEXT, 'file'))
    .serve('/endless', (call) =>
      call.sink.answer(AnswerKind.STREAM, new FakeStream(Array.from({ length: 1_000 }, () => ['x'.repeat(100_000)]))),
    )
  return startHttpGateway({ source, options: resolveHttpOptions({ ...LIMITS, ...options }), random: Math.random })
}

/** Sends bytes as they are and collects what comes until the other side closes. */
function exchange(port: number, parts: readonly string[], { end = false } = {}): Promise<string> {
  return new Promise((resolve) => {
    let received = ''
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
    })
    socket.on('error', () => undefined)
    socket.on('end', () => socket.end())
    socket.on('close', () => resolve(received))
    for (const part of parts) socket.write(part, 'latin1')
    if (end) socket.end()
  })
}

const statusesIn = (received: string): number[] => [...received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]))
const post = (head: string, body = ''): string => `POST /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${head}\r\n\r\n${body}`
const get = (target: string, head = 'Host: localhost'): string => `GET ${target} HTTP/1.1\r\n${head}\r\nConnection: close\r\n\r\n`

/** What is sent, and the statuses that come back; none when the connection is closed without a word. */
const CASES: readonly (readonly [what: string, sent: string, statuses: readonly number[]])[] = [
  ['noise', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', [400]],
  ['an invented method', 'FOO /a HTTP/1.1\r\nHost: localhost\r\n\r\n', [400]],
  ['a lower-case method', 'get /a HTTP/1.1\r\nHost: localhost\r\n\r\n', [400]],
  ['another protocol', 'GET /a SIP/2.0\r\nHost: localhost\r\n\r\n', [400]],
  ['HTTP/2 by prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
  ['no Host', get('/a', 'Accept: */*'), [400]],
  ['HTTP/1.0 without Host', 'GET /a HTTP/1.0\r\n\r\n', [400]],
  ['an empty Host', get('/a', 'Host: '), [421]],
  ['two Hosts', get('/a', 'Host: localhost\r\nHost: localhost'), [400]],
  ['two Hosts, one foreign, in other case', get('/a', 'Host: localhost\r\nhOST: evil.test'), [400]],
  ['a foreign Host', get('/a', 'Host: evil.test'), [421]],
  ['a Host that begins like a served one', get('/a', 'Host: localhost.evil.test'), [421]],
  ['a Host with a trailing dot', get('/a', 'Host: localhost.'), [421]],
  ['a Host with a user', get('/a', 'Host: localhost@evil.test'), [421]],
  ['an address spelled as one number', get('/a', 'Host: 2130706433'), [421]],
  ['an address spelled in hexadecimal', get('/a', 'Host: 0x7f.0.0.1'), [421]],
  ['an address with leading zeros', get('/a', 'Host: 0127.0.0.1'), [421]],
  ['the wildcard address', get('/a', 'Host: 0.0.0.0:8000'), [421]],
  ['an address of another machine', get('/a', 'Host: 192.0.2.1'), [421]],
  ['a port beyond 65 535', get('/a', 'Host: localhost:99999'), [421]],
  ['a Host in capitals', get('/a', 'Host: LOCALHOST:1'), [200]],
  ['a loopback address with any port', get('/a', 'Host: 127.0.0.1:1234'), [200]],
  ['the loopback address of IPv6', get('/a', 'Host: [::1]:80'), [200]],
  ['the loopback address of IPv6 in full', get('/a', 'Host: [0:0:0:0:0:0:0:1]'), [421]],
  ['an absolute target of another host', get('http://evil.test/a'), [421]],
  ['an absolute target of this host', get('http://localhost/a'), [200]],
  ['an absolute target with a user', get('http://localhost@evil.test/a'), [421]],
  ['an absolute target of this host with a foreign Host', get('http://localhost/a', 'Host: evil.test'), [421]],
  ['an asterisk as target', 'OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', [400]],
  ['dot segments', get('/../../etc/passwd'), [400]],
  ['dot segments under a prefix', get('/files/../a'), [400]],
  ['encoded dot segments', get('/files/%2e%2e/a'), [400]],
  ['a single dot segment', get('/./a'), [400]],
  ['an encoded slash behind dots', get('/files/..%2fa'), [200]],
  ['backslashes', get('/files\\..\\a'), [400]],
  ['an encoded NUL', get('/files/%00'), [400]],
  ['a percent sign alone', get('/files/%'), [400]],
  ['a doubled slash', get('//a'), [404]],
  ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n', [400]],
  ['a NUL in a header', get('/a', 'Host: localhost\r\nX: a\0b'), [400]],
  ['a folded header', get('/a', 'Host: localhost\r\nX: a\r\n b'), [400]],
  ['a space before the colon', get('/a', 'Host : localhost'), [400]],
  ['a bare line feed', 'GET /a HTTP/1.1\nHost: localhost\n\n', [400]],
  ['more headers than allowed', get('/a', `Host: localhost\r\n${'X-A: 1\r\n'.repeat(30)}X-B: 1`), [431]],
  ['a head that is too large', get('/a', `Host: localhost\r\nX: ${'x'.repeat(20_000)}`), [431]],
  ['a target that is too large', get(`/${'x'.repeat(20_000)}`), [431]],
  ['length and chunks at once', post('Content-Length: 3\r\nTransfer-Encoding: chunked', '0\r\n\r\n'), [400]],
  ['two lengths', post('Content-Length: 3\r\nContent-Length: 4', 'abcd'), [400]],
  ['a negative length', post('Content-Length: -1'), [400]],
  ['a length with a sign', post('Content-Length: +3', 'abc'), [400]],
  ['an unknown transfer encoding', post('Transfer-Encoding: xchunked', '0\r\n\r\n'), [400]],
  ['chunks that are not last', post('Transfer-Encoding: chunked, identity', '0\r\n\r\n'), [400]],
  ['a chunk size that overflows', post('Transfer-Encoding: chunked', 'fffffffffffffffff\r\nx\r\n'), [400]],
  ['a chunk size that is no number', post('Transfer-Encoding: chunked', 'zz\r\nx\r\n'), [400]],
  ['long chunk extensions', post('Transfer-Encoding: chunked', `1;${'e'.repeat(20_000)}\r\nx\r\n0\r\n\r\n`), [413]],
  ['a chunked body within the limit', post('Transfer-Encoding: chunked', '3;ext=1\r\nabc\r\n0\r\n\r\n'), [200]],
  ['a declared length beyond the limit', post('Content-Length: 5000000'), [413]],
  ['chunks beyond the limit', post('Transfer-Encoding: chunked', `${'400\r\n'}${'x'.repeat(1_024)}\r\n0\r\n\r\n`), [413]],
  ['chunks in HTTP/1.0', 'POST /a HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', [400]],
  ['an expectation that is met', post('Content-Length: 3\r\nExpect: 100-continue', 'abc'), [100, 200]],
  ['an expectation for a body that is too large', post('Content-Length: 5000\r\nExpect: 100-continue'), [413]],
  ['an expectation nobody knows', post('Content-Length: 3\r\nExpect: 200-ok', 'abc'), [400]],
  [
    'an upgrade to WebSocket',
    get('/a', 'Host: localhost\r\nUpgrade: websocket').replace('Connection: close', 'Connection: Upgrade'),
    [501],
  ],
  ['a tunnel', 'CONNECT evil.test:443 HTTP/1.1\r\nHost: localhost\r\n\r\n', [501]],
  ['TRACE from another origin', 'TRACE /a HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.test\r\nConnection: close\r\n\r\n', [403]],
  ['two Origins', post('Origin: http://localhost\r\nOrigin: http://evil.test\r\nContent-Length: 0'), [403]],
  ['its own Origin', post('Origin: http://localhost\r\nContent-Length: 0'), [200]],
  ['two requests in one piece', GOOD.replace('Connection: close\r\n', '') + GOOD, [200, 200]],
]

describe('http gateway: hostile input', () => {
  for (const kind of ['plain', 'with a middleware']) {
    describe(kind, () => {
      let server: HttpGateway
      before(async () => {
        server = await start(kind === 'plain' ? {} : { middlewares: [async (_context, next) => next()] })
      })
      after(() => server.close({ drainMs: 0 }))

      for (const [what, sent, statuses] of CASES) {
        it(`answers ${statuses.join(', ')} to ${what}, and the next request`, async () => {
          const received = await exchange(server.port, [sent])
          expect(statusesIn(received)).to.deep.equal(statuses)
          if (statuses.every((status) => status >= 400)) expect(received).to.match(/"code":"ERR_\w+"/)
          expect(statusesIn(await exchange(server.port, [GOOD]))).to.deep.equal([200])
        })
      }
    })
  }

  it('closes a connection whose head never ends', () => withServer(['GET /a HTTP/1.1\r\nHost: loc'], [408], { options: IMPATIENT }))
  it('closes a connection whose body never ends', () => withServer([post('Content-Length: 10', 'abc')], [408], { options: IMPATIENT }))
  it('goes on when a client leaves in the middle of its body', () => withServer([post('Content-Length: 10', 'abc')], [400], { end: true }))
  it('goes on when a client leaves without a word', () => withServer([''], [], { end: true }))

  it('answers a good request and then refuses the noise behind it', () =>
    withServer([`${GOOD.replace('Connection: close\r\n', '')}noise\r\n\r\n`], [200, 400]))

  it('cuts a client that takes nothing of a stream', async () => {
    const stream = new FakeStream(Array.from({ length: 1_000 }, () => ['x'.repeat(100_000)]))
    const source = new FakeSource().serve('/endless', (call) => call.sink.answer(AnswerKind.STREAM, stream))
    const server = await startHttpGateway({ source, options: resolveHttpOptions({ ...LIMITS, ...IMPATIENT }), random: Math.random })
    const socket = connect({ port: server.port, host: '127.0.0.1' }).on('error', () => undefined)
    socket.pause().write(get('/endless'))
    await stream.whenCancelled
    socket.destroy()
    await server.close({ drainMs: 0 })
  })

  async function withServer(
    parts: readonly string[],
    statuses: readonly number[],
    how: { readonly end?: boolean; readonly options?: HttpOptions } = {},
  ): Promise<void> {
    const server = await start(how.options)
    try {
      expect(statusesIn(await exchange(server.port, parts, how))).to.deep.equal(statuses)
      expect(statusesIn(await exchange(server.port, [GOOD]))).to.deep.equal([200])
    } finally {
      await server.close({ drainMs: 0 })
    }
  }
})
