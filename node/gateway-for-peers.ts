import { ServeError } from '../core/base/index.ts'
import type { HttpOptions, ResolvedHttpOptions } from '../core/gateway/index.ts'

/**
 * The gateway that each peer with the role opens, with `http.everyNode`; undefined without it. The admin token stays here: on peers the system routes are
 * for callers of the peer's own machine. `ERR_UNSUPPORTED` for what cannot travel or should not, where a gateway without it would let in what this one
 * keeps out.
 */
export function gatewayForPeers(http: ResolvedHttpOptions | undefined): HttpOptions | undefined {
  if (http?.everyNode !== true) return undefined
  const { middlewares, tls, adminToken: _ours, everyNode: _too, ...rest } = http
  const kept = tls !== undefined ? 'tls' : middlewares.length > 0 ? 'middlewares' : undefined
  if (kept === undefined) return rest
  throw new ServeError(
    'ERR_UNSUPPORTED',
    `start: http.${kept} does not go to peers, so http.everyNode cannot open the same gateway there; leave everyNode out and give http to join()`,
  )
}
