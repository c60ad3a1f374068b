import { ServeError } from '../base/index.ts'
import { findHeader } from '../request/index.ts'
import type { Answering } from './answering.ts'
import type { Exchange } from './exchange.ts'
import type { GatewaySource } from './gateway.ts'
import { isSameSecret } from './same-secret.ts'

/** What a system route needs. */
export interface SystemRequest {
  /** Canonical; begins with `/-/`. */
  readonly path: string
  readonly answering: Answering
  readonly source: GatewaySource
  readonly isDraining: boolean
  readonly adminToken: string | undefined
}

/** Routes under `/-/`: three are open, three are for loopback callers and bearers of the token. */
export async function answerSystemRequest(request: SystemRequest): Promise<void> {
  const { path, answering, source } = request
  const { method } = answering.exchange
  const isOpen = path === '/-/routes' || path === '/-/healthz' || path === '/-/readyz'
  if (!isOpen && path !== '/-/status' && path !== '/-/metrics' && path !== '/-/dashboard') {
    throw new ServeError(
      'ERR_ROUTE_NOT_FOUND',
      `system path ${path} not found; there are /-/routes, /-/healthz, /-/readyz, /-/status, /-/metrics`,
    )
  }
  if (method !== 'GET' && method !== 'HEAD') {
    throw new ServeError('ERR_METHOD_NOT_ALLOWED', `${method} ${path}: system routes take GET and HEAD`, {
      details: { allow: 'GET, HEAD' },
    })
  }
  if (!isOpen && !isAdmin(answering.exchange, request.adminToken)) {
    throw new ServeError('ERR_FORBIDDEN', `${path} is for callers on this machine, or with the bearer token of http.adminToken`)
  }
  switch (path) {
    case '/-/routes':
      return respondText(answering, 'application/json', JSON.stringify(source.routes().listing()))
    case '/-/healthz':
      return respondText(answering, 'text/plain; charset=utf-8', 'ok')
    case '/-/readyz':
      if (request.isDraining || !source.isReady()) {
        throw new ServeError('ERR_NO_REPLICA', request.isDraining ? 'the gateway drains' : 'the instance is not ready yet', {
          retryAfterMs: 1_000,
        })
      }
      return respondText(answering, 'text/plain; charset=utf-8', 'ready')
    case '/-/status':
      return respondText(answering, 'application/json', JSON.stringify(await source.status()))
    case '/-/metrics':
      if (source.metrics === undefined) throw new ServeError('ERR_UNSUPPORTED', 'no metrics are kept here')
      return respondText(answering, 'text/plain; version=0.0.4; charset=utf-8', await source.metrics())
    default:
      throw new ServeError('ERR_UNSUPPORTED', 'the dashboard is not built yet; /-/status has its data')
  }
}

function respondText(answering: Answering, contentType: string, body: string): void {
  answering.respond(200, ['content-type', contentType, 'cache-control', 'no-store', 'x-content-type-options', 'nosniff'], body)
}

/** A proxy on this machine makes every caller look local; it gives itself away by the headers it adds. */
function isAdmin(exchange: Exchange, adminToken: string | undefined): boolean {
  const { rawHeaders } = exchange
  const isForwarded = findHeader(rawHeaders, 'x-forwarded-for') !== undefined || findHeader(rawHeaders, 'forwarded') !== undefined
  if (!isForwarded && exchange.isLocal()) return true
  if (adminToken === undefined) return false
  const bearer = /^bearer +(\S+)$/i.exec(findHeader(rawHeaders, 'authorization') ?? '')?.[1]
  return bearer !== undefined && isSameSecret(bearer, adminToken)
}
