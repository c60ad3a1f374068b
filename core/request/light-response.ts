import { asBytes } from './bytes.ts'
import { flatHeaders } from './flat-headers.ts'
import type { ResponseHead } from './frames.ts'

const NativeResponse: typeof Response = globalThis.Response

/**
 * A `Response` that remembers a text or byte body as it was given, so that a replica can send it on without opening a stream; building a real one
 * costs several times a whole call. Bytes are copied, as Fetch does: the answer can be moved then, and the handler keeps its own. It becomes real for
 * every member it does not know itself. Put in place of the global by a replica's thread.
 */
export class LightResponse {
  readonly #body: string | Uint8Array | null
  readonly #init: ResponseInit
  #real: Response | undefined
  #headers: Headers | undefined

  constructor(body?: unknown, init: ResponseInit = {}) {
    const light = body === undefined || body === null ? null : typeof body === 'string' ? body : asBytes(body)?.slice()
    if (light === undefined || (init.status !== undefined && (init.status < 200 || init.status > 599))) {
      this.#real = new NativeResponse(body, init)
      this.#body = null
    } else {
      this.#body = light
    }
    this.#init = init
  }

  static [Symbol.hasInstance](value: unknown): boolean {
    return isLight(value) || value instanceof NativeResponse
  }

  static json(data: unknown, init: ResponseInit = {}): LightResponse {
    const headers = new Headers(init.headers)
    if (!headers.has('content-type')) headers.set('content-type', 'application/json')
    return new LightResponse(JSON.stringify(data), { ...init, headers })
  }

  static error(): Response {
    return (NativeResponse as unknown as { error(): Response }).error()
  }

  static redirect(url: string, status = 302): Response {
    return (NativeResponse as unknown as { redirect(url: string, status: number): Response }).redirect(url, status)
  }

  get status(): number {
    return this.#real?.status ?? this.#init.status ?? 200
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300
  }

  get headers(): Headers {
    if (this.#real !== undefined) return this.#real.headers
    if (this.#headers === undefined) {
      this.#headers = new Headers(this.#init.headers)
      if (typeof this.#body === 'string' && !this.#headers.has('content-type'))
        this.#headers.set('content-type', 'text/plain;charset=UTF-8')
    }
    return this.#headers
  }

  get [Symbol.toStringTag](): string {
    return 'Response'
  }

  get #asReal(): Response {
    this.#real ??= new NativeResponse(this.#body, { ...this.#init, headers: this.headers })
    return this.#real
  }

  /** The real one behind a stand-in; a real one comes back as it is. */
  static real(response: LightResponse | Response): Response {
    return isLight(response) ? response.#asReal : response
  }

  /** Status, headers and body of a stand-in that never became real; undefined for all others. */
  static parts(response: unknown): readonly [head: ResponseHead, body: string | Uint8Array | undefined] | undefined {
    if (!isLight(response) || response.#real !== undefined) return undefined
    return [[response.status, flatHeaders(response.headers)], response.#body ?? undefined]
  }

  static isOne(value: unknown): value is LightResponse {
    return typeof value === 'object' && value !== null && #body in value
  }
}

const isLight = LightResponse.isOne

// What a stand-in does not know itself is answered by a real one.
for (const name of Object.getOwnPropertyNames(NativeResponse.prototype)) {
  if (name in LightResponse.prototype) continue
  Object.defineProperty(LightResponse.prototype, name, {
    configurable: true,
    get(this: LightResponse) {
      const real = LightResponse.real(this) as unknown as Record<string, unknown>
      const value = real[name]
      return typeof value === 'function' ? value.bind(real) : value
    },
  })
}

/** True for a Response of any make: native, stand-in, or of another realm by its tag. */
export function isResponse(value: unknown): value is Response | LightResponse {
  if (typeof value !== 'object' || value === null) return false
  return isLight(value) || value instanceof NativeResponse
}
