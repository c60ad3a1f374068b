import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { Hono, type MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { cors } from 'hono/cors'
import { type HttpOptions, resolveHttpOptions } from '../../core/gateway/index.ts'
import { AnswerKind } from '../../core/request/index.ts'
import { type HttpGateway, startHttpGateway } from '../../node/http-gateway.ts'
import { FakeSource } from '../compliance/gateway-source.ts'

const echoing = (): FakeSource => new FakeSource().serve('/a', (call) => call.sink.answer(AnswerKind.TEXT, String(call.data ?? 'hello')))

async function withServer(
  options: HttpOptions,
  check: (server: HttpGateway, source: FakeSource) => Promise<void>,
  source = echoing(),
): Promise<void> {
  const server = await startHttpGateway({ source, options: resolveHttpOptions({ port: 0, ...options }), random: Math.random })
  try {
    await check(server, source)
  } finally {
    await server.close({ drainMs: 0 })
  }
}

describe('http gateway: middlewares', () => {
  const marking =
    (mark: string): MiddlewareHandler =>
    async (context, next) => {
      await next()
      context.header('x-order', mark, { append: true })
    }

  it('run with the first outermost, on system routes and unknown paths too', () =>
    withServer({ middlewares: [marking('outer'), marking('inner')] }, async ({ url }) => {
      for (const path of ['/a', '/-/routes', '/nowhere']) {
        expect((await fetch(url + path)).headers.get('x-order')).to.equal('inner, outer')
      }
    }))

  it('answer preflights on any path', () =>
    withServer({ middlewares: [cors({ origin: '*' })] }, async ({ url }) => {
      const answer = await fetch(`${url}/a`, {
        method: 'OPTIONS',
        headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' },
      })
      expect([answer.status, answer.headers.get('access-control-allow-origin')]).to.deep.equal([204, '*'])
    }))

  it('put their headers on every answer beside its own', () =>
    withServer({ middlewares: [cors({ origin: 'https://app.example' })] }, async ({ url }) => {
      const answer = await fetch(`${url}/a`, { headers: { origin: 'https://app.example' } })
      expect(answer.headers.get('access-control-allow-origin')).to.equal('https://app.example')
      expect(answer.headers.get('content-type')).to.equal('text/plain; charset=utf-8')
      expect(answer.headers.get('x-serve-request-id')).to.be.a('string')
    }))

  it('let a page of an allowed origin send non-safe requests, and no other', () =>
    withServer({ middlewares: [cors({ origin: ['https://app.example'] })] }, async ({ url }) => {
      const send = (origin: string): Promise<Response> => fetch(`${url}/a`, { method: 'POST', body: 'x', headers: { origin } })
      expect((await send('https://app.example')).status).to.equal(200)
      expect((await send('https://evil.test')).status).to.equal(403)
    }))

  it('allow an origin only by naming it', () => {
    const allowing: MiddlewareHandler = async (context, next) => {
      context.header('access-control-allow-origin', 'https://app.example')
      await next()
    }
    return withServer({ middlewares: [allowing] }, async ({ url }) => {
      const send = (origin: string): Promise<Response> => fetch(`${url}/a`, { method: 'POST', headers: { origin } })
      expect((await send('https://app.example')).status).to.equal(200)
      expect((await send('https://evil.test')).status).to.equal(403)
    })
  })

  it('may read the body, which the handler still gets', () => {
    const reading: MiddlewareHandler = async (context, next) => {
      await context.req.text()
      await next()
    }
    return withServer({ middlewares: [reading] }, async ({ url }) => {
      expect(await (await fetch(`${url}/a`, { method: 'POST', body: 'once' })).text()).to.equal('once')
    })
  })

  it('may put another request in place of the one that came', () =>
    withServer({ middlewares: [bodyLimit({ maxSize: 10 })] }, async ({ url }) => {
      const chunked = (text: string): RequestInit =>
        ({ method: 'POST', duplex: 'half', body: new Blob([text]).stream() }) as unknown as RequestInit
      expect(await (await fetch(`${url}/a`, chunked('short'))).text()).to.equal('short')
      expect((await fetch(`${url}/a`, chunked('much too long'))).status).to.equal(413)
    }))

  it('are answered with ERR_TASK when they throw', () =>
    withServer(
      {
        middlewares: [
          async () => {
            throw new Error('broken')
          },
        ],
      },
      async ({ url }) => {
        const answer = await fetch(`${url}/a`)
        expect([answer.status, (await answer.json()).code]).to.deep.equal([500, 'ERR_TASK'])
      },
    ))

  it('are asked by fetch without a socket as well', () =>
    withServer({ middlewares: [marking('seen')] }, async (server) => {
      expect((await server.fetch(new Request('http://shoal.test/a'))).headers.get('x-order')).to.equal('seen')
    }))

  it('mount a gateway in another web server', () =>
    withServer({}, async (server) => {
      const app = new Hono().all('/a', (context) => server.fetch(context.req.raw))
      expect(await (await app.request('/a', { method: 'POST', body: 'there' })).text()).to.equal('there')
    }))

  it('do not open the status to callers of fetch unless told to', () =>
    withServer({}, async (server) => {
      expect((await server.fetch(new Request('http://localhost/-/status'))).status).to.equal(403)
      expect((await server.fetch(new Request('http://localhost/-/status'), true)).status).to.equal(200)
    }))
})

describe('http gateway: life', () => {
  it('rejects with ERR_HTTP_LISTEN and the cause when its port is in use', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    const error = await withServer({ port }, async () => undefined).catch((thrown) => thrown)
    other.close()
    expect([error.code, error.cause?.code]).to.deep.equal(['ERR_HTTP_LISTEN', 'EADDRINUSE'])
    expect(error.message).to.contain(String(port))
  })

  it('lets what is under way end before it closes, and says it is not ready meanwhile', () => {
    const source = new FakeSource().serve('/slow', () => undefined)
    return withServer(
      {},
      async (server) => {
        const answer = fetch(`${server.url}/slow`)
        await source.until(() => source.calls.length === 1)
        const closed = server.close()
        const ready = await server.fetch(new Request('http://localhost/-/readyz'))
        source.calls[0]?.sink.answer(AnswerKind.TEXT, 'done')
        expect(ready.status).to.equal(503)
        expect((await answer).headers.get('connection')).to.equal('close')
        expect(await (await answer).text()).to.equal('done')
        await closed
      },
      source,
    )
  })

  it('cuts what is still under way after drainMs', () => {
    const source = new FakeSource().serve('/slow', () => undefined)
    return withServer(
      {},
      async (server) => {
        const answer = fetch(`${server.url}/slow`).then(
          () => 'answered',
          () => 'cut',
        )
        await source.until(() => source.calls.length === 1)
        await server.close({ drainMs: 1 })
        expect(await answer).to.equal('cut')
        await source.until(() => source.cancelled.length === 1)
        expect(source.cancelled[0]?.code).to.equal('ERR_CANCELLED')
      },
      source,
    )
  })

  it('closes twice with one end', () =>
    withServer({}, async (server) => {
      expect(server.close()).to.equal(server.close())
    }))

  it('counts its answers by status', () =>
    withServer({}, async (server) => {
      for (const path of ['/a', '/a', '/nowhere']) await (await fetch(server.url + path)).text()
      expect([...server.gateway.answersByStatus()]).to.deep.equal([
        [200, 2],
        [404, 1],
      ])
    }))
})
