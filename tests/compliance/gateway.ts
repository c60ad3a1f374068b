import { expect } from 'chai'
import { ServeError, TaskError } from '../../core/base/index.ts'
import type { HttpOptions } from '../../core/gateway/index.ts'
import { AnswerKind, type HttpHead, STREAMED } from '../../core/request/index.ts'
import type { Call } from '../../core/service/index.ts'
import { type FakeHandler, FakeSource, FakeStream } from './gateway-source.ts'

/** A gateway under test, however it is reached. */
export interface ServedGateway {
  /** Sends a request; a path is enough. */
  send(path: string, init?: SentRequest): Promise<SentAnswer>
  close(): Promise<void>
}

export interface SentRequest {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  readonly signal?: AbortSignal
}

export interface SentAnswer {
  readonly status: number
  readonly headers: Headers
  /** Rejects when the answer was broken off. */
  text(): Promise<string>
  /** The parts as they arrive. */
  readonly body: ReadableStream<Uint8Array> | null
}

/** Starts one. */
export type StartGateway = (source: FakeSource, options: HttpOptions) => Promise<ServedGateway>

const text: FakeHandler = (call) => call.sink.answer(AnswerKind.TEXT, 'hello')
const failing =
  (error: ServeError): FakeHandler =>
  (call) =>
    call.sink.fail(error)
const full =
  (status: number, headers: readonly string[], body?: string | Uint8Array): FakeHandler =>
  (call) =>
    call.sink.answer(AnswerKind.FULL, [status, headers, body])
const streaming =
  (stream: FakeStream): FakeHandler =>
  (call) =>
    call.sink.answer(AnswerKind.STREAM, stream)

async function problem(answer: SentAnswer): Promise<Record<string, unknown>> {
  expect(answer.headers.get('content-type')).to.equal('application/problem+json')
  return JSON.parse(await answer.text())
}

/** What every way into a gateway must do alike. */
export function gatewayCompliance(name: string, start: StartGateway): void {
  describe(`gateway: ${name}`, () => {
    /** Runs a check against a gateway of its own. */
    const withGateway = async (
      source: FakeSource,
      check: (send: ServedGateway['send']) => Promise<void>,
      options: HttpOptions = {},
    ): Promise<void> => {
      const served = await start(source, { port: 0, ...options })
      try {
        await check(served.send)
      } finally {
        await served.close()
      }
    }

    describe('answers', () => {
      const rows: [string, FakeHandler, number, string | null, string][] = [
        ['a text as text/plain', text, 200, 'text/plain; charset=utf-8', 'hello'],
        ['JSON as it came', (call) => call.sink.answer(AnswerKind.JSON, '{"a":"é"}'), 200, 'application/json', '{"a":"é"}'],
        [
          'bytes as octets',
          (call) => call.sink.answer(AnswerKind.BYTES, new Uint8Array([104, 105])),
          200,
          'application/octet-stream',
          'hi',
        ],
        ['nothing as an empty 200', (call) => call.sink.answer(AnswerKind.EMPTY, undefined), 200, null, ''],
        ['a response as it is', full(201, ['content-type', 'text/html', 'x-own', '1'], '<b>'), 201, 'text/html', '<b>'],
        ['a response without a body', full(204, []), 204, null, ''],
      ]
      for (const [what, handler, status, contentType, body] of rows) {
        it(`renders ${what}`, () =>
          withGateway(new FakeSource().serve('/a', handler), async (send) => {
            const answer = await send('/a')
            expect([answer.status, answer.headers.get('content-type'), await answer.text()]).to.deep.equal([status, contentType, body])
          }))
      }

      it('carries a request id of its own on every answer, which the handler sees too', () => {
        const source = new FakeSource().serve('/a', text)
        return withGateway(source, async (send) => {
          const first = await send('/a', { headers: { 'x-serve-request-id': 'mine' } })
          const second = await send('/nowhere')
          const id = first.headers.get('x-serve-request-id')
          expect(id).to.match(/^\w+-\w+$/)
          expect(second.headers.get('x-serve-request-id')).to.not.equal(id)
          expect(headOf(source)).to.include({ requestId: id })
        })
      })

      it('keeps every set-cookie of a response apart', () =>
        withGateway(new FakeSource().serve('/a', full(200, ['set-cookie', 'a=1', 'set-cookie', 'b=2'], '')), async (send) => {
          expect((await send('/a')).headers.getSetCookie()).to.deep.equal(['a=1', 'b=2'])
        }))

      it('answers HEAD where GET is allowed, with the length and without the body', () =>
        withGateway(new FakeSource().serve('/a', text, { methods: ['GET'] }), async (send) => {
          const answer = await send('/a', { method: 'HEAD' })
          expect([answer.status, answer.headers.get('content-length'), await answer.text()]).to.deep.equal([200, '5', ''])
        }))

      it('keeps the length a handler gives for HEAD', () =>
        withGateway(new FakeSource().serve('/a', full(200, ['content-length', '77'])), async (send) => {
          expect((await send('/a', { method: 'HEAD' })).headers.get('content-length')).to.equal('77')
        }))

      it('ignores a wrong content-length of a handler', () =>
        withGateway(new FakeSource().serve('/a', full(200, ['content-length', '1'], 'four')), async (send) => {
          expect(await (await send('/a')).text()).to.equal('four')
        }))

      it('leaves out headers about a connection, which a handler passes on with what it fetched', () =>
        withGateway(
          new FakeSource().serve('/a', full(200, ['Transfer-Encoding', 'gzip', 'Upgrade', 'x', 'x-kept', '1'], 'four')),
          async (send) => {
            const answer = await send('/a')
            expect([answer.status, answer.headers.get('x-kept'), answer.headers.get('upgrade'), await answer.text()]).to.deep.equal([
              200,
              '1',
              null,
              'four',
            ])
          },
        ))

      const bad: [string, FakeHandler][] = [
        ['a line break in a value', full(200, ['x-bad', 'a\r\nset-cookie: b'], '')],
        ['a character beyond latin1', full(200, ['x-bad', '\u{1f600}'], '')],
        ['a space in a name', full(200, ['x bad', '1'], '')],
        ['an empty name', full(200, ['', '1'], '')],
        ['a status below 200', full(101, [], '')],
        ['a status beyond 599', full(700, [], '')],
        ['a kind HTTP has no form for', (call) => call.sink.answer(AnswerKind.VALUE, {})],
        ['a bad header on a stream', streaming(new FakeStream([['x']], [200, ['x-bad', '\n']]))],
      ]
      for (const [what, handler] of bad) {
        it(`answers 502 ERR_BAD_RESPONSE for ${what} and goes on`, () =>
          withGateway(new FakeSource().serve('/bad', handler).serve('/a', text), async (send) => {
            const answer = await send('/bad')
            expect(answer.status).to.equal(502)
            expect(await problem(answer)).to.include({ code: 'ERR_BAD_RESPONSE', outcome: 'completed' })
            expect((await send('/a')).status).to.equal(200)
          }))
      }
    })

    describe('calls', () => {
      it('hands on method, absolute URL and headers unparsed', () => {
        const source = new FakeSource().serve('/a', text)
        return withGateway(source, async (send) => {
          await send('/a?b=c&d=%20', { headers: { 'x-own': 'Yes' } })
          const head = headOf(source)
          expect(head.rendered).to.equal(true)
          expect(head.httpMethod).to.equal('GET')
          expect(head.url).to.match(/^http:\/\/[\w.:]+\/a\?b=c&d=%20$/)
          expect(new Map(pairs(head)).get('x-own')).to.equal('Yes')
        })
      })

      it('reads call method, shard key and timeout, and drops other x-serve headers', () => {
        const source = new FakeSource().serve('/a', text)
        return withGateway(source, async (send) => {
          const headers = {
            'X-SERVE-CALL-METHOD': 'other',
            'x-serve-shard-key': 'k',
            'X-Serve-Timeout-Ms': '250',
            'x-serve-outcome': 'forged',
          }
          await send('/a', { headers })
          const call = source.calls[0] as Call
          expect([call.method, call.shardKey, call.timeoutMs]).to.deep.equal(['other', 'k', 250])
          expect(headOf(source).callMethod).to.equal('other')
          expect(new Map(pairs(headOf(source))).has('x-serve-outcome')).to.equal(false)
        })
      })

      it('caps a timeout at 600 000 ms', () => {
        const source = new FakeSource().serve('/a', text)
        return withGateway(source, async (send) => {
          await send('/a', { headers: { 'x-serve-timeout-ms': '999999999' } })
          expect(source.calls[0]?.timeoutMs).to.equal(600_000)
        })
      })

      for (const value of ['0', '-1', '1.5', 'soon', '1e3']) {
        it(`refuses the timeout ${value}`, () =>
          withGateway(new FakeSource().serve('/a', text), async (send) => {
            const answer = await send('/a', { headers: { 'x-serve-timeout-ms': value } })
            expect([answer.status, (await problem(answer)).code]).to.deep.equal([400, 'ERR_BAD_REQUEST'])
          }))
      }

      it('refuses a call method that callMethods does not list', () =>
        withGateway(new FakeSource().serve('/a', text, { callMethods: ['open'] }), async (send) => {
          expect((await send('/a', { headers: { 'x-serve-call-method': 'open' } })).status).to.equal(200)
          expect((await send('/a')).status).to.equal(200)
          const answer = await send('/a', { headers: { 'x-serve-call-method': 'secret' } })
          expect([answer.status, (await problem(answer)).code]).to.deep.equal([404, 'ERR_METHOD_NOT_FOUND'])
        }))

      it('hands over an ASCII body as text', () => {
        const source = new FakeSource().serve('/a', text)
        return withGateway(source, async (send) => {
          await send('/a', { method: 'POST', body: '{"a":1}' })
          expect(source.calls[0]?.data).to.equal('{"a":1}')
          expect(source.calls[0]?.transfer).to.equal(undefined)
        })
      })

      it('hands over a large body to be moved', () => {
        const source = new FakeSource().serve('/a', text)
        return withGateway(source, async (send) => {
          await send('/a', { method: 'POST', body: 'é'.repeat(40_000) })
          const data = source.calls[0]?.data as Uint8Array<ArrayBuffer>
          expect(source.calls[0]?.transfer).to.deep.equal([data.buffer])
        })
      })

      it('hands over any other body as bytes of its own', () => {
        const source = new FakeSource().serve('/a', text)
        return withGateway(source, async (send) => {
          await send('/a', { method: 'POST', body: 'é' })
          const data = source.calls[0]?.data as Uint8Array<ArrayBuffer>
          expect([...data]).to.deep.equal([0xc3, 0xa9])
          expect(data.buffer.byteLength).to.equal(2)
          expect(source.calls[0]?.transfer).to.equal(undefined)
        })
      })

      it('has undefined as data without a body', () => {
        const source = new FakeSource().serve('/a', text)
        return withGateway(source, async (send) => {
          await send('/a', { method: 'POST' })
          expect(source.calls[0]?.data).to.equal(undefined)
        })
      })

      it('takes a body of exactly maxBodyBytes and refuses one byte more', () => {
        const source = new FakeSource().serve('/a', text)
        return withGateway(
          source,
          async (send) => {
            expect((await send('/a', { method: 'POST', body: 'x'.repeat(1_000) })).status).to.equal(200)
            const answer = await send('/a', { method: 'POST', body: 'x'.repeat(1_001) })
            expect([answer.status, (await problem(answer)).code]).to.deep.equal([413, 'ERR_PAYLOAD_TOO_LARGE'])
            expect(source.calls).to.have.length(1)
          },
          { maxBodyBytes: 1_000 },
        )
      })

      describe('with a body above bufferBodyBytes', () => {
        const small = { bufferBodyBytes: 100, maxBodyBytes: 200_000 }
        /** Reads all and answers with the number of bytes. */
        const counting: FakeHandler = async ({ upload, sink }) => {
          let total = 0
          for (let part = await upload?.read(1_000); part !== undefined; part = await upload?.read(1_000)) total += part.byteLength
          sink.answer(AnswerKind.TEXT, String(total))
        }

        it('hand it over to be streamed in, and give all of it', () => {
          const source = new FakeSource().serve('/count', counting)
          return withGateway(
            source,
            async (send) => {
              expect(await (await send('/count', { method: 'POST', body: 'é'.repeat(75_000) })).text()).to.equal('150000')
              expect(source.calls[0]?.data).to.equal(STREAMED)
            },
            small,
          )
        })

        it('hand over one of exactly bufferBodyBytes whole', () => {
          const source = new FakeSource().serve('/a', text)
          return withGateway(
            source,
            async (send) => {
              await send('/a', { method: 'POST', body: 'x'.repeat(100) })
              expect([source.calls[0]?.data, source.calls[0]?.upload]).to.deep.equal(['x'.repeat(100), undefined])
            },
            small,
          )
        })

        it('take nothing of it until somebody reads', () => {
          const source = new FakeSource().serve('/a', text)
          return withGateway(
            source,
            async (send) => {
              expect((await send('/a', { method: 'POST', body: 'x'.repeat(150_000) })).status).to.equal(200)
              expect(source.calls[0]?.upload?.hasBegun).to.equal(false)
            },
            small,
          )
        })

        it('cancel it when the client goes away in the middle', () => {
          const source = new FakeSource().serve('/slow', ({ upload }) => void upload?.read(10))
          return withGateway(
            source,
            async (send) => {
              const abort = new AbortController()
              const answer = send('/slow', { method: 'POST', body: 'x'.repeat(150_000), signal: abort.signal }).catch(() => undefined)
              await source.until(() => source.calls.length === 1)
              abort.abort()
              await source.until(() => source.cancelled.length === 1)
              expect(source.cancelled[0]?.code).to.equal('ERR_CANCELLED')
              await answer
            },
            small,
          )
        })
      })

      it('cancels the call when the client goes away', () => {
        const source = new FakeSource().serve('/slow', () => undefined)
        return withGateway(source, async (send) => {
          const abort = new AbortController()
          const answer = send('/slow', { signal: abort.signal }).catch(() => undefined)
          await source.until(() => source.calls.length === 1)
          abort.abort()
          await source.until(() => source.cancelled.length === 1)
          expect(source.cancelled[0]?.code).to.equal('ERR_CANCELLED')
          await answer
        })
      })

      it('drops an answer that comes after the client went away', () => {
        const source = new FakeSource().serve('/slow', () => undefined).serve('/a', text)
        return withGateway(source, async (send) => {
          const abort = new AbortController()
          const answer = send('/slow', { signal: abort.signal }).catch(() => undefined)
          await source.until(() => source.calls.length === 1)
          abort.abort()
          await source.until(() => source.cancelled.length === 1)
          source.calls[0]?.sink.answer(AnswerKind.TEXT, 'late')
          expect((await send('/a')).status).to.equal(200)
          await answer
        })
      })

      it('answers a dispatch that throws', () => {
        const source = new FakeSource().serve('/a', () => {
          throw new ServeError('ERR_CLIENT_CLOSED', 'closed')
        })
        return withGateway(source, async (send) => {
          expect((await send('/a')).status).to.equal(503)
        })
      })
    })

    describe('routes', () => {
      it('answers 404 for an unknown path and names /-/routes', () =>
        withGateway(new FakeSource(), async (send) => {
          const answer = await send('/nowhere')
          const body = await problem(answer)
          expect([answer.status, body.code]).to.deep.equal([404, 'ERR_ROUTE_NOT_FOUND'])
          expect(body.detail).to.contain('/-/routes')
        }))

      for (const method of ['POST', 'DELETE', 'PUT', 'PATCH', 'OPTIONS']) {
        it(`answers 405 with Allow for ${method} where only GET is listed`, () =>
          withGateway(new FakeSource().serve('/a', text, { methods: ['GET'] }), async (send) => {
            const answer = await send('/a', { method })
            expect([answer.status, answer.headers.get('allow')]).to.deep.equal([405, 'GET, HEAD'])
            expect(await problem(answer)).to.include({ code: 'ERR_METHOD_NOT_ALLOWED' })
          }))
      }

      it('takes OPTIONS where it is listed', () =>
        withGateway(new FakeSource().serve('/a', text, { methods: ['OPTIONS'] }), async (send) => {
          expect((await send('/a', { method: 'OPTIONS' })).status).to.equal(200)
        }))

      it('finds a prefix, longest first, and the bare prefix', () => {
        const source = new FakeSource().serve('/files/*', text).serve('/files/deep/*', text).serve('/files/one', text)
        return withGateway(source, async (send) => {
          for (const path of ['/files', '/files/x/y', '/files/deep/z', '/files/one']) await send(path)
          expect((await send('/filesystem')).status).to.equal(404)
          expect(source.calls.map((call) => call.endpoint)).to.deep.equal(['/files/*', '/files/*', '/files/deep/*', '/files/one'])
        })
      })

      it('does not take an encoded slash for a separator', () => {
        const source = new FakeSource().serve('/a/b', text).serve('/c/*', text)
        return withGateway(source, async (send) => {
          expect((await send('/a%2fb')).status).to.equal(404)
          expect((await send('/%61/b')).status).to.equal(200)
          expect((await send('/c/..%2f..%2fa')).status).to.equal(200)
        })
      })

      it('refuses a path that is badly encoded', () =>
        withGateway(new FakeSource().serve('/*', text), async (send) => {
          expect((await send('/%zz')).status).to.equal(400)
        }))
    })

    describe('errors', () => {
      const rows: [string, ServeError, number][] = [
        ['a throw in user code', new TaskError('Error: boom', { cause: new Error('boom') }), 500],
        ['a passed deadline', new ServeError('ERR_TIMEOUT', 'late', { outcome: 'started-unknown' }), 504],
        ['a dead replica', new ServeError('ERR_REPLICA_DIED', 'dead', { outcome: 'started-unknown' }), 502],
        ['a full queue', new ServeError('ERR_BACK_PRESSURE', 'full', { outcome: 'not-started', retryAfterMs: 2_100 }), 503],
      ]
      for (const [what, error, status] of rows) {
        it(`answers ${status} for ${what}, with code, outcome and request id`, () =>
          withGateway(new FakeSource().serve('/a', failing(error)), async (send) => {
            const answer = await send('/a')
            const body = await problem(answer)
            expect(answer.status).to.equal(status)
            expect(body).to.include({ status, code: error.code, outcome: error.outcome, detail: error.message })
            expect(body.requestId).to.equal(answer.headers.get('x-serve-request-id'))
            expect(answer.headers.get('x-serve-outcome')).to.equal(error.outcome)
            expect(body).to.not.have.property('stack')
          }))
      }

      it('rounds Retry-After up to whole seconds, at least one', () => {
        const source = new FakeSource()
          .serve('/a', failing(new ServeError('ERR_BACK_PRESSURE', 'full', { retryAfterMs: 2_100 })))
          .serve('/b', failing(new ServeError('ERR_NO_REPLICA', 'none', { retryAfterMs: 3 })))
        return withGateway(source, async (send) => {
          expect((await send('/a')).headers.get('retry-after')).to.equal('3')
          expect((await send('/b')).headers.get('retry-after')).to.equal('1')
        })
      })

      it('answers overload with overloadStatus', () =>
        withGateway(
          new FakeSource().serve('/a', failing(new ServeError('ERR_BACK_PRESSURE', 'full', { retryAfterMs: 5_000 }))),
          async (send) => {
            const answer = await send('/a')
            expect([answer.status, answer.headers.get('retry-after')]).to.deep.equal([429, '5'])
          },
          { overloadStatus: 429 },
        ))

      it('shows the stack of the code that threw only with exposeStacks', () =>
        withGateway(
          new FakeSource().serve(
            '/a',
            failing(new TaskError('boom', { cause: Object.assign(new Error('boom'), { stack: 'at user code' }) })),
          ),
          async (send) => {
            expect(await problem(await send('/a'))).to.include({ stack: 'at user code' })
          },
          { exposeStacks: true },
        ))
    })

    describe('streams', () => {
      const rows: [string, readonly (readonly unknown[])[], string | undefined, string, string][] = [
        ['texts as they are', [['a', 'b'], ['c']], undefined, 'text/plain; charset=utf-8', 'abc'],
        ['bytes as they are', [[new Uint8Array([104])], [new Uint8Array([105]), 'é']], undefined, 'application/octet-stream', 'hié'],
        ['values as lines of JSON', [[{ a: 1 }, 2], [null]], undefined, 'application/x-ndjson', '{"a":1}\n2\nnull\n'],
        [
          'events when asked for',
          [['a\nb'], [{ c: 1 }]],
          'text/event-stream',
          'text/event-stream',
          'data: a\ndata: b\n\ndata: {"c":1}\n\n',
        ],
        ['no events when none come', [], 'text/event-stream', 'text/event-stream', ''],
      ]
      for (const [what, reads, accept, contentType, body] of rows) {
        it(`writes ${what}`, () =>
          withGateway(new FakeSource().serve('/a', streaming(new FakeStream(reads))), async (send) => {
            const answer = await send('/a', accept === undefined ? {} : { headers: { accept } })
            expect([answer.status, answer.headers.get('content-type'), await answer.text()]).to.deep.equal([200, contentType, body])
          }))
      }

      it('answers a stream without parts with an empty 200', () =>
        withGateway(new FakeSource().serve('/a', streaming(new FakeStream([]))), async (send) => {
          const answer = await send('/a')
          expect([answer.status, await answer.text()]).to.deep.equal([200, ''])
        }))

      it('keeps the head of a response whose body streams', () =>
        withGateway(new FakeSource().serve('/a', streaming(new FakeStream([['x']], [202, ['content-type', 'text/css']]))), async (send) => {
          const answer = await send('/a')
          expect([answer.status, answer.headers.get('content-type'), await answer.text()]).to.deep.equal([202, 'text/css', 'x'])
        }))

      it('sends a part before the next one is there, and lets the stream go with its client', () => {
        const stream = new FakeStream([['first'], 'hang'])
        return withGateway(new FakeSource().serve('/a', streaming(stream)), async (send) => {
          const abort = new AbortController()
          const answer = await send('/a', { signal: abort.signal })
          const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
          expect(new TextDecoder().decode((await reader.read()).value)).to.equal('first')
          abort.abort()
          await stream.whenCancelled
        })
      })

      it('answers an error before the first part with its status', () =>
        withGateway(new FakeSource().serve('/a', streaming(new FakeStream([new TaskError('early')]))), async (send) => {
          const answer = await send('/a')
          expect([answer.status, (await problem(answer)).code]).to.deep.equal([500, 'ERR_TASK'])
        }))

      it('breaks the answer off when the stream fails later', () =>
        withGateway(new FakeSource().serve('/a', streaming(new FakeStream([['first'], new TaskError('late')]))), async (send) => {
          const answer = await send('/a')
          const read = await answer.text().then(
            () => 'whole',
            () => 'broken',
          )
          expect(read).to.equal('broken')
        }))

      it('tells a reader of events why it breaks off', () =>
        withGateway(new FakeSource().serve('/a', streaming(new FakeStream([['first'], new TaskError('late')]))), async (send) => {
          const answer = await send('/a', { headers: { accept: 'text/event-stream' } })
          const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
          let seen = ''
          try {
            for (let part = await reader.read(); !part.done; part = await reader.read()) seen += new TextDecoder().decode(part.value)
          } catch {
            seen += '(broken off)'
          }
          expect(seen).to.match(/^data: first\n\nevent: error\ndata: \{.*"ERR_TASK".*\}\n\n\(broken off\)$/)
        }))

      it('lets the stream go for HEAD', () => {
        const stream = new FakeStream([['x'], 'hang'], [200, ['content-type', 'text/css']])
        return withGateway(new FakeSource().serve('/a', streaming(stream)), async (send) => {
          expect((await send('/a', { method: 'HEAD' })).headers.get('content-type')).to.equal('text/css')
          await stream.whenCancelled
        })
      })
    })

    describe('pages of other origins', () => {
      const refused: [string, string, Record<string, string>][] = [
        ['POST with a foreign Origin', 'POST', { origin: 'https://evil.test' }],
        ['POST with Origin null', 'POST', { origin: 'null' }],
        ['POST across sites', 'POST', { 'sec-fetch-site': 'cross-site' }],
        ['POST from a sister site', 'POST', { 'sec-fetch-site': 'same-site', origin: 'http://localhost:1' }],
        ['DELETE with a foreign Origin', 'DELETE', { origin: 'https://evil.test' }],
        ['PUT with a foreign Origin', 'PUT', { origin: 'https://evil.test' }],
        ['PATCH with a foreign Origin', 'PATCH', { origin: 'https://evil.test' }],
      ]
      for (const [what, method, headers] of refused) {
        it(`may not send ${what}`, () => {
          const source = new FakeSource().serve('/a', text, { methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] })
          return withGateway(source, async (send) => {
            const answer = await send('/a', { method, headers })
            expect([answer.status, (await problem(answer)).code]).to.deep.equal([403, 'ERR_ORIGIN_REFUSED'])
            expect(source.calls).to.have.length(0)
          })
        })
      }

      it('may not send non-safe requests to system routes or unknown paths either', () =>
        withGateway(new FakeSource(), async (send) => {
          for (const path of ['/-/routes', '/nowhere']) {
            expect((await send(path, { method: 'POST', headers: { origin: 'https://evil.test' } })).status).to.equal(403)
          }
        }))

      it('may send safe requests', () =>
        withGateway(new FakeSource().serve('/a', text), async (send) => {
          expect((await send('/a', { headers: { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' } })).status).to.equal(200)
        }))

      it('may send what trustedOrigins allows', () =>
        withGateway(
          new FakeSource().serve('/a', text),
          async (send) => {
            const headers = { origin: 'https://app.example', 'sec-fetch-site': 'cross-site' }
            expect((await send('/a', { method: 'POST', headers })).status).to.equal(200)
            expect(
              (await send('/a', { method: 'POST', headers: { ...headers, origin: 'https://app.example.evil.test' } })).status,
            ).to.equal(403)
          },
          { trustedOrigins: ['https://app.example'] },
        ))

      it('are not meant by a request of the same origin or of no page at all', () =>
        withGateway(new FakeSource().serve('/a', text), async (send) => {
          expect((await send('/a', { method: 'POST' })).status).to.equal(200)
          expect((await send('/a', { method: 'POST', headers: { 'sec-fetch-site': 'same-origin' } })).status).to.equal(200)
          expect((await send('/a', { method: 'POST', headers: { 'sec-fetch-site': 'none' } })).status).to.equal(200)
        }))
    })

    describe('system routes', () => {
      it('list the routes', () =>
        withGateway(new FakeSource().serve('/api', text), async (send) => {
          expect(JSON.parse(await (await send('/-/routes')).text())).to.deep.equal({ '/api': ['/api', ['GET', 'POST']] })
        }))

      it('tell health, and readiness by what stands behind', () => {
        const source = new FakeSource()
        return withGateway(source, async (send) => {
          expect((await send('/-/healthz')).status).to.equal(200)
          expect((await send('/-/readyz')).status).to.equal(200)
          source.isUp = false
          expect((await send('/-/healthz')).status).to.equal(200)
          expect((await send('/-/readyz')).status).to.equal(503)
        })
      })

      it('show status and metrics to callers on this machine', () =>
        withGateway(new FakeSource(), async (send) => {
          expect(JSON.parse(await (await send('/-/status')).text())).to.deep.equal({ nodes: {} })
          expect(await (await send('/-/metrics')).text()).to.equal('up 1\n')
          expect((await send('/-/dashboard')).status).to.equal(501)
        }))

      it('show them to others with the token only', () =>
        withGateway(
          new FakeSource(),
          async (send) => {
            const proxied = { 'x-forwarded-for': '203.0.113.9' }
            expect((await send('/-/status', { headers: proxied })).status).to.equal(403)
            expect((await send('/-/status', { headers: { ...proxied, authorization: 'Bearer wrong-token' } })).status).to.equal(403)
            expect((await send('/-/status', { headers: { ...proxied, authorization: 'Bearer right-token' } })).status).to.equal(200)
          },
          { adminToken: 'right-token' },
        ))

      it('are 404 for anything else and 405 for other methods', () =>
        withGateway(new FakeSource().serve('/*', text), async (send) => {
          expect((await send('/-/other')).status).to.equal(404)
          expect((await send('/-/')).status).to.equal(404)
          expect((await send('/-/routes', { method: 'POST' })).status).to.equal(405)
        }))
    })

    it('refuses more headers than maxHeaders with 431', () =>
      withGateway(
        new FakeSource().serve('/a', text),
        async (send) => {
          const headers = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`x-${i}`, '1']))
          const answer = await send('/a', { headers })
          expect([answer.status, (await problem(answer)).code]).to.deep.equal([431, 'ERR_HEADERS_TOO_LARGE'])
        },
        { maxHeaders: 30 },
      ))
  })

  function headOf(source: FakeSource): HttpHead {
    const meta = source.calls[0]?.meta as string
    const lines = meta.split('\n')
    return {
      rendered: meta.startsWith('H'),
      callMethod: (lines[0] as string).slice(1),
      httpMethod: lines[1] as string,
      url: lines[2] as string,
      requestId: lines[3] as string,
      rawHeaders: lines.slice(4),
    }
  }

  function pairs(head: HttpHead): [string, string][] {
    return Array.from({ length: head.rawHeaders.length / 2 }, (_, i) => [
      (head.rawHeaders[2 * i] as string).toLowerCase(),
      head.rawHeaders[2 * i + 1] as string,
    ])
  }
}
