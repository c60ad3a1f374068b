import { findHeader } from '../request/index.ts'

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** True when a method changes nothing by definition; an invented one never is. */
export const isSafeMethod = (method: string): boolean => SAFE_METHODS.has(method)

/** What is compared. */
export interface OriginClaim {
  readonly rawHeaders: readonly string[]
  /** Scheme and authority the request was sent to. */
  readonly ownOrigin: string
  readonly trustedOrigins: readonly string[]
  /** `Access-Control-Allow-Origin` of a middleware outside. */
  readonly allowedOrigin: string | undefined
}

/**
 * Why a page may not send this non-safe request; undefined when it may. `Sec-Fetch-Site` decides where it is sent, for no page can forge it;
 * else `Origin`, which no page can leave out. A request with neither comes from no browser. Source of the rule: Go's `CrossOriginProtection`.
 */
export function whyOriginRefused({ rawHeaders, ownOrigin, trustedOrigins, allowedOrigin }: OriginClaim): string | undefined {
  const origin = findHeader(rawHeaders, 'origin')
  const site = findHeader(rawHeaders, 'sec-fetch-site')
  if (site === undefined ? origin === undefined || isSameHost(origin, ownOrigin) : site === 'same-origin' || site === 'none')
    return undefined
  if (origin !== undefined && trustedOrigins.some((trusted) => trusted.toLowerCase() === origin.toLowerCase())) return undefined
  if (allowedOrigin !== undefined && (allowedOrigin === '*' || allowedOrigin === origin)) return undefined
  return origin === undefined ? `a page of another site (${site})` : `a page of origin ${origin}`
}

/** Compares host and port only: behind a proxy that ends TLS the schemes differ. */
function isSameHost(origin: string, ownOrigin: string): boolean {
  const start = origin.indexOf('://')
  if (start === -1) return false
  return (
    withoutDefaultPort(origin.toLowerCase()) ===
    withoutDefaultPort(`${origin.slice(0, start)}${ownOrigin.slice(ownOrigin.indexOf('://'))}`.toLowerCase())
  )
}

function withoutDefaultPort(origin: string): string {
  if (origin.startsWith('http://') && origin.endsWith(':80')) return origin.slice(0, -3)
  if (origin.startsWith('https://') && origin.endsWith(':443')) return origin.slice(0, -4)
  return origin
}
