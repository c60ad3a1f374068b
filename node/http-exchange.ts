import { isAscii } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { ServeError } from '../core/base/index.ts'
import { type BodyLimits, type BodyReader, type Exchange, type GoneListener, isLoopbackHost } from '../core/gateway/index.ts'
import type { RawBody } from '../core/request/index.ts'
import { Upload } from '../core/service/index.ts'
import { IncomingBody } from './incoming-body.ts'
import type { TurnEnd } from './turn-end.ts'

/** What a server settles for all its exchanges. */
export interface NodeExchangeRules {
  readonly scheme: 'http' | 'https'
  /** Longest time a client may take nothing of what waits for it, in milliseconds. */
  readonly slowReaderTimeoutMs: number
  /** Where answers that are ready at once wait for each other. */
  readonly turnEnd: TurnEnd
}

/** An {@link Exchange} over `node:http`: raw headers, body chunks gathered by hand, a flat list of headers out. */
export class NodeExchange implements Exchange {
  readonly bodyBytes = undefined
  readonly authority = undefined
  readonly allowedOrigin = undefined
  readonly scheme: 'http' | 'https'
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #rules: NodeExchangeRules
  /** Runs what sends an answer: at the end of the turn in which the request came, or at once when that is over. */
  readonly #release: (send: () => void) => void
  /** True while the client waits for `100 Continue` before it sends its body. */
  #expectsContinue: boolean
  #body: IncomingBody | undefined
  #listener: GoneListener | undefined
  #caughtUp: (() => void) | undefined
  #isGone = false

  constructor(request: IncomingMessage, response: ServerResponse, rules: NodeExchangeRules, expectsContinue = false) {
    this.scheme = rules.scheme
    this.#request = request
    this.#response = response
    this.#rules = rules
    this.#release = rules.turnEnd.here()
    this.#expectsContinue = expectsContinue
    response.on('close', () => {
      this.#isGone = true
      this.#resume()
      if (!response.writableFinished) this.#listener?.gone()
    })
  }

  get method(): string {
    return this.#request.method ?? 'GET'
  }

  get target(): string {
    return this.#request.url ?? '/'
  }

  get rawHeaders(): readonly string[] {
    return this.#request.rawHeaders
  }

  isLocal(): boolean {
    const address = this.#request.socket.remoteAddress ?? ''
    return isLoopbackHost(address.startsWith('::ffff:') ? address.slice(7) : address)
  }

  readBody({ knownBytes, bufferBytes, maxBytes }: BodyLimits, done: BodyReader): void {
    const request = this.#request
    if (knownBytes > bufferBytes) return done(undefined, undefined, this.#open(maxBytes))
    this.#askForBody()
    const chunks: Buffer[] = []
    let total = 0
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk)
      total += chunk.length
      if (total <= bufferBytes) return
      request.off('data', onData).off('end', onEnd)
      if (total <= maxBytes) return done(undefined, undefined, this.#open(maxBytes, Buffer.concat(chunks)))
      // The rest is read and dropped, so that a client that still sends hears the answer.
      request.resume()
      done(new ServeError('ERR_PAYLOAD_TOO_LARGE', `the body has more than ${maxBytes} bytes, the limit http.maxBodyBytes`), undefined)
    }
    const onEnd = (): void => done(undefined, toRawBody(chunks, total))
    request.on('data', onData).on('end', onEnd)
  }

  #open(limitBytes: number, first?: Uint8Array): Upload {
    const body = new IncomingBody(this.#request, limitBytes, () => this.#askForBody())
    this.#body = body
    return new Upload(() => body.next(), { first, limitBytes })
  }

  #askForBody(): void {
    if (!this.#expectsContinue) return
    this.#expectsContinue = false
    this.#response.writeContinue()
  }

  respond(status: number, headers: string[], body: string | Uint8Array | undefined): void {
    if (this.#isGone) return
    const response = this.#response
    const bytes = body === undefined ? 0 : typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
    if (status !== 204 && status !== 304 && !(this.method === 'HEAD' && hasLength(headers))) headers.push('content-length', String(bytes))
    this.#closeIfUncertain(headers)
    response.writeHead(status, headers)
    this.#release(() => {
      if (this.#isGone) return
      // An ASCII text as latin1: cheaper, and Node, which encodes head and text together, leaves the head as it is.
      if (typeof body === 'string' && body.length === bytes) response.end(body, 'latin1')
      else response.end(body)
      this.#body?.discard()
      if (response.writableLength > 0) this.#watchReader()
    })
  }

  open(status: number, headers: string[]): void {
    if (this.#isGone) return
    this.#closeIfUncertain(headers)
    this.#response.writeHead(status, headers)
    this.#response.flushHeaders()
  }

  write(chunk: string | Uint8Array): Promise<void> | undefined {
    if (this.#isGone || this.#response.write(chunk)) return undefined
    this.#watchReader()
    return new Promise((resolve) => {
      this.#caughtUp = resolve
      this.#response.once('drain', () => {
        this.#response.socket?.setTimeout(0)
        this.#resume()
      })
    })
  }

  end(): void {
    if (this.#isGone) return
    this.#response.end()
    this.#body?.discard()
    if (this.#response.writableLength > 0) this.#watchReader()
  }

  abort(): void {
    this.#response.socket?.destroySoon()
  }

  onGone(listener: GoneListener): void {
    this.#listener = listener
  }

  #resume(): void {
    this.#caughtUp?.()
    this.#caughtUp = undefined
  }

  /** The socket is destroyed when nothing moves on it for so long; Node sets the time anew once the answer is out. */
  #watchReader(): void {
    this.#response.socket?.setTimeout(this.#rules.slowReaderTimeoutMs)
  }

  /** A client that was told no instead of `100 Continue` may send its body or not: what follows on the connection cannot be trusted. */
  #closeIfUncertain(headers: string[]): void {
    if (this.#expectsContinue) headers.push('connection', 'close')
  }
}

const hasLength = (headers: readonly string[]): boolean => headers.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-length')

/**
 * ASCII becomes a text of one byte a character: lossless, and cheaper to hand to a thread than bytes. The rest is copied into a buffer of its own:
 * a view of Node's pool would take the whole pool along.
 */
function toRawBody(chunks: readonly Buffer[], total: number): RawBody {
  if (chunks.length === 1) {
    const only = chunks[0] as Buffer
    return isAscii(only) ? only.toString('latin1') : new Uint8Array(only)
  }
  if (total === 0) return undefined
  if (chunks.every((chunk) => isAscii(chunk))) return chunks.map((chunk) => chunk.toString('latin1')).join('')
  const body = new Uint8Array(total)
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk, at)
    at += chunk.length
  }
  return body
}
