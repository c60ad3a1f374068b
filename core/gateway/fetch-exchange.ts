import { ServeError } from '../base/index.ts'
import { bytesOf, type RawBody, textOf } from '../request/index.ts'
import { Upload } from '../service/index.ts'
import type { BodyLimits, BodyReader, Exchange, GoneListener } from './exchange.ts'
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
  /** Reads a body of known, allowed length in one piece, which costs less than part by part. */
  readonly readWhole?: () => Promise<Uint8Array>
  /** True when the body lies in memory already, so that `readWhole` serves for large ones too. */
  readonly isInMemory?: boolean
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
  #unread: Unread | undefined

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

  readBody(limits: BodyLimits, done: BodyReader): void {
    this.#read(limits).then(
      (body) => (body instanceof Upload ? done(undefined, undefined, body) : done(undefined, body)),
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

  async #read(limits: BodyLimits): Promise<RawBody | Upload> {
    const { readWhole, isInMemory = false } = this.#init
    if (readWhole !== undefined && (isInMemory || limits.knownBytes <= limits.bufferBytes)) return toBody(await readWhole(), limits)
    const stream: ReadableStream<Uint8Array> | null | undefined = this.#request.body
    if (stream === null) return undefined
    if (stream === undefined) return toBody(new Uint8Array(await this.#request.arrayBuffer()), limits)
    const unread = new Unread(stream.getReader(), limits.maxBytes)
    this.#unread = unread
    if (limits.knownBytes > limits.bufferBytes) return new Upload(() => unread.next(), { limitBytes: limits.maxBytes })
    const chunks: Uint8Array[] = []
    let total = 0
    for (let chunk = await unread.next(); chunk !== undefined; chunk = await unread.next()) {
      chunks.push(chunk)
      total += chunk.length
      if (total > limits.bufferBytes) return this.#open(unread, joined(chunks, total), limits)
    }
    return toRawBody(joined(chunks, total))
  }

  #open(unread: Unread, first: Uint8Array, { maxBytes }: BodyLimits): Upload {
    if (first.byteLength > maxBytes) throw tooLarge(maxBytes)
    return new Upload(() => unread.next(), { first, limitBytes: maxBytes })
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
      // Where a socket closed nobody reads on, and an error would only be printed by who writes it.
      if (this.#init.whenGone !== undefined) this.#controller?.close()
      else this.#controller?.error(new ServeError('ERR_CANCELLED', 'the reader let go'))
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
    // A socket has to be read on for the next request to be found; any other stream is let go.
    void this.#unread?.discard(this.#init.whenGone !== undefined)
    if (this.#init.whenGone === undefined) this.#request.signal.removeEventListener('abort', this.#onAbort)
  }

  #toResponse(status: number, flat: string[], body: string | Uint8Array | ReadableStream | null): Response {
    if (this.#init.toResponse !== undefined) return this.#init.toResponse(status, flat, body)
    const headers = new Headers()
    for (let i = 0; i + 1 < flat.length; i += 2) headers.append(flat[i] as string, flat[i + 1] as string)
    return new Response(body, { status, headers })
  }
}

/** The part of a body that nobody has read so far. */
class Unread {
  readonly #reader: ReadableStreamReader<Uint8Array>
  readonly #maxBytes: number
  #totalBytes = 0
  #isDiscarded = false

  constructor(reader: ReadableStreamReader<Uint8Array>, maxBytes: number) {
    this.#reader = reader
    this.#maxBytes = maxBytes
  }

  async next(): Promise<Uint8Array | undefined> {
    const { value } = await this.#reader.read().catch((cause: unknown) => {
      throw new ServeError('ERR_BAD_REQUEST', `the body cannot be read: ${String(cause)}`, { cause })
    })
    this.#totalBytes += value?.byteLength ?? 0
    return value
  }

  /** Reads on and drops what comes, up to the limit, or cancels at once. */
  async discard(readsOn: boolean): Promise<void> {
    if (this.#isDiscarded) return
    this.#isDiscarded = true
    try {
      while (readsOn && this.#totalBytes <= this.#maxBytes) if ((await this.next()) === undefined) return
      await this.#reader.cancel()
    } catch {
      // Whoever sent it is gone, or has broken it off.
    }
  }
}

function joined(chunks: readonly Uint8Array[], total: number): Uint8Array {
  if (chunks.length === 1) return chunks[0] as Uint8Array
  const body = new Uint8Array(total)
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk, at)
    at += chunk.length
  }
  return body
}

/** What lies in memory is handed over as it would be if it came by a socket. */
function toBody(bytes: Uint8Array, { bufferBytes, maxBytes }: BodyLimits): RawBody | Upload {
  if (bytes.byteLength > maxBytes) throw tooLarge(maxBytes)
  if (bytes.byteLength <= bufferBytes) return toRawBody(bytes)
  return new Upload(async () => undefined, { first: bytes, limitBytes: maxBytes })
}

const tooLarge = (maxBytes: number): ServeError =>
  new ServeError('ERR_PAYLOAD_TOO_LARGE', `the body has more than ${maxBytes} bytes, the limit http.maxBodyBytes`)

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
