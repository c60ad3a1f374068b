/** What a route table is made of. */
export interface RouteEntry {
  /** `/exact` or `/prefix/*`. */
  readonly route: string
  readonly endpoint: string
  /** Upper-case. */
  readonly methods: readonly string[]
  /** Names that `X-SERVE-CALL-METHOD` may carry; any without it. */
  readonly callMethods?: readonly string[] | undefined
}

/** An entry with what every request needs worked out. */
export interface Route extends RouteEntry {
  readonly methodSet: ReadonlySet<string>
  /** For the `Allow` header. */
  readonly allow: string
  readonly callMethodSet: ReadonlySet<string> | undefined
}

/**
 * Paths to endpoints; immutable, swapped whole. Exact routes first, then prefixes, the longest first; `/a/*` matches `/a` too. Paths are compared
 * by decoded segments: `%61` is `a`, but `%2F` stays inside its segment.
 */
export class RouteTable {
  readonly version: number
  readonly #exact = new Map<string, Route>()
  readonly #prefixes: (readonly [prefix: string, route: Route])[] = []
  readonly #listing: Record<string, readonly [endpoint: string, methods: readonly string[]]> = {}

  /** Of two entries with one route the later wins. */
  constructor(entries: Iterable<RouteEntry>, version = 0) {
    this.version = version
    for (const entry of entries) {
      const route = toRoute(entry)
      this.#listing[entry.route] = [entry.endpoint, entry.methods]
      const isPrefix = entry.route.endsWith('/*')
      const path = isPrefix ? entry.route.slice(0, -2) : entry.route
      const canonical = canonicalPath(path) ?? path
      if (isPrefix) this.#prefixes.push([canonical, route])
      else this.#exact.set(canonical, route)
    }
    this.#prefixes.sort((a, b) => b[0].length - a[0].length)
  }

  /** The route of a canonical path. */
  find(path: string): Route | undefined {
    const exact = this.#exact.get(path)
    if (exact !== undefined) return exact
    for (const [prefix, route] of this.#prefixes) {
      if (path.startsWith(prefix) && (path.length === prefix.length || path.charCodeAt(prefix.length) === 0x2f)) return route
    }
    return undefined
  }

  /** What `/-/routes` shows. */
  listing(): Readonly<Record<string, readonly [endpoint: string, methods: readonly string[]]>> {
    return this.#listing
  }
}

/**
 * A path, without its query, with every segment decoded; `/` and `%` inside a segment stay encoded, so that two paths are equal only if all their
 * segments are. Undefined for a path that an URL parser would read as another one (dot segments, backslashes) or that is badly encoded.
 */
export function canonicalPath(path: string): string | undefined {
  if (path.includes('\\')) return undefined
  if (!path.includes('%')) return path.includes('/.') && hasDotSegment(path) ? undefined : path
  const segments: string[] = []
  for (const segment of path.split('/')) {
    if (!segment.includes('%')) {
      segments.push(segment)
      continue
    }
    const decoded = decodeSegment(segment)
    if (decoded === undefined || decoded === '.' || decoded === '..' || decoded.includes('\0')) return undefined
    segments.push(decoded.replaceAll('%', '%25').replaceAll('/', '%2F'))
  }
  const joined = segments.join('/')
  return hasDotSegment(joined) ? undefined : joined
}

const hasDotSegment = (path: string): boolean => /\/\.\.?(?:\/|$)/.test(path)

function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}

function toRoute(entry: RouteEntry): Route {
  const methodSet = new Set(entry.methods)
  if (methodSet.has('GET')) methodSet.add('HEAD')
  return Object.freeze({
    ...entry,
    methodSet,
    allow: [...methodSet].join(', '),
    callMethodSet: entry.callMethods === undefined ? undefined : new Set(entry.callMethods),
  })
}
