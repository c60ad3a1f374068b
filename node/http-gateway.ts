import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Logger, type Random, ServeError, SILENT } from '../core/base/index.ts'
import { Gateway, type GatewaySource, gatewayFetch, type ResolvedHttpOptions, type SecretSource } from '../core/gateway/index.ts'
import { realClock } from './clock.ts'
import { NodeExchange } from './http-exchange.ts'
import { TurnEnd } from './turn-end.ts'

/** What an HTTP gateway on a socket is made of. */
export interface HttpGatewayInit {
  readonly source: GatewaySource
  readonly options: ResolvedHttpOptions
  readonly random: Random
  readonly log?: Logger
}

/** How a gateway is closed. */
export interface CloseOptions {
  /** Longest wait for what is under way, in milliseconds; then connections are cut. @default 20 000 */
  readonly drainMs?: number
  /** How long new requests are still taken while `/-/readyz` says no and connections are asked to close, in milliseconds. @default 0 */
  readonly lameDuckMs?: number
}

/** A gateway that listens. */
export interface HttpGateway {
  /** Like `http://127.0.0.1:8000`, without a slash at the end. */
  readonly url: string
  readonly host: string
  readonly port: number
  readonly gateway: Gateway
  /** Answers a Fetch `Request` without the socket, middlewares included. `isLocal` opens what is kept for callers on this machine. */
  fetch(request: Request, isLocal?: boolean): Promise<Response>
  /** Takes no more connections, lets answers end, then resolves. Calling it again waits for the same end. */
  close(options?: CloseOptions): Promise<void>
}

/** The part of Hono that is loaded only where there are middlewares. */
interface Mounted {
  readonly fetch: (request: Request, isLocal?: boolean) => Promise<Response>
  readonly listener: (request: IncomingMessage, response: ServerResponse) => unknown
}

/** Opens the gateway. `ERR_HTTP_LISTEN` when its address cannot be listened on, with the cause. */
export async function startHttpGateway({ source, options, random, log = SILENT }: HttpGatewayInit): Promise<HttpGateway> {
  const adminToken = await readSecret(options.adminToken)
  const gateway = new Gateway({ source, options, adminToken, random, log })
  const scheme = options.tls === undefined ? 'http' : 'https'
  const turnEnd = new TurnEnd()
  const rules = { scheme, slowReaderTimeoutMs: options.slowReaderTimeoutMs, turnEnd } as const
  const mounted = options.middlewares.length === 0 ? undefined : await mount(gateway, options, turnEnd)

  const handle = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void => {
    ;(request.socket as Answered)[RESPONSE] = response
    const exchange = new NodeExchange(request, response, rules, expectsContinue)
    if (mounted === undefined && request.httpVersionMinor !== 0) {
      gateway.handle(exchange)
      return
    }
    const refusal = whyMalformed(request) ?? gateway.whyRefused(exchange) ?? (expectsContinue ? whyTooLarge(request, options) : undefined)
    if (refusal !== undefined) {
      gateway.refuse(exchange, refusal)
      return
    }
    if (mounted === undefined) {
      gateway.handle(exchange)
      return
    }
    // Middlewares may read the body whenever they like, so it is asked for at once.
    if (expectsContinue) response.writeContinue()
    mounted.listener(request, response)
  }
  const server = createListener(options)
  server.on('request', (request, response) => handle(request, response, false))
  server.on('checkContinue', (request, response) => handle(request, response, true))
  server.on('checkExpectation', (request, response) => {
    const exchange = new NodeExchange(request, response, rules, true)
    gateway.refuse(exchange, new ServeError('ERR_BAD_REQUEST', `Expect: ${String(request.headers.expect).slice(0, 100)} cannot be met`))
  })
  guardConnections(server, gateway, options, turnEnd)
  await listen(server, options)
  const { address, port } = server.address() as AddressInfo
  const host = address.includes(':') ? `[${address}]` : address
  const url = `${scheme}://${urlHost(host)}:${port}`
  log.info({ url }, 'gateway.listening')

  let closing: Promise<void> | undefined
  return {
    url,
    host: options.host,
    port,
    gateway,
    fetch: mounted?.fetch ?? ((request, isLocal) => gatewayFetch(gateway, request, isLocal)),
    close(closeOptions) {
      closing ??= closeServer(server, gateway, closeOptions)
      return closing
    },
  }
}

/** A token from where it is kept; line breaks around it do not count. `ERR_INVALID_CONFIG` when it cannot be read or is empty. */
export async function readSecret(source: SecretSource | undefined): Promise<string | undefined> {
  if (source === undefined || typeof source === 'string') return source
  const place = 'file' in source ? `file ${source.file}` : `environment variable ${source.env}`
  let secret: string | undefined
  try {
    secret = 'file' in source ? await readFile(source.file, 'utf8') : process.env[source.env]
  } catch (cause) {
    throw new ServeError('ERR_INVALID_CONFIG', `http.adminToken: ${place} cannot be read`, { cause })
  }
  if (secret === undefined || secret.trim() === '') throw new ServeError('ERR_INVALID_CONFIG', `http.adminToken: ${place} is empty`)
  return secret.trim()
}

const RESPONSE = Symbol('the newest response on a connection')
type Answered = { [RESPONSE]?: ServerResponse }

/** Hono and its Node adapter replace the globals Request and Response, so they stay out of a process without middlewares. */
async function mount(gateway: Gateway, options: ResolvedHttpOptions, turnEnd: TurnEnd): Promise<Mounted> {
  const { mountMiddlewares } = await import('../core/adapters/hono/mount.ts')
  const { getRequestListener } = await import('@hono/node-server')
  const mounted = mountMiddlewares(options.middlewares, gateway, realClock, () => turnEnd.here())
  return { fetch: mounted.fetch, listener: getRequestListener(mounted.fetchFromNode, { errorHandler: mounted.failed }) }
}

/** Without lengths that can be trusted a body of HTTP/1.0 ends where somebody says it does. */
function whyMalformed({ httpVersionMinor, headers }: IncomingMessage): ServeError | undefined {
  const isBad = httpVersionMinor === 0 && headers['transfer-encoding'] !== undefined
  return isBad ? new ServeError('ERR_BAD_REQUEST', 'HTTP/1.0 has no transfer encodings') : undefined
}

function whyTooLarge({ headers }: IncomingMessage, { maxBodyBytes }: ResolvedHttpOptions): ServeError | undefined {
  const bytes = Number(headers['content-length'] ?? 0)
  return bytes > maxBodyBytes
    ? new ServeError('ERR_PAYLOAD_TOO_LARGE', `the body has ${bytes} bytes, http.maxBodyBytes is ${maxBodyBytes}`)
    : undefined
}

function createListener(options: ResolvedHttpOptions): Server {
  const settings = {
    headersTimeout: options.headersTimeoutMs,
    requestTimeout: options.uploadTimeoutMs,
    connectionsCheckingInterval: Math.min(1_000, options.headersTimeoutMs),
    keepAliveTimeout: options.keepAliveTimeoutMs,
    maxHeaderSize: options.maxHeaderBytes,
    requireHostHeader: false,
    insecureHTTPParser: false,
  }
  const server = options.tls === undefined ? createServer(settings) : createTlsServer({ ...settings, ...options.tls })
  // Node would drop what is beyond its own limit without a word; the gateway counts and refuses.
  server.maxHeadersCount = 0
  server.maxConnections = options.maxConnections
  return server
}

/** Answers what never becomes a request. */
function guardConnections(server: Server, gateway: Gateway, options: ResolvedHttpOptions, turnEnd: TurnEnd): void {
  const refuse = (socket: Duplex, error: ServeError): void => {
    if (!socket.writable) {
      socket.destroy()
      return
    }
    const { status, headers, body } = gateway.problem(error)
    headers.push('content-length', String(Buffer.byteLength(body)), 'connection', 'close')
    let head = `HTTP/1.1 ${status} ${REASONS[status] ?? 'Error'}\r\n`
    for (let i = 0; i + 1 < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
    // Some clients are still sending: reading on a while spares them a reset that would swallow the answer.
    socket.end(`${head}\r\n${body}`)
    socket.resume()
    setTimeout(() => socket.destroy(), LINGER_MS).unref()
  }
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    turnEnd.run()
    const response = (socket as Answered)[RESPONSE]
    const isAnswering = response?.headersSent === true && !response.writableEnded
    if (error.code === 'ECONNRESET' || isAnswering) socket.destroy()
    else refuse(socket, toClientError(error, options))
  })
  const noUpgrade = (request: IncomingMessage, socket: Duplex): void => {
    socket.on('error', () => socket.destroy())
    refuse(socket, new ServeError('ERR_UNSUPPORTED', `${request.method}: the gateway speaks plain HTTP only, no tunnels and no upgrades`))
  }
  server.on('upgrade', noUpgrade)
  server.on('connect', noUpgrade)
}

/** How long a refused connection is still read from, in milliseconds. */
const LINGER_MS = 500

const REASONS: Readonly<Record<number, string>> = Object.freeze({
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
})

function toClientError(error: NodeJS.ErrnoException, options: ResolvedHttpOptions): ServeError {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return new ServeError(
        'ERR_HEADERS_TOO_LARGE',
        `the head has more than ${options.maxHeaderBytes} bytes, the limit http.maxHeaderBytes`,
      )
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new ServeError('ERR_PAYLOAD_TOO_LARGE', 'the chunk extensions of the body are too long')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new ServeError(
        'ERR_REQUEST_TIMEOUT',
        `the request did not arrive within ${options.uploadTimeoutMs} ms, its head within ${options.headersTimeoutMs} ms`,
      )
    default:
      return new ServeError('ERR_BAD_REQUEST', `the request is malformed: ${error.message}`, { cause: error })
  }
}

/** A wildcard address is no place to send a browser to. */
const urlHost = (host: string): string => (host === '0.0.0.0' ? '127.0.0.1' : host === '[::]' ? '[::1]' : host)

function listen(server: Server, { host, port }: ResolvedHttpOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException): void => {
      const why = cause.code === 'EADDRINUSE' ? `port ${port} is in use; port: 0 takes any free one` : cause.message
      reject(new ServeError('ERR_HTTP_LISTEN', `cannot listen on ${host}:${port}: ${why}`, { cause }))
    }
    server.once('error', onError)
    server.listen(port, host.replace(/^\[|\]$/g, ''), () => {
      server.off('error', onError)
      resolve()
    })
  })
}

async function closeServer(server: Server, gateway: Gateway, { drainMs = 20_000, lameDuckMs = 0 }: CloseOptions = {}): Promise<void> {
  gateway.drain()
  if (lameDuckMs > 0) await new Promise((resolve) => setTimeout(resolve, lameDuckMs))
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const cut = setTimeout(() => server.closeAllConnections(), drainMs)
  await closed
  clearTimeout(cut)
}
