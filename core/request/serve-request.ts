import { ServeError } from '../base/index.ts'
import { fieldsOf, formDataOf, lastValues, whyNotJson } from './body.ts'
import { asBytes, bytesOf, textOf } from './bytes.ts'
import type { CallMeta, HandleMeta } from './frames.ts'
import { unpackHandleMeta } from './handle-meta.ts'

const BRAND = Symbol.for('shoal.ServeRequest')

/**
 * What a handler receives from a handle call: the members of a Fetch `Request`, and `id`, `args`, `data`, `form`. `instanceof ServeRequest` tells
 * it from a web request, across copies of the package. As a primitive it gives its data, so that `count += request` adds a number that was sent.
 */
export class ServeRequest<Data = unknown> {
  /** The value that was passed to `remote()`. */
  readonly data: Data
  readonly #id: number
  readonly #prefix: string
  readonly #endpoint: string
  readonly #packed: CallMeta
  #meta: HandleMeta | undefined
  #headers: Headers | undefined
  #args: Readonly<Record<string, unknown>> | undefined
  #abort: AbortController | undefined
  #abortedWith: unknown

  /** Made by the replica runtime. `prefix` and `id` give the request id when it is asked for. */
  constructor(id: number, prefix: string, endpoint: string, meta: CallMeta, data: Data) {
    this.#id = id
    this.#prefix = prefix
    this.#endpoint = endpoint
    this.#packed = meta
    this.data = data
  }

  static [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[BRAND] === true
  }

  /** Unique among the requests of this instance. */
  get id(): string {
    return this.#prefix + this.#id.toString(36)
  }

  /** The second argument of `remote()`; null prototype, empty when there was none. */
  get args(): Readonly<Record<string, unknown>> {
    this.#args ??= lastValues(Object.entries(this.#options.a ?? {}))
    return this.#args
  }

  /** The data as a plain object of fields; `ERR_BAD_REQUEST` when it is no object. */
  get form(): Record<string, unknown> {
    return fieldsOf(this.data)
  }

  get method(): string {
    return this.#options.v ?? 'GET'
  }

  get headers(): Headers {
    this.#headers ??= new Headers((this.#options.h ?? []).map(([name, value]) => [name, value]))
    return this.#headers
  }

  /** `shoal://<endpoint>/?<args>`. */
  get url(): string {
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(this.args)) query.append(name, typeof value === 'string' ? value : String(value))
    const text = query.toString()
    return `shoal://${encodeURIComponent(this.#endpoint)}/${text === '' ? '' : `?${text}`}`
  }

  /** Aborts when the caller cancels, goes away, or its deadline passes. Made when first read. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#abortedWith !== undefined) this.#abort.abort(this.#abortedWith)
    }
    return this.#abort.signal
  }

  /** The data when JSON can carry it, else `ERR_NOT_JSON` with the path of what it cannot. */
  async json(): Promise<unknown> {
    const why = whyNotJson(this.data)
    if (why !== undefined)
      throw new ServeError('ERR_NOT_JSON', `${why}, which JSON cannot carry; read request.data`, { outcome: 'completed' })
    return this.data
  }

  /** Text as it is, bytes as UTF-8, undefined as '', anything else as JSON. */
  async text(): Promise<string> {
    if (typeof this.data === 'string') return this.data
    if (this.data === undefined || this.data === null) return ''
    const bytes = asBytes(this.data)
    return bytes === undefined ? JSON.stringify(await this.json()) : textOf(bytes)
  }

  async bytes(): Promise<Uint8Array> {
    return asBytes(this.data) ?? bytesOf(await this.text())
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return (await this.bytes()).slice().buffer as ArrayBuffer
  }

  async blob(): Promise<Blob> {
    return new Blob([await this.bytes()])
  }

  async formData(): Promise<FormData> {
    return formDataOf(this.form)
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.data === undefined) return null
    const whole = this.bytes()
    return new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(await whole)
        controller.close()
      },
    })
  }

  /** Always false: the readers may be used as often as one likes. */
  get bodyUsed(): boolean {
    return false
  }

  clone(): ServeRequest<Data> {
    return this
  }

  [Symbol.toPrimitive](hint: string): unknown {
    const data: unknown = this.data
    return hint === 'string' || (typeof data === 'object' && data !== null) ? String(data) : data
  }

  get [Symbol.toStringTag](): string {
    return 'ServeRequest'
  }

  get #options(): HandleMeta {
    if (this.#meta === undefined) this.#meta = unpackHandleMeta(this.#packed)
    return this.#meta
  }

  /** Told by the runtime; user code sees it through `signal`. */
  static abort(request: ServeRequest, reason: unknown): void {
    request.#abortedWith = reason
    request.#abort?.abort(reason)
  }
}
Object.defineProperty(ServeRequest.prototype, BRAND, { value: true })
