import { ServeError } from '../base/index.ts'
import { argsOfUrl, lastValues } from './body.ts'
import { asBytes, bytesOf, textOf } from './bytes.ts'
import { findHeader } from './find-header.ts'
import { decodeHttpHead, type HttpHead } from './http-head.ts'
import { parseGuardedJson } from './json-guard.ts'
import { JSON_LIMITS, type JsonLimits } from './json-limits.ts'
import { StreamedBody } from './streamed-body.ts'

const MULTIPART = /multipart\/form-data/i

/** What the gateway hands over as a body: nothing, ASCII text, or bytes. */
export type RawBody = undefined | string | Uint8Array

/**
 * The stand-in for a Fetch `Request` that a handler receives over HTTP. It passes `instanceof Request`, decodes nothing until asked, and becomes a
 * real `Request` for members that only one can give. Its readers may be used repeatedly.
 */
export class HttpRequest {
  readonly #packed: string
  readonly #body: RawBody | StreamedBody
  readonly #limits: JsonLimits
  #head: HttpHead | undefined
  #headers: Headers | undefined
  #args: Readonly<Record<string, string>> | undefined
  #data: unknown
  #decoded = false
  #form: FormData | undefined
  #real: Request | undefined
  #abort: AbortController | undefined
  #abortedWith: unknown

  constructor(packedHead: string, body: RawBody | StreamedBody, limits: JsonLimits = JSON_LIMITS) {
    this.#packed = packedHead
    this.#body = body
    this.#limits = limits
  }

  get id(): string {
    return this.#split.requestId
  }

  /** The query; null prototype, the last value of a name wins. All values: `new URL(request.url).searchParams`. */
  get args(): Readonly<Record<string, string>> {
    this.#args ??= argsOfUrl(this.#split.url)
    return this.#args
  }

  /**
   * JSON and forms parsed, a string for `text/*`, bytes otherwise, undefined without a body. `ERR_NOT_JSON` for broken JSON, `ERR_BODY_STREAMED` for a
   * body above `http.bufferBodyBytes`.
   */
  get data(): unknown {
    if (!this.#decoded) {
      this.#data = this.#decode()
      this.#decoded = true
    }
    return this.#data
  }

  /** The fields of a form body as a plain object without prototype, the last value of a name winning; empty for other bodies. */
  get form(): Record<string, unknown> {
    if (this.#body instanceof StreamedBody) throw isStreamed('form', 'formData()')
    const type = this.#contentType
    if (type.startsWith('application/x-www-form-urlencoded')) return lastValues(new URLSearchParams(this.#text))
    return this.#form === undefined ? Object.create(null) : lastValues(this.#form)
  }

  get method(): string {
    return this.#split.httpMethod
  }

  get url(): string {
    return this.#split.url
  }

  get headers(): Headers {
    if (this.#headers === undefined) {
      this.#headers = new Headers()
      const raw = this.#split.rawHeaders
      for (let i = 0; i + 1 < raw.length; i += 2) this.#headers.append(raw[i] as string, raw[i + 1] as string)
    }
    return this.#headers
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#abortedWith !== undefined) this.#abort.abort(this.#abortedWith)
    }
    return this.#abort.signal
  }

  text(): Promise<string> {
    return this.#body instanceof StreamedBody ? fromWhole(this.#body, textOf) : Promise.resolve(this.#text)
  }

  json(): Promise<unknown> {
    return this.#body instanceof StreamedBody
      ? fromWhole(this.#body, (bytes) => parseGuardedJson(textOf(bytes), this.#limits))
      : this.#jsonOfHere()
  }

  bytes(): Promise<Uint8Array> {
    return this.#body instanceof StreamedBody ? this.#body.whole() : Promise.resolve(this.#bytes)
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    const copy = (bytes: Uint8Array): ArrayBuffer => bytes.slice().buffer as ArrayBuffer
    return this.#body instanceof StreamedBody ? fromWhole(this.#body, copy) : Promise.resolve(copy(this.#bytes))
  }

  blob(): Promise<Blob> {
    const pack = (bytes: Uint8Array): Blob => new Blob([bytes], { type: this.#contentType })
    return this.#body instanceof StreamedBody ? fromWhole(this.#body, pack) : Promise.resolve(pack(this.#bytes))
  }

  formData(): Promise<FormData> {
    if (this.#body instanceof StreamedBody) return fromWhole(this.#body, (bytes) => this.#toReal(bytes).formData())
    return this.#form === undefined ? this.#asReal.clone().formData() : Promise.resolve(this.#form)
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.#body instanceof StreamedBody) return this.#body.stream()
    return this.#body === undefined ? null : this.#asReal.clone().body
  }

  /** False: the readers may be used as often as one likes. True only for a large body that is read through `body`. */
  get bodyUsed(): boolean {
    return this.#body instanceof StreamedBody && this.#body.isStreaming
  }

  /** Of a body that streams in, the clone keeps all bytes when it is read. */
  clone(): Request {
    return this.#body instanceof StreamedBody ? this.#toReal(this.#body.copy()) : this.#asReal.clone()
  }

  get [Symbol.toStringTag](): string {
    return 'Request'
  }

  get #split(): HttpHead {
    this.#head ??= decodeHttpHead(this.#packed)
    return this.#head
  }

  get #contentType(): string {
    return (this.#headers?.get('content-type') ?? findHeader(this.#split.rawHeaders, 'content-type') ?? '').toLowerCase()
  }

  async #jsonOfHere(): Promise<unknown> {
    return parseGuardedJson(this.#text, this.#limits)
  }

  get #text(): string {
    const body = this.#body as RawBody
    return body === undefined ? '' : typeof body === 'string' ? body : textOf(body)
  }

  get #bytes(): Uint8Array {
    const body = this.#body as RawBody
    return body === undefined ? new Uint8Array(0) : typeof body === 'string' ? bytesOf(body) : (asBytes(body) as Uint8Array)
  }

  #decode(): unknown {
    if (this.#body === undefined) return undefined
    if (this.#body instanceof StreamedBody) throw isStreamed('data', 'json(), text(), bytes(), formData()')
    const type = this.#contentType
    if (/^application\/(?:[\w.+-]+\+)?json\b/.test(type)) return parseGuardedJson(this.#text, this.#limits)
    if (type.startsWith('application/x-www-form-urlencoded') || this.#form !== undefined) return this.form
    return type.startsWith('text/') ? this.#text : this.#bytes
  }

  get #asReal(): Request {
    this.#real ??= this.#toReal(this.#body instanceof StreamedBody ? this.#body.stream() : this.#body)
    return this.#real
  }

  #toReal(body: RawBody | ReadableStream<Uint8Array>): Request {
    const { httpMethod: method, url } = this.#split
    const bodyless = body === undefined || method === 'GET' || method === 'HEAD'
    const duplex = body instanceof ReadableStream ? { duplex: 'half' as const } : undefined
    return new Request(url, { method, headers: this.headers, signal: this.signal, ...(bodyless ? {} : { body, ...duplex }) })
  }

  /** The real `Request` behind a stand-in; anything else comes back as it is. */
  static real(request: unknown): unknown {
    return isHttpRequest(request) ? request.#asReal : request
  }

  /** Decodes what cannot be decoded in a getter: a multipart form. Undefined when there is nothing to wait for. */
  static prepare(request: HttpRequest): Promise<void> | undefined {
    if (request.#body === undefined || request.#body instanceof StreamedBody || !MULTIPART.test(request.#packed)) return undefined
    return request.#asReal
      .clone()
      .formData()
      .then(
        (form) => {
          request.#form = form
        },
        () => undefined,
      )
  }

  /** Told by the runtime; user code sees it through `signal`. */
  static abort(request: HttpRequest, reason: unknown): void {
    request.#abortedWith = reason
    request.#abort?.abort(reason)
    if (request.#body instanceof StreamedBody) request.#body.fail(reason)
  }

  static isOne(value: unknown): value is HttpRequest {
    return typeof value === 'object' && value !== null && #packed in value
  }
}

const isHttpRequest = HttpRequest.isOne

/** A reader that nobody awaits must not end the replica when the client goes away. */
function fromWhole<T>(body: StreamedBody, decode: (bytes: Uint8Array) => T | Promise<T>): Promise<T> {
  const read = body.whole().then(decode)
  read.catch(() => undefined)
  return read
}

const isStreamed = (member: string, readers: string): ServeError =>
  new ServeError(
    'ERR_BODY_STREAMED',
    `request.${member}: the body is larger than http.bufferBodyBytes and streams in; await ${readers} of the request, or read request.body`,
  )

// `instanceof Request` holds, and the members that the stand-in lacks (mode, cache, ...) are answered by a real one.
if (typeof Request === 'function') {
  for (const name of Object.getOwnPropertyNames(Request.prototype)) {
    if (name in HttpRequest.prototype) continue
    Object.defineProperty(HttpRequest.prototype, name, {
      configurable: true,
      get(this: HttpRequest) {
        const real = HttpRequest.real(this) as Record<string, unknown>
        const value = real[name]
        return typeof value === 'function' ? value.bind(real) : value
      },
    })
  }
  Object.setPrototypeOf(HttpRequest.prototype, Request.prototype)
}
