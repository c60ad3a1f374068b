/**
 * The web standards that the core may name, one by one. Timers, `fetch()`, `process` and `Worker` are missing on purpose: time, chance,
 * storage, threads and network reach the core as arguments. Nothing of this file is published; a user's own globals fill the names.
 */
interface EventLike {
  readonly type: string
}
interface AbortSignal {
  readonly aborted: boolean
  // biome-ignore lint/suspicious/noExplicitAny: the platform's own type
  readonly reason: any
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
  throwIfAborted(): void
}
declare var AbortSignal: { readonly prototype: AbortSignal }
interface AbortController {
  readonly signal: AbortSignal
  abort(reason?: unknown): void
}
declare var AbortController: { new (): AbortController; readonly prototype: AbortController }

interface Headers {
  append(name: string, value: string): void
  delete(name: string): void
  get(name: string): string | null
  getSetCookie(): string[]
  has(name: string): boolean
  set(name: string, value: string): void
  forEach(callback: (value: string, name: string) => void): void
  entries(): IterableIterator<[string, string]>
  [Symbol.iterator](): IterableIterator<[string, string]>
}
declare var Headers: { new (init?: Headers | [string, string][] | Record<string, string>): Headers; readonly prototype: Headers }

interface FormData {
  append(name: string, value: string): void
  entries(): IterableIterator<[string, unknown]>
  [Symbol.iterator](): IterableIterator<[string, unknown]>
}
declare var FormData: { new (): FormData; readonly prototype: FormData }

interface Blob {
  readonly size: number
  readonly type: string
  arrayBuffer(): Promise<ArrayBuffer>
}
declare var Blob: { new (parts?: unknown[], options?: { readonly type?: string }): Blob; readonly prototype: Blob }

interface ReadableStreamReadResult<T> {
  readonly done: boolean
  readonly value: T | undefined
}
interface ReadableStreamReader<T> {
  read(): Promise<ReadableStreamReadResult<T>>
  cancel(reason?: unknown): Promise<void>
  releaseLock(): void
}
interface ReadableStreamController<T> {
  readonly desiredSize: number | null
  enqueue(chunk: T): void
  close(): void
  error(reason?: unknown): void
}
interface ReadableStream<R = unknown> {
  readonly locked: boolean
  cancel(reason?: unknown): Promise<void>
  getReader(): ReadableStreamReader<R>
}
declare var ReadableStream: {
  new <R>(
    source?: {
      readonly type?: undefined
      start?(controller: ReadableStreamController<R>): unknown
      pull?(controller: ReadableStreamController<R>): unknown
      cancel?(reason?: unknown): unknown
    },
    strategy?: { readonly highWaterMark?: number },
  ): ReadableStream<R>
  readonly prototype: ReadableStream
}

interface RequestInit {
  method?: string
  headers?: Headers | [string, string][] | Record<string, string>
  body?: unknown
  duplex?: 'half'
  signal?: AbortSignal | null
}
interface Request {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  readonly body: ReadableStream<Uint8Array> | null
  readonly bodyUsed: boolean
  readonly signal: AbortSignal
  arrayBuffer(): Promise<ArrayBuffer>
  blob(): Promise<Blob>
  bytes(): Promise<Uint8Array>
  clone(): Request
  formData(): Promise<FormData>
  // biome-ignore lint/suspicious/noExplicitAny: the platform's own type
  json(): Promise<any>
  text(): Promise<string>
}
declare var Request: { new (input: Request | string, init?: RequestInit): Request; readonly prototype: Request }

interface ResponseInit {
  status?: number
  statusText?: string
  headers?: Headers | [string, string][] | Record<string, string>
}
interface Response {
  readonly status: number
  readonly statusText: string
  readonly ok: boolean
  readonly headers: Headers
  readonly body: ReadableStream<Uint8Array> | null
  readonly bodyUsed: boolean
  arrayBuffer(): Promise<ArrayBuffer>
  bytes(): Promise<Uint8Array>
  clone(): Response
  // biome-ignore lint/suspicious/noExplicitAny: the platform's own type
  json(): Promise<any>
  text(): Promise<string>
}
declare var Response: { new (body?: unknown, init?: ResponseInit): Response; readonly prototype: Response }

interface URLSearchParams {
  append(name: string, value: string): void
  get(name: string): string | null
  getAll(name: string): string[]
  has(name: string): boolean
  forEach(callback: (value: string, name: string) => void): void
  toString(): string
  [Symbol.iterator](): IterableIterator<[string, string]>
}
declare var URLSearchParams: { new (init?: string | Record<string, string>): URLSearchParams; readonly prototype: URLSearchParams }
interface URL {
  readonly href: string
  readonly origin: string
  readonly protocol: string
  readonly host: string
  readonly pathname: string
  readonly search: string
  readonly searchParams: URLSearchParams
}
declare var URL: { new (url: string, base?: string): URL; readonly prototype: URL; canParse(url: string): boolean }

interface TextEncoder {
  encode(text?: string): Uint8Array
}
declare var TextEncoder: { new (): TextEncoder }
interface TextDecoder {
  decode(bytes?: Uint8Array | ArrayBuffer, options?: { readonly stream?: boolean }): string
}
declare var TextDecoder: { new (label?: string, options?: { readonly fatal?: boolean }): TextDecoder }

interface MessagePort {
  postMessage(message: unknown, transfer?: readonly object[]): void
  close(): void
}
declare var MessagePort: { readonly prototype: MessagePort }

declare function structuredClone<T>(value: T, options?: { readonly transfer?: readonly object[] }): T
declare function queueMicrotask(callback: () => void): void
