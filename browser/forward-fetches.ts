import { type ErrorCode, ServeError } from '../core/base/index.ts'
import { toProblem } from '../core/gateway/index.ts'
import {
  type AnswerHead,
  type AnswerMessage,
  type FetchMessage,
  forwarderLock,
  type HereMessage,
  holderLock,
  type ReaderMessage,
  type WhoMessage,
} from './fetch-wire.ts'
import { holdLock, whenLockFalls } from './held-lock.ts'

/** Options of {@link forwardFetches}. */
export interface ForwardOptions {
  /** Paths that belong to the pages' gateway: `/api` exactly, `/api/*` with everything below. At least one. */
  readonly paths: readonly string[]
  /** Longest wait for a page that holds replicas, in milliseconds: one may be loading. @default 5 000 */
  readonly holderTimeoutMs?: number
  /** Longest wait for the head of an answer, in milliseconds. @default 60 000 */
  readonly answerTimeoutMs?: number
  /** Largest request body in bytes. @default 16 MiB */
  readonly maxBodyBytes?: number
}

/** How often pages are asked who holds replicas while none says so, in milliseconds. */
const ASK_AGAIN_MS = 200
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
/** What a request rejects with whose page had let go before it came. */
const CLOSED = Symbol('closed')
const BODYLESS: ReadonlySet<number> = new Set([204, 205, 304])

/** What is needed of a Service Worker's global scope; the types of pages do not have it. */
interface ForwarderScope {
  readonly location: Location
  readonly clients: {
    claim(): Promise<void>
    get(id: string): Promise<PageClient | undefined>
    matchAll(options: { readonly type: 'window'; readonly includeUncontrolled: boolean }): Promise<readonly PageClient[]>
  }
  skipWaiting(): Promise<void>
  addEventListener(type: 'install' | 'activate', listener: (event: LastingEvent) => void): void
  addEventListener(type: 'message', listener: (event: LastingEvent & { readonly data: unknown; readonly source: unknown }) => void): void
  addEventListener(type: 'fetch', listener: (event: PageFetchEvent) => void): void
}

interface PageClient {
  readonly id: string
  postMessage(message: WhoMessage | FetchMessage, transfer: Transferable[]): void
}

interface LastingEvent {
  waitUntil(work: Promise<unknown>): void
}

interface PageFetchEvent extends LastingEvent {
  readonly request: Request
  readonly clientId: string
  respondWith(response: Promise<Response>): void
}

/** A page that holds replicas. */
interface Holder {
  readonly client: PageClient
  /** Aborts when the page is gone. */
  readonly gone: AbortSignal
}

/**
 * Makes this Service Worker the way from `fetch('/api/...')` of any page of the origin to the page that holds the replicas. It keeps nothing that it
 * needs: stopped and started again, it asks the pages anew. Call it at the top of the worker's file.
 */
export function forwardFetches(options: ForwardOptions): void {
  new Forwarder(options, globalThis as unknown as ForwarderScope).listen()
}

class Forwarder {
  readonly #scope: ForwarderScope
  readonly #options: Required<ForwardOptions>
  readonly #holders = new Map<string, Holder>()
  readonly #life = crypto.randomUUID()
  #alive: Promise<void> | undefined

  constructor(options: ForwardOptions, scope: ForwarderScope) {
    const { paths } = options
    if (!Array.isArray(paths) || paths.length === 0 || !paths.every((path) => typeof path === 'string' && path.startsWith('/'))) {
      throw new ServeError(
        'ERR_INVALID_ARG_VALUE',
        "forwardFetches: paths must be a list of paths such as ['/api/*'], each beginning with a slash",
      )
    }
    this.#scope = scope
    this.#options = { holderTimeoutMs: 5_000, answerTimeoutMs: 60_000, maxBodyBytes: 16 * 2 ** 20, ...options }
  }

  listen(): void {
    const scope = this.#scope
    scope.addEventListener('install', (event) => event.waitUntil(scope.skipWaiting()))
    scope.addEventListener('activate', (event) => event.waitUntil(scope.clients.claim()))
    scope.addEventListener('message', (event) => {
      const message = event.data as Partial<HereMessage> | undefined
      if (message?.shoal !== 'here' || typeof message.holder !== 'string') return
      this.#note(event.source as PageClient, message.holder)
      // A page that was reloaded past the worker comes back under it.
      event.waitUntil(scope.clients.claim())
    })
    scope.addEventListener('fetch', (event) => {
      const url = new URL(event.request.url)
      if (url.origin !== scope.location.origin || !this.#options.paths.some((path) => matches(path, url.pathname))) return
      event.respondWith(this.#answer(event).catch(problemResponse))
    })
  }

  /** A safe request that met a page as it closed goes to the next one; of another one nobody knows whether it ran. */
  async #answer(event: PageFetchEvent): Promise<Response> {
    const { request } = event
    refuseForeignForm(request, this.#scope.location.origin)
    const body = await this.#bodyOf(request)
    this.#alive ??= holdLock(forwarderLock(this.#life))
    await this.#alive
    for (let attempt = 0; ; attempt++) {
      const holder = await this.#findHolder(event.clientId, request.signal)
      try {
        return await this.#ask(holder, event, body)
      } catch (error) {
        if (error === CLOSED) {
          attempt--
          continue
        }
        const mayRepeat = holder.gone.aborted && SAFE_METHODS.has(request.method) && attempt === 0
        if (!mayRepeat) throw error
      }
    }
  }

  async #bodyOf(request: Request): Promise<ArrayBuffer | undefined> {
    if (request.method === 'GET' || request.method === 'HEAD') return undefined
    const { maxBodyBytes } = this.#options
    const body = await request.arrayBuffer()
    if (body.byteLength <= maxBodyBytes) return body
    throw new ServeError('ERR_PAYLOAD_TOO_LARGE', `the body has ${body.byteLength} bytes, the limit is ${maxBodyBytes} (maxBodyBytes)`)
  }

  #note(client: PageClient, holder: string): Holder {
    const known = this.#holders.get(client.id)
    if (known !== undefined && !known.gone.aborted) return known
    const gone = new AbortController()
    const noted: Holder = { client, gone: gone.signal }
    this.#holders.set(client.id, noted)
    void whenLockFalls(holderLock(holder)).then(() => {
      if (this.#holders.get(client.id) === noted) this.#holders.delete(client.id)
      gone.abort(new ServeError('ERR_REPLICA_DIED', 'the page that held the replicas is gone', { outcome: 'started-unknown' }))
    })
    return noted
  }

  /** The page that asks, if it holds replicas itself, else any other. */
  async #findHolder(asking: string, signal: AbortSignal): Promise<Holder> {
    const dueMs = performance.now() + this.#options.holderTimeoutMs
    for (;;) {
      signal.throwIfAborted()
      const known = this.#holders.get(asking) ?? this.#holders.values().next().value
      if (known !== undefined) return known
      const found = await this.#askWho()
      if (found !== undefined) return found
      if (performance.now() > dueMs) {
        throw new ServeError('ERR_NO_REPLICA', 'no open page of this origin holds replicas: one has to call answerFetches()', {
          outcome: 'not-started',
          retryAfterMs: 1_000,
        })
      }
    }
  }

  async #askWho(): Promise<Holder | undefined> {
    const pages = await this.#scope.clients.matchAll({ type: 'window', includeUncontrolled: true })
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), ASK_AGAIN_MS)
      for (const page of pages) {
        const { port1, port2 } = new MessageChannel()
        port1.onmessage = ({ data }: MessageEvent<string>) => {
          clearTimeout(timer)
          resolve(this.#note(page, data))
        }
        page.postMessage({ shoal: 'who' }, [port2])
      }
    })
  }

  /** Resolves with the answer once its head is there; the body may still be on its way. */
  #ask({ client, gone }: Holder, event: PageFetchEvent, body: ArrayBuffer | undefined): Promise<Response> {
    const { request } = event
    const { port1: port, port2 } = new MessageChannel()
    const say = (message: ReaderMessage): void => port.postMessage(message)
    return new Promise<Response>((resolve, reject) => {
      let finish: () => void = () => {}
      // The worker has to stay until the last part of a stream is through.
      event.waitUntil(new Promise<void>((done) => (finish = done)))
      let stream: ReadableStreamDefaultController<Uint8Array> | undefined
      const end = (error?: unknown): void => {
        clearTimeout(timer)
        gone.removeEventListener('abort', onGone)
        request.signal.removeEventListener('abort', onAbort)
        port.close()
        finish()
        if (error === undefined) return
        reject(error)
        stream?.error(error)
      }
      const onGone = (): void => end(gone.reason)
      const onAbort = (): void => {
        say({ kind: 'cancel' })
        end(request.signal.reason)
      }
      const timer = setTimeout(() => {
        say({ kind: 'cancel' })
        end(new ServeError('ERR_TIMEOUT', `the page that holds the replicas gave no answer in ${this.#options.answerTimeoutMs} ms`))
      }, this.#options.answerTimeoutMs)
      port.onmessage = ({ data }: MessageEvent<AnswerMessage>) => {
        switch (data.kind) {
          case 'whole':
            resolve(toResponse(data.head, data.body))
            return end()
          case 'head': {
            clearTimeout(timer)
            const source: UnderlyingDefaultSource<Uint8Array> = {
              start: (controller) => {
                stream = controller
              },
              pull: () => say({ kind: 'more' }),
              cancel: () => {
                say({ kind: 'cancel' })
                end()
              },
            }
            return resolve(toResponse(data.head, new ReadableStream(source)))
          }
          case 'chunk':
            return stream?.enqueue(data.bytes)
          case 'end':
            stream?.close()
            return end()
          case 'broken':
            return end(new TypeError(data.message))
          case 'closed':
            this.#holders.delete(client.id)
            return end(CLOSED)
        }
      }
      if (gone.aborted) return onGone()
      if (request.signal.aborted) return onAbort()
      gone.addEventListener('abort', onGone, { once: true })
      request.signal.addEventListener('abort', onAbort, { once: true })
      const { method, url } = request
      client.postMessage({ shoal: 'fetch', life: this.#life, method, url, headers: [...request.headers], body }, [port2])
    })
  }
}

/** The same as routes of endpoints: exact, or a prefix when it ends in `/*`. */
function matches(path: string, pathname: string): boolean {
  if (!path.endsWith('/*')) return pathname === path
  const prefix = path.slice(0, -2)
  return pathname === prefix || pathname.startsWith(`${prefix}/`)
}

/** A form of another site may send the browser here with a body; that it is ours only the referrer tells, which no page can invent. */
function refuseForeignForm({ mode, method, referrer }: Request, origin: string): void {
  if (mode !== 'navigate' || SAFE_METHODS.has(method) || referrer.startsWith(`${origin}/`)) return
  throw new ServeError('ERR_ORIGIN_REFUSED', `a form of another site may not send a ${method} request here`)
}

function toResponse({ status, statusText, headers }: AnswerHead, body: BodyInit | null): Response {
  return new Response(BODYLESS.has(status) ? null : body, {
    status,
    statusText,
    headers: headers.map(([name, value]): [string, string] => [name, value]),
  })
}

function problemResponse(error: unknown): Response {
  const code: ErrorCode = 'ERR_CANCELLED'
  const known = error instanceof ServeError ? error : new ServeError(code, `the request was given up: ${String(error)}`)
  const { status, headers, body } = toProblem(known, { requestId: '', exposeStacks: false, overloadStatus: 503 })
  const pairs = Array.from({ length: headers.length / 2 }, (_, i): [string, string] => [
    headers[2 * i] as string,
    headers[2 * i + 1] as string,
  ])
  return new Response(body, { status, headers: pairs })
}
