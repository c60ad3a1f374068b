import { nearestName, ServeError } from '../base/index.ts'

/** A Hono middleware, as far as the core needs to know one. */
export type HttpMiddleware = (context: never, next: () => Promise<void>) => Promise<unknown>

/** Where a secret is read from; a plain string is for tests. */
export type SecretSource = string | { readonly file: string } | { readonly env: string }

/** Options of the HTTP gateway. */
export interface HttpOptions {
  /** Address to listen on. A loopback one unless `allowRemote`. @default '127.0.0.1' */
  readonly host?: string
  /** 0 to 65 535; 0 takes any free one. @default 8000 */
  readonly port?: number
  /** Must be true for a `host` beyond loopback. @default false */
  readonly allowRemote?: boolean
  /** Names, with or without a port, that the `Host` header may carry beside loopback ones. Addresses need no entry unless this is set. @default [] */
  readonly hosts?: readonly string[]
  /** Origins like `https://app.example` whose pages may send non-safe requests. @default [] */
  readonly trustedOrigins?: readonly string[]
  /** Hono middlewares, outermost first. @default [] */
  readonly middlewares?: readonly HttpMiddleware[]
  /** Opens `/-/status`, `/-/metrics` and `/-/dashboard` to callers beyond loopback who send it as a bearer token. @default none */
  readonly adminToken?: SecretSource
  /** True: answers about errors carry stacks. @default false */
  readonly exposeStacks?: boolean
  /** Status of `ERR_BACK_PRESSURE`: 503 or 429. @default 503 */
  readonly overloadStatus?: number
  /** True: each Node peer whose ticket grants the role `gateway` opens one too, with these options but `adminToken`; not with `tls` or `middlewares`. @default false */
  readonly everyNode?: boolean
  /** PEM texts; with them the gateway speaks HTTPS. @default none */
  readonly tls?: { readonly key: string; readonly cert: string }
  /** Largest request body. @default 16 MiB */
  readonly maxBodyBytes?: number
  /** Largest request body that is handed over in one piece; a larger one streams in when its handler reads it. @default 1 MiB */
  readonly bufferBodyBytes?: number
  /** Longest wait for the head of a request, in milliseconds. @default 10 000 */
  readonly headersTimeoutMs?: number
  /** Longest wait for a whole request, a large body that its handler reads slowly included, in milliseconds; at least `headersTimeoutMs`. @default 60 000 */
  readonly uploadTimeoutMs?: number
  /** Largest head of a request. @default 16 KiB */
  readonly maxHeaderBytes?: number
  /** Most header lines of a request. @default 100 */
  readonly maxHeaders?: number
  /** Most open connections; further ones are closed at once. @default 10 000 */
  readonly maxConnections?: number
  /** Longest idle time of a connection between requests, in milliseconds. @default 5 000 */
  readonly keepAliveTimeoutMs?: number
  /** Longest time a client may take nothing of an answer that waits for it, in milliseconds. @default 60 000 */
  readonly slowReaderTimeoutMs?: number
  /** Deepest nesting of a JSON body; guarded in the replica. @default 64 */
  readonly jsonMaxDepth?: number
  /** Most values of a JSON body; guarded in the replica. @default 100 000 */
  readonly jsonMaxValues?: number
}

/** {@link HttpOptions}, filled in and checked. */
export type ResolvedHttpOptions = Readonly<Required<Omit<HttpOptions, 'adminToken' | 'tls'>>> & {
  readonly adminToken: SecretSource | undefined
  readonly tls: { readonly key: string; readonly cert: string } | undefined
}

const DEFAULTS: ResolvedHttpOptions = Object.freeze({
  host: '127.0.0.1',
  port: 8_000,
  allowRemote: false,
  hosts: [],
  trustedOrigins: [],
  middlewares: [],
  adminToken: undefined,
  exposeStacks: false,
  overloadStatus: 503,
  everyNode: false,
  tls: undefined,
  maxBodyBytes: 16 * 1024 * 1024,
  bufferBodyBytes: 1024 * 1024,
  headersTimeoutMs: 10_000,
  uploadTimeoutMs: 60_000,
  maxHeaderBytes: 16 * 1024,
  maxHeaders: 100,
  maxConnections: 10_000,
  keepAliveTimeoutMs: 5_000,
  slowReaderTimeoutMs: 60_000,
  jsonMaxDepth: 64,
  jsonMaxValues: 100_000,
})

/** Numbers with their least and greatest value; all are integers. */
const RANGES: Readonly<Record<string, readonly [least: number, greatest: number]>> = Object.freeze({
  port: [0, 65_535],
  maxBodyBytes: [0, 2 ** 31 - 1],
  bufferBodyBytes: [0, 2 ** 31 - 1],
  headersTimeoutMs: [1, 2 ** 31 - 1],
  uploadTimeoutMs: [1, 2 ** 31 - 1],
  maxHeaderBytes: [256, 2 ** 24],
  maxHeaders: [1, 100_000],
  maxConnections: [1, 2 ** 31 - 1],
  keepAliveTimeoutMs: [0, 2 ** 31 - 1],
  slowReaderTimeoutMs: [1, 2 ** 31 - 1],
  jsonMaxDepth: [1, 10_000],
  jsonMaxValues: [1, 2 ** 31 - 1],
})

const FLAGS = ['allowRemote', 'exposeStacks', 'everyNode'] as const

/** Fills in the defaults. `ERR_INVALID_CONFIG` names the option that is unknown, of the wrong type or out of range. */
export function resolveHttpOptions(given: HttpOptions = {}): ResolvedHttpOptions {
  if (typeof given !== 'object' || given === null) throw invalid(`http: ${String(given)} is no object of options`)
  for (const key of Object.keys(given)) {
    if (Object.hasOwn(DEFAULTS, key)) continue
    const near = nearestName(key, Object.keys(DEFAULTS))
    throw invalid(`http.${key} is unknown${near === undefined ? '' : `; did you mean http.${near}?`}`)
  }
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const options: ResolvedHttpOptions = { ...DEFAULTS, ...set }
  for (const [name, [least, greatest]] of Object.entries(RANGES)) {
    const value: unknown = options[name as keyof ResolvedHttpOptions]
    if (!Number.isInteger(value) || (value as number) < least || (value as number) > greatest) {
      throw invalid(`http.${name} is ${String(value)}; it must be an integer from ${least} to ${greatest}`)
    }
  }
  for (const name of FLAGS) {
    if (typeof options[name] !== 'boolean') throw invalid(`http.${name} is ${String(options[name])}; it must be true or false`)
  }
  checkHost(options)
  checkLists(options)
  checkRest(options)
  return Object.freeze(options)
}

/** True for `localhost`, 127.0.0.0/8 and `::1`. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host)
}

function checkHost({ host, allowRemote }: ResolvedHttpOptions): void {
  if (typeof host !== 'string' || host === '' || /[\s/]/.test(host))
    throw invalid(`http.host is ${JSON.stringify(host)}; it must be an address or a name`)
  if (!allowRemote && !isLoopbackHost(host)) {
    throw invalid(`http.host ${host} can be reached from other machines; set http.allowRemote: true to mean that`)
  }
}

function checkLists({ hosts, trustedOrigins, middlewares }: ResolvedHttpOptions): void {
  if (!Array.isArray(hosts)) throw invalid('http.hosts must be an array of names')
  for (const host of hosts) {
    if (typeof host !== 'string' || !/^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i.test(host)) {
      throw invalid(`http.hosts: ${JSON.stringify(host)} is no name like api.example or api.example:8443`)
    }
  }
  if (!Array.isArray(trustedOrigins)) throw invalid('http.trustedOrigins must be an array of origins')
  for (const origin of trustedOrigins) {
    if (typeof origin !== 'string' || !URL.canParse(origin) || new URL(origin).origin !== origin.toLowerCase()) {
      throw invalid(`http.trustedOrigins: ${JSON.stringify(origin)} is no origin like https://app.example`)
    }
  }
  if (!Array.isArray(middlewares) || middlewares.some((one) => typeof one !== 'function')) {
    throw invalid('http.middlewares must be an array of Hono middlewares')
  }
}

function checkRest({ adminToken, overloadStatus, tls, uploadTimeoutMs, headersTimeoutMs }: ResolvedHttpOptions): void {
  if (overloadStatus !== 503 && overloadStatus !== 429)
    throw invalid(`http.overloadStatus is ${String(overloadStatus)}; it must be 503 or 429`)
  if (uploadTimeoutMs < headersTimeoutMs) {
    throw invalid(`http.uploadTimeoutMs is ${uploadTimeoutMs}, less than http.headersTimeoutMs, ${headersTimeoutMs}`)
  }
  if (tls !== undefined && (typeof tls !== 'object' || !isText(tls?.key) || !isText(tls.cert))) {
    throw invalid('http.tls must have the PEM texts key and cert')
  }
  if (adminToken === undefined || isText(adminToken)) return
  const source = adminToken as { readonly file?: unknown; readonly env?: unknown }
  if (typeof source !== 'object' || !(isText(source?.file) || isText(source?.env))) {
    throw invalid('http.adminToken must be { file: path } or { env: name }')
  }
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
const invalid = (message: string): ServeError => new ServeError('ERR_INVALID_CONFIG', message)
