import { ServeError } from '../base/index.ts'
import { ANYTHING, describeValue, type FieldRules, readFields, requireName } from './field-rules.ts'

/** What a user may set of an endpoint. */
export interface EndpointOptions {
  /** Tag of the backend that gets all traffic to begin with. Required. */
  readonly backend: string
  /**
   * Path of the endpoint over HTTP: exact, or a prefix when it ends in `/*`. Begins with `/`; paths under `/-/` are the system's.
   * @default none: by handle only
   */
  readonly route?: string | null | undefined
  /** HTTP methods it takes, in any case, invented ones included. They do not bind handles. @default ['GET'] */
  readonly methods?: readonly string[] | undefined
  /** Methods of the backend that HTTP, and peers whose tickets name endpoints, may name; an empty list allows none. @default every callable one */
  readonly callMethods?: readonly string[] | undefined
}

/** {@link EndpointOptions}, checked and filled. Frozen. */
export interface ResolvedEndpointOptions extends ResolvedExposure {
  readonly name: string
  readonly backend: string
}

/** How an endpoint is seen from outside. Frozen. */
export interface ResolvedExposure {
  readonly route: string | null
  /** Upper-case, without duplicates, in the order given. */
  readonly methods: readonly string[]
  readonly callMethods?: readonly string[]
}

const RULES: FieldRules<EndpointOptions> = Object.freeze({ backend: ANYTHING, route: ANYTHING, methods: ANYTHING, callMethods: ANYTHING })

const DEFAULT_METHODS: readonly string[] = Object.freeze(['GET'])

/** A token of RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/**
 * Checks and fills the options of an endpoint. Throws `ERR_INVALID_ARG_TYPE` (name, backend, methods, callMethods), `ERR_INVALID_ROUTE`,
 * `ERR_INVALID_CONFIG` (unknown key). Whether the backend is there is not asked.
 */
export function resolveEndpointOptions(name: unknown, given: unknown): ResolvedEndpointOptions {
  const endpoint = requireName('endpoint: name', name)
  const fields = readFields<EndpointOptions>(`endpoint ${endpoint}`, given ?? {}, RULES)
  return Object.freeze({
    name: endpoint,
    backend: requireName(`endpoint ${endpoint}: backend`, fields.backend),
    ...resolveExposure(endpoint, fields.route, fields.methods, fields.callMethods),
  })
}

/** Route, HTTP methods and callable methods of an endpoint; errors as {@link resolveEndpointOptions}. */
export function resolveExposure(endpoint: string, route: unknown, methods: unknown, callMethods: unknown): ResolvedExposure {
  return Object.freeze({
    route: resolveRoute(endpoint, route),
    methods: resolveMethods(endpoint, methods),
    ...(callMethods !== undefined && { callMethods: resolveCallMethods(endpoint, callMethods) }),
  })
}

/** A path as a route, or null for none. Throws `ERR_INVALID_ROUTE` saying what is wrong with it. */
export function resolveRoute(endpoint: string, route: unknown): string | null {
  if (route === undefined || route === null) return null
  const fault = typeof route === 'string' ? faultOfRoute(route) : 'must be a string'
  if (typeof route === 'string' && fault === undefined) return route
  throw new ServeError('ERR_INVALID_ROUTE', `endpoint ${endpoint}: route ${describeValue(route)} ${fault}`, {
    details: { endpoint, route: typeof route === 'string' ? route : null },
  })
}

/** Refuses what no path of a parsed URL can equal, and what is not this user's to take. */
function faultOfRoute(route: string): string | undefined {
  if (!route.startsWith('/')) return 'must begin with "/"'
  if (hasControlCharacter(route)) return 'must not hold control characters'
  if (/[?#\\]/.test(route)) return 'must not hold "?", "#" or "\\"'
  const path = route.endsWith('/*') ? route.slice(0, -1) : route
  if (path.includes('*')) return 'may hold "*" only at its end, as "/*"'
  if (path.includes('//')) return 'must not hold an empty segment, "//"'
  if (path === '/-' || path.startsWith('/-/')) return 'lies under "/-/", which the system keeps; take another path'
  if (path.split('/').some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment))) return 'must not hold the segments "." and ".."'
  return undefined
}

function hasControlCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return true
  }
  return false
}

function resolveMethods(endpoint: string, methods: unknown): readonly string[] {
  if (methods === undefined) return DEFAULT_METHODS
  const valid =
    Array.isArray(methods) && methods.length > 0 && [...methods].every((method) => typeof method === 'string' && TOKEN.test(method))
  if (!valid) throw wrongList(endpoint, 'methods', 'a non-empty array of HTTP methods', methods)
  return Object.freeze([...new Set((methods as string[]).map((method) => method.toUpperCase()))])
}

function resolveCallMethods(endpoint: string, callMethods: unknown): readonly string[] {
  const valid = Array.isArray(callMethods) && [...callMethods].every((method) => typeof method === 'string' && method !== '')
  if (!valid) throw wrongList(endpoint, 'callMethods', 'an array of method names', callMethods)
  return Object.freeze([...new Set(callMethods as string[])])
}

function wrongList(endpoint: string, field: string, expected: string, value: unknown): ServeError {
  const shown = Array.isArray(value) ? `[${value.slice(0, 8).map(describeValue).join(', ')}]` : describeValue(value)
  return new ServeError('ERR_INVALID_ARG_TYPE', `endpoint ${endpoint}: ${field} must be ${expected}, got ${shown}`)
}
