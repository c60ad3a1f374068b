import { request as sendRequest } from 'node:http'
import { Readable } from 'node:stream'
import { Gateway, gatewayFetch, resolveHttpOptions } from '../../core/gateway/index.ts'
import { startHttpGateway } from '../../node/http-gateway.ts'
import { gatewayCompliance, type SentAnswer, type SentRequest, type ServedGateway, type StartGateway } from '../compliance/gateway.ts'

/** `fetch` hides some headers and reuses sockets; this sends exactly what it is given, each time on a fresh socket. */
function sendOver(url: string, path: string, { method = 'GET', headers = {}, body, signal }: SentRequest): Promise<SentAnswer> {
  return new Promise((resolve, reject) => {
    const options = {
      method,
      headers: { ...headers, ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }) },
      path,
      agent: false,
    }
    const request = sendRequest(url, { ...options, ...(signal !== undefined && { signal }) }, (response) => {
      const pairs = response.rawHeaders.flatMap((name, i) =>
        i % 2 === 0 ? [[name, response.rawHeaders[i + 1] as string] as [string, string]] : [],
      )
      const stream = Readable.toWeb(response) as ReadableStream<Uint8Array>
      resolve({ status: response.statusCode as number, headers: new Headers(pairs), body: stream, text: () => new Response(stream).text() })
    })
    request.on('error', reject)
    request.end(body)
  })
}

const onSocket =
  (middlewares: readonly ((context: never, next: () => Promise<void>) => Promise<unknown>)[]): StartGateway =>
  async (source, options): Promise<ServedGateway> => {
    const server = await startHttpGateway({ source, options: resolveHttpOptions({ ...options, middlewares }), random: Math.random })
    return { send: (path, init = {}) => sendOver(server.url, path, init), close: () => server.close({ drainMs: 0 }) }
  }

gatewayCompliance('node:http', onSocket([]))

gatewayCompliance('node:http with a middleware that does nothing', onSocket([async (_context, next) => next()]))

gatewayCompliance('Fetch', async (source, options) => {
  const gateway = new Gateway({
    source,
    options: resolveHttpOptions(options),
    adminToken: options.adminToken as string,
    random: Math.random,
  })
  return {
    send: (path, { headers, ...init } = {}) =>
      gatewayFetch(gateway, new Request(`http://shoal.test${path}`, { ...init, headers: { ...headers } } as RequestInit), true),
    close: async () => undefined,
  }
})
