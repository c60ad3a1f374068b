import { nearestName, ServeError } from '../base/index.ts'

/** A backend's share of the requests of an endpoint. */
export interface TrafficShare {
  readonly backend: string
  /** 0..1. At 0 it gets nothing, but counts as in use. */
  readonly weight: number
}

/** A backend that gets copies of the requests of an endpoint. */
export interface ShadowShare {
  readonly backend: string
  /** Above 0, up to 1. */
  readonly proportion: number
}

/** Who answers the requests of an endpoint, and who gets copies. Plain and frozen; both lists are sorted by tag, by code units. */
export interface TrafficPolicy {
  readonly entries: readonly TrafficShare[]
  readonly shadows: readonly ShadowShare[]
}

/** Names there are: a Set, or a Map by name. */
export interface KnownNames {
  has(name: string): boolean
  keys(): Iterable<string>
}

/** All traffic to one backend, no shadows. */
export function policyOf(backend: string): TrafficPolicy {
  return Object.freeze({ entries: Object.freeze([Object.freeze({ backend, weight: 1 })]), shadows: Object.freeze([]) })
}

/** True while traffic, even at weight 0, or a shadow names the backend. */
export function namesBackend(policy: TrafficPolicy, backend: string): boolean {
  return policy.entries.some((entry) => entry.backend === backend) || policy.shadows.some((shadow) => shadow.backend === backend)
}

/** Throws `ERR_BACKEND_NOT_FOUND` with the nearest tag unless the backend is known. */
export function requireBackend(endpoint: string, backend: string, knownBackends: KnownNames): void {
  if (knownBackends.has(backend)) return
  const nearest = nearestName(backend, knownBackends.keys())
  const hint = nearest === undefined ? 'create it first' : `did you mean ${nearest}?`
  throw new ServeError('ERR_BACKEND_NOT_FOUND', `endpoint ${endpoint}: there is no backend ${backend}; ${hint}`, {
    details: { endpoint, backend, ...(nearest !== undefined && { nearest }) },
  })
}
