import { ServeError } from '../core/base/index.ts'
import { type HttpOptions, type ResolvedHttpOptions, resolveHttpOptions } from '../core/gateway/index.ts'

/** Options of a socket. */
const SOCKET_OPTIONS = ['host', 'port', 'tls', 'allowRemote', 'everyNode'] as const

/** How `client.fetch` answers. The page's own host is always served: no name can be rebound to a page. */
export function resolveFetchOptions(given: HttpOptions): ResolvedHttpOptions {
  const socket = SOCKET_OPTIONS.find((name) => given[name] !== undefined)
  if (socket !== undefined)
    throw new ServeError('ERR_UNSUPPORTED', `start: http.${socket} needs a socket, which a page cannot open; client.fetch answers here`)
  const own = globalThis.location?.host ?? ''
  return resolveHttpOptions({ ...given, hosts: [...(given.hosts ?? []), ...(own === '' ? [] : [own])] })
}
