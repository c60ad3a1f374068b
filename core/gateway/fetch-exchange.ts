import { ServeError } from '../base/index.ts'
import { bytesOf, type RawBody, textOf } from '../request/index.ts'
import type { BodyReader, Exchange, GoneListener } from './exchange.ts'
import type { Gateway } from './gateway.ts'

/** What a Fetch `Request` cannot say itself. */
export interface FetchExchangeInit {
  /** Called once with the answer. */
  readonly resolve: (response: Response) => void
  /** Headers and, if it is no whole URL, the target as they came; without them the request's are taken, whose URL was normalised. */
  readonly raw?: { readonly headers: readonly string[]; readonly target: string }
  /** True when the caller may see what is kept for callers on this machine. */
  readonly isLocal?: boolean
  /** See {@link Exchange.allowedOrigin}. */
  readonly allowedOrigin?: string | undefined
  /** Makes the `Response`; for a middleware that has headers to merge in. Whoever sends it adds the length of a body. */
  readonly toResponse?: (status: number, headers: string[], body: string | Uint8Array | ReadableStream | null) => Response
  /** Calls back when the client is gone before the answer is complete; without it the signal of the request tells. */
  readonly whenGone?: (gone: () => void) => void
  /** Breaks an answer off whose parts were all taken; without it the stream of the body fails. */
  readonly breakOff?: () => void
  /** Reads a body of known, allowed length in one piece. */
  readonly readWhole?: () => Promise<Uint8Array>
}

/** Answers a Fetch `Request` through a gateway, without a socket. `isLocal` opens `/-/status` and the like; leave it out where strangers get through. */
export function gatewayFetch(gateway: Gateway, request: Request, isLocal = false): Promise<Response> {
  return new Promise((resolve) => gateway.handle(new FetchExchange(request, { resolve, isLocal })))
}

/** An {@link Exchange} over Fetch: for `client.fetch`, for a Service Worker, and behind middlewares. Its authority is the one of the URL. */
export class FetchExchange implements Exchange {
  readonly method: string
  readonly target: string
  readonly scheme: 'http' | 'https'
  readonly rawHeaders: readonly string[]
  readonly bodyBytes: number | undefined
  readonly authority: string
  readonly allowedOrigin: string | undefined
  readonly #request: Request
  readonly #init: FetchExchangeInit
  #listener: GoneListener | undefined
  #controller: ReadableStreamController<Uint8Array> | undefined
  #caughtUp: (() => void) | undefined
  #isDone = false

  constructor(request: Request, init: FetchExchangeInit) {
    const url = request.url
    const afterScheme = url.indexOf('://') + 3
    const pathAt = url.indexOf('/', afterScheme)
    const hash = url.indexOf('#')
    this.method = request.method
    this.scheme = url.startsWith('https:') ? 'https' : 'http'
    this.authority = url.slice(afterScheme, pathAt)
    this.target = init.raw?.target.startsWith('/') ? init.raw.target : hash === -1 ? url.slice(pathAt) : url.slice(pathAt, hash)
    this.rawHeaders = init.raw?.headers ?? [...request.headers].flat()
    this.bodyBytes = init.raw === undefined ? bodyBytesOf(request) : undefined
    this.allowedOrigin = init.allowedOrigin
    this.#request = request
    this.#init = init
  }

  isLocal(): boolean {
    return this.#init.isLocal === true
  }

  readBody(limitBytes: number, done: BodyReader): void {
    this.#read(limitBytes).then(
      (body) => done(undefined, body),
      (error: unknown) => {
        if (this.#isDone) return
        if (this.#init.whenGone === undefined && this.#request.signal.aborted) this.#gone()
        else
          done(
            error instanceof ServeError ? error : new ServeError('ERR_BAD_REQUEST', `the body cannot be read: ${String(error)}`),
            undefined,
          )
      },
    )
  }

  async #read(limitBytes: number): Promise<RawBody> {
    const { readWhole } = this.#init
    if (readWhole !== undefined) return toRawBody(await readWhole())
    const stream: ReadableStream<Uint8Array> | null | undefined = this.#request.body
    if (stream === null) return undefined
    if (stream === undefined) return toRawBody(new Uint8Array(await this.#request.arrayBuffer()))
    const reader = stream.getReader()
    const chunks: Uint8Array[] = []
    let total = 0
    for (;;) {
      const { done, value } = await reader.read()
      if (done || value === undefined) break
      chunks.push(value)
      total += value.length
      if (total <= limitBytes) continue
      void reader.cancel().catch(() => undefined)
      throw new ServeError('ERR_PAYLOAD_TOO_LARGE', `the body has more than ${limitBytes} bytes, the limit http.maxBodyBytes`)
    }
    const body = new Uint8Array(total)
    let at = 0
    for (const chunk of chunks) {
      body.set(chunk, at)
      at += chunk.length
    }
    return toRawBody(body)
  }

  respond(status: number, headers: string[], body: string | Uint8Array | undefined): void {
    const isMerged = this.#init.toResponse !== undefined && this.method !== 'HEAD' && body !== undefined
    const bytes = typeof body === 'string' && !isMerged ? bytesOf(body) : body
    const isBodyless = status === 204 || status === 205 || status === 304
    const hasLength = this.method === 'HEAD' && headers.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-length')
    if (!isBodyless && !hasLength && !isMerged) headers.push('content-length', String(bytes?.length ?? 0))
    this.#finish()
    const sent = isBodyless || this.method === 'HEAD' ? null : (bytes ?? null)
    this.#init.resolve(this.#toResponse(status, headers, sent))
  }

  open(status: number, headers: string[]): void {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller
      },
      pull: () => this.#resume(),
      cancel: () => this.#gone(),
    })
    this.#init.resolve(this.#toResponse(status, headers, body))
  }

  write(chunk: string | Uint8Array): Promise<void> | undefined {
    const controller = this.#controller
    if (controller === undefined || this.#isDone) return undefined
    controller.enqueue(typeof chunk === 'string' ? bytesOf(chunk) : chunk)
    if ((controller.desiredSize ?? 1) > 0) return undefined
    return new Promise((resolve) => {
      this.#caughtUp = resolve
    })
  }

  end(): void {
    if (this.#isDone) return
    this.#finish()
    this.#controller?.close()
  }

  abort(): void {
    if (this.#isDone) return
    this.#finish()
    const breakOff = this.#init.breakOff ?? (() => this.#controller?.error(new ServeError('ERR_TASK', 'the answer was broken off')))
    // An error drops what is still queued; what was written before it must be read first.
    if ((this.#controller?.desiredSize ?? 1) > 0) breakOff()
    else this.#caughtUp = breakOff
  }

  onGone(listener: GoneListener): void {
    this.#listener = listener
    if (this.#init.whenGone !== undefined) {
      this.#init.whenGone(this.#onAbort)
      return
    }
    const { signal } = this.#request
    if (signal.aborted) queueMicrotask(this.#onAbort)
    else signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  readonly #onAbort = (): void => this.#gone()

  /** Resolved or not, the promise of the answer is settled, with a 499 nobody may be waiting for. */
  #gone(): void {
    if (this.#isDone) return
    this.#finish()
    this.#resume()
    this.#listener?.gone()
    if (this.#controller === undefined) this.#init.resolve(new Response(null, { status: 499 }))
    try {
      this.#controller?.error(new ServeError('ERR_CANCELLED', 'the reader let go'))
    } catch {
      // The consumer cancelled the stream: it is closed already.
    }
  }

  #resume(): void {
    const caughtUp = this.#caughtUp
    this.#caughtUp = undefined
    caughtUp?.()
  }

  #finish(): void {
    this.#isDone = true
    if (this.#init.whenGone === undefined) this.#request.signal.removeEventListener('abort', this.#onAbort)
  }

  #toResponse(status: number, flat: string[], body: string | Uint8Array | ReadableStream | null): Response {
    if (this.#init.toResponse !== undefined) return this.#init.toResponse(status, flat, body)
    const headers = new Headers()
    for (let i = 0; i + 1 < flat.length; i += 2) headers.append(flat[i] as string, flat[i + 1] as string)
    return new Response(body, { status, headers })
  }
}

/** A `Request` made by hand has no `content-length`; some browsers do not show its body. */
function bodyBytesOf(request: Request): number {
  if (request.body === null || request.method === 'GET' || request.method === 'HEAD') return 0
  const length = request.headers.get('content-length')
  return length === null ? -1 : Number(length)
}

/** ASCII becomes a text, which is cheap to hand over and lossless; the rest stays bytes. */
function toRawBody(bytes: Uint8Array): RawBody {
  for (const byte of bytes) if (byte > 0x7f) return bytes
  return textOf(bytes)
}
