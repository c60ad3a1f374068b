import { createHash } from 'node:crypto'
import { Agent, request as sendRequest } from 'node:http'
import { connect } from 'node:net'
import { expect } from 'chai'
import { SILENT } from '../../core/base/index.ts'
import * as serve from '../../node/index.ts'

const MIB = 1024 * 1024

/** A backend that deals with large bodies in every way. By value: nothing of this file may be in it. */
class Bodies {
  // biome-ignore lint/suspicious/noExplicitAny: a Request of HTTP, with a few members more
  async call(request: any): Promise<unknown> {
    const { createHash: hash } = await import('node:crypto')
    return hash('sha256')
      .update(await request.bytes())
      .digest('hex')
  }
  // biome-ignore lint/suspicious/noExplicitAny: see above
  async count(request: any): Promise<number> {
    let total = 0
    for await (const part of request.body) total += part.byteLength
    return total
  }
  ignore(): string {
    return 'ignored'
  }
  // biome-ignore lint/suspicious/noExplicitAny: see above
  async first(request: any): Promise<string> {
    const reader = request.body.getReader()
    const { value } = await reader.read()
    return value.byteLength > 0 ? 'some' : 'none'
  }
  // biome-ignore lint/suspicious/noExplicitAny: see above
  data(request: any): unknown {
    return request.data
  }
  // biome-ignore lint/suspicious/noExplicitAny: see above
  echo(request: any): Response {
    return new Response(request.body)
  }
  #seen: unknown
  // biome-ignore lint/suspicious/noExplicitAny: see above
  async remember(request: any): Promise<void> {
    await request.bytes().catch((error: { code?: string }) => {
      this.#seen = [error.code, request.signal.aborted]
    })
  }
  seen(): unknown {
    return { seen: this.#seen }
  }
}

/** 5 MiB that are no text and no two parts alike. */
const large = new Uint8Array(5 * MIB)
for (let i = 0; i < large.length; i++) large[i] = (i * 31 + (i >> 12)) & 0xff
const digest = createHash('sha256').update(large).digest('hex')

interface Running {
  readonly client: serve.Client
  readonly url: string
}

async function withBackend(
  isolation: 'thread' | 'process' | 'inline',
  http: serve.HttpOptions,
  check: (running: Running) => Promise<void>,
): Promise<void> {
  await using client = await serve.start({ http: { port: 0, ...http }, logger: SILENT as serve.Logger })
  await client.createBackend('bodies', Bodies, { replicaOptions: { isolation } })
  await client.createEndpoint('bodies', { backend: 'bodies', route: '/b', methods: ['GET', 'POST'] })
  await check({ client, url: client.http!.url })
}

const as = (method: string): Record<string, string> => ({ 'x-serve-call-method': method })

describe('large request bodies', () => {
  for (const isolation of ['thread', 'process', 'inline'] as const) {
    describe(`into a replica of isolation ${isolation}`, () => {
      it('arrive whole, of known and of unknown length, over a socket and by client.fetch', () =>
        withBackend(isolation, {}, async ({ client, url }) => {
          const stream = (): RequestInit => ({ method: 'POST', body: new Blob([large]).stream(), duplex: 'half' }) as RequestInit
          expect(await (await fetch(`${url}/b`, { method: 'POST', body: large })).text()).to.equal(digest)
          expect(await (await fetch(`${url}/b`, stream())).text()).to.equal(digest)
          expect(await (await client.fetch(new Request(`${url}/b`, { method: 'POST', body: large }))).text()).to.equal(digest)
          expect(await (await client.fetch(new Request(`${url}/b`, stream()))).text()).to.equal(digest)
        }))

      it('arrive behind a middleware, whether it has read them or not', () => {
        const reading: serve.HttpMiddleware = async (context, next) => {
          const { req } = context as unknown as { req: { query(name: string): string | undefined; arrayBuffer(): Promise<unknown> } }
          if (req.query('read') !== undefined) await req.arrayBuffer()
          await next()
        }
        return withBackend(isolation, { middlewares: [reading] }, async ({ url }) => {
          for (const query of ['', '?read=1']) {
            expect(await (await fetch(`${url}/b${query}`, { method: 'POST', body: large })).text()).to.equal(digest)
          }
        })
      })

      it('flow back out while they flow in', () =>
        withBackend(isolation, {}, async ({ url }) => {
          const answer = await fetch(`${url}/b`, { method: 'POST', body: large, headers: as('echo') })
          expect(
            createHash('sha256')
              .update(new Uint8Array(await answer.arrayBuffer()))
              .digest('hex'),
          ).to.equal(digest)
        }))

      it('have no request.data', () =>
        withBackend(isolation, {}, async ({ url }) => {
          const answer = await fetch(`${url}/b`, { method: 'POST', body: large, headers: as('data') })
          expect(((await answer.json()) as { code: string }).code).to.equal('ERR_BODY_STREAMED')
        }))

      it('reject their reader when the client leaves in the middle, and abort the signal', () =>
        withBackend(isolation, {}, async ({ url }) => {
          const { port, host } = new URL(url)
          const socket = connect(Number(port), '127.0.0.1')
          socket.write(`POST /b HTTP/1.1\r\nHost: ${host}\r\nx-serve-call-method: remember\r\nContent-Length: ${large.length}\r\n\r\n`)
          await new Promise<void>((resolve) => socket.write(large.subarray(0, 2 * MIB), () => resolve()))
          socket.destroy()
          let seen: unknown
          while (seen === undefined) seen = ((await (await fetch(`${url}/b`, { headers: as('seen') })).json()) as { seen?: unknown }).seen
          expect(seen).to.deep.equal(['ERR_CANCELLED', true])
        }))
    })
  }

  for (const middlewares of [[], [async (_context: never, next: () => Promise<void>) => next()]]) {
    describe(middlewares.length === 0 ? 'on node:http' : 'on node:http behind a middleware', () => {
      for (const method of ['ignore', 'first']) {
        it(`hold up nobody when a handler takes ${method === 'first' ? 'only a part' : 'nothing'} of them`, () =>
          withBackend('thread', { middlewares }, async ({ url }) => {
            const agent = new Agent({ keepAlive: true, maxSockets: 1 })
            for (let i = 0; i < 3; i++) {
              expect(await post(`${url}/b`, large, { agent, headers: as(method) })).to.equal(method === 'first' ? 'some' : 'ignored')
            }
            agent.destroy()
          }))
      }

      it('are refused with 413 in the middle when they turn out too long', () =>
        withBackend('thread', { middlewares, maxBodyBytes: 2 * MIB }, async ({ url }) => {
          const body = new Blob([large]).stream()
          const answer = await fetch(`${url}/b`, { method: 'POST', body, duplex: 'half' } as RequestInit)
          expect([answer.status, ((await answer.json()) as { code: string }).code]).to.deep.equal([413, 'ERR_PAYLOAD_TOO_LARGE'])
        }))
    })
  }

  it('are cut off when they do not arrive within uploadTimeoutMs', () =>
    withBackend('thread', { uploadTimeoutMs: 500, headersTimeoutMs: 400 }, async ({ url }) => {
      const { port, host } = new URL(url)
      const socket = connect(Number(port), '127.0.0.1')
      socket.write(`POST /b HTTP/1.1\r\nHost: ${host}\r\nx-serve-call-method: remember\r\nContent-Length: ${large.length}\r\n\r\n`)
      socket.write(large.subarray(0, 2 * MIB))
      const answer = await new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))))
      expect(answer).to.match(/^HTTP\/1\.1 408 /)
      let seen: unknown
      while (seen === undefined) seen = ((await (await fetch(`${url}/b`, { headers: as('seen') })).json()) as { seen?: unknown }).seen
      expect(seen).to.deep.equal(['ERR_CANCELLED', true])
      socket.destroy()
    }))

  it('are asked for with 100 Continue when a handler reads, and not before', () =>
    withBackend('thread', {}, async ({ url }) => {
      expect(await post(`${url}/b`, large, { headers: { ...as('count'), expect: '100-continue' } })).to.equal(String(large.length))
      const unasked = await new Promise<{ status: number | undefined; wasAsked: boolean }>((resolve, reject) => {
        let wasAsked = false
        const headers = { ...as('ignore'), expect: '100-continue', 'content-length': large.length }
        const request = sendRequest(`${url}/b`, { method: 'POST', headers, agent: false }, (response) => {
          response.resume()
          resolve({ status: response.statusCode, wasAsked })
          request.destroy()
        })
        request.on('continue', () => {
          wasAsked = true
        })
        request.on('error', reject)
        request.flushHeaders()
      })
      expect(unasked).to.deep.equal({ status: 200, wasAsked: false })
    }))
})

/** Sends a whole body, however early the answer comes. */
function post(
  url: string,
  body: Uint8Array,
  { headers = {}, agent }: { headers?: Record<string, string>; agent?: Agent },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', headers: { ...headers, 'content-length': body.length }, ...(agent !== undefined && { agent }) }
    const request = sendRequest(url, options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.on('end', () => resolve(text))
    })
    request.on('error', reject)
    if (headers.expect === undefined) request.end(body)
    else request.on('continue', () => request.end(body)).flushHeaders()
  })
}
