import { ServeError } from '../core/base/index.ts'
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

/** Answers beyond this are sent in parts even when their length is known. */
const WHOLE_BYTES = 1_048_576
/** How long a page waits to come under its Service Worker, in milliseconds. */
const CONTROL_MS = 10_000

/** What answers: a client of `start()`. */
export interface FetchAnswerer {
  fetch(request: Request): Promise<Response>
}

/** Options of {@link answerFetches}. */
export interface AnswerOptions {
  /** The Service Worker's script on this origin, such as a copy of `dist/shoal-service-worker.js`; it is registered. @default the one that the page has registered itself */
  readonly script?: string | URL
  /** Told to `script`: paths that belong to the gateway, `/api` exactly or `/api/*` with everything below. */
  readonly paths?: readonly string[]
  /** Scope of the registration. @default that of the script's folder */
  readonly scope?: string
  /** @default 'classic' */
  readonly type?: 'classic' | 'module'
}

/** A page that answers; see {@link answerFetches}. */
export interface AnsweringPage {
  /** No further requests come here; those under way are answered. */
  close(): void
}

/**
 * Lets this page answer what pages of its origin fetch below the Service Worker's paths: each request goes through `client.fetch`. Resolves when this
 * page's own fetches are forwarded too. `ERR_UNSUPPORTED` where there is no Service Worker (no HTTPS, private windows of some browsers).
 */
export async function answerFetches(client: FetchAnswerer, options: AnswerOptions = {}): Promise<AnsweringPage> {
  const container = (navigator as { readonly serviceWorker?: ServiceWorkerContainer }).serviceWorker
  if (container === undefined) {
    throw new ServeError('ERR_UNSUPPORTED', 'this page has no Service Worker: it needs HTTPS (or localhost); client.fetch works without')
  }
  const gone = new AbortController()
  const holder = crypto.randomUUID()
  await holdLock(holderLock(holder), gone.signal)
  const lives = new Lives()
  let closed = false
  let open = 0
  const leave = (): void => {
    if (closed && open === 0) gone.abort()
  }
  container.addEventListener(
    'message',
    async ({ data, ports: [port] }: MessageEvent<Partial<WhoMessage | FetchMessage> | undefined>) => {
      if (port === undefined) return
      if (data?.shoal === 'who' && !closed) port.postMessage(holder)
      if (data?.shoal !== 'fetch') return
      if (closed) return port.postMessage({ kind: 'closed' } satisfies AnswerMessage)
      open++
      await answerOne(client, data as FetchMessage, port, lives)
      open--
      leave()
    },
    { signal: gone.signal },
  )
  container.startMessages()
  const close = (): void => {
    closed = true
    leave()
  }
  try {
    const registration = await register(container, options)
    registration.active?.postMessage({ shoal: 'here', holder } satisfies HereMessage)
    await whenControlled(container)
  } catch (error) {
    close()
    throw error
  }
  return { close }
}

async function register(
  container: ServiceWorkerContainer,
  { script, paths, scope, type }: AnswerOptions,
): Promise<ServiceWorkerRegistration> {
  if (script !== undefined) {
    const url = new URL(script, document.baseURI)
    for (const path of paths ?? []) url.searchParams.append('path', path)
    await container.register(url, { type: type ?? 'classic', ...(scope !== undefined && { scope }) })
  }
  return container.ready
}

function whenControlled(container: ServiceWorkerContainer): Promise<void> {
  return new Promise((resolve, reject) => {
    if (container.controller !== null) return resolve()
    const message = `this page did not come under its Service Worker within ${CONTROL_MS} ms; does the scope of the script reach it?`
    const timer = setTimeout(() => reject(new ServeError('ERR_UNSUPPORTED', message)), CONTROL_MS)
    const onChange = (): void => {
      clearTimeout(timer)
      resolve()
    }
    container.addEventListener('controllerchange', onChange, { once: true })
  })
}

/** Knows which lives of the Service Worker are over: nobody reads their answers. */
class Lives {
  readonly #ends = new Map<string, Promise<void>>()

  whenOver(life: string): Promise<void> {
    let end = this.#ends.get(life)
    if (end === undefined) {
      end = whenLockFalls(forwarderLock(life)).then(() => void this.#ends.delete(life))
      this.#ends.set(life, end)
    }
    return end
  }
}

async function answerOne(client: FetchAnswerer, message: FetchMessage, port: MessagePort, lives: Lives): Promise<void> {
  const abort = new AbortController()
  const say = (answer: AnswerMessage, transfer: Transferable[] = []): void => port.postMessage(answer, transfer)
  const credit = new Credit()
  port.onmessage = ({ data }: MessageEvent<ReaderMessage>) => {
    if (data.kind === 'more') credit.add()
    else abort.abort()
  }
  void lives.whenOver(message.life).then(() => abort.abort())
  abort.signal.addEventListener('abort', () => credit.add())
  try {
    const response = await client.fetch(toRequest(message, abort.signal))
    const head: AnswerHead = { status: response.status, statusText: response.statusText, headers: [...response.headers] }
    if (response.body === null || Number(response.headers.get('content-length') ?? Number.NaN) <= WHOLE_BYTES) {
      const body = response.body === null ? null : await response.arrayBuffer()
      return say({ kind: 'whole', head, body }, body === null ? [] : [body])
    }
    say({ kind: 'head', head })
    await sendParts(response.body, say, credit, abort.signal)
    say({ kind: 'end' })
  } catch (error) {
    say({ kind: 'broken', message: error instanceof Error ? error.message : String(error) })
  } finally {
    // What was said last has to leave before the port is closed.
    setTimeout(() => port.close(), 1_000)
  }
}

async function sendParts(
  body: ReadableStream<Uint8Array>,
  say: (answer: AnswerMessage, transfer?: Transferable[]) => void,
  credit: Credit,
  signal: AbortSignal,
): Promise<void> {
  const reader = body.getReader()
  for (;;) {
    await credit.take()
    if (signal.aborted) return reader.cancel(signal.reason)
    const { done, value } = await reader.read()
    if (done) return
    say({ kind: 'chunk', bytes: new Uint8Array(value) })
  }
}

function toRequest({ method, url, headers, body }: FetchMessage, signal: AbortSignal): Request {
  const pairs = headers.map(([name, value]): [string, string] => [name, value])
  return new Request(url, { method, headers: pairs, signal, ...(body !== undefined && body.byteLength > 0 && { body }) })
}

/** What the reader is ready for, in chunks. */
class Credit {
  #left = 0
  #wake: (() => void) | undefined

  add(): void {
    this.#left++
    this.#wake?.()
  }

  async take(): Promise<void> {
    while (this.#left === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#left--
  }
}
