import type { ResolvedBackendConfig } from './backend-config.ts'
import type { Isolation } from './replica-options.ts'
import type { TrafficPolicy } from './traffic-policy.ts'

/** What a router knows of an endpoint. Frozen. */
export interface EndpointEntry {
  readonly name: string
  /** Null: by handle only. */
  readonly route: string | null
  /** HTTP methods, upper-case. */
  readonly methods: readonly string[]
  /** Methods of the backend that HTTP may name; missing: every callable one. */
  readonly callMethods?: readonly string[]
  readonly policy: TrafficPolicy
}

/** What a router knows of a backend. Frozen. */
export interface BackendEntry {
  readonly tag: string
  readonly config: ResolvedBackendConfig
  /** Replicas that should be there now. 0: asleep, a request wakes it; more and none ready: it yields its share. */
  readonly wantedReplicas: number
  /** Where its replicas run; `inline` ones are in the thread of this table. */
  readonly isolation: Isolation
}

/**
 * All that the data plane needs to go on without a controller. Never changed, only replaced as a whole by a table of a greater version. Where the
 * replicas are is not in it: that is soft state of the hosts.
 */
export interface RoutingTable {
  /** Grows with every change. 0 is the empty table. */
  readonly version: number
  /** By name. */
  readonly endpoints: ReadonlyMap<string, EndpointEntry>
  /** By tag. */
  readonly backends: ReadonlyMap<string, BackendEntry>
}

/** An endpoint as `listEndpoints` shows it. Frozen. */
export interface PublicEndpoint {
  readonly route: string | null
  readonly methods: readonly string[]
  /** Weights by tag, those of 0 included. */
  readonly traffic: Readonly<Record<string, number>>
  /** Proportions by tag. */
  readonly shadows: Readonly<Record<string, number>>
}

/** The table of an instance that serves nothing yet. */
export function emptyRoutingTable(): RoutingTable {
  return Object.freeze({ version: 0, endpoints: new Map(), backends: new Map() })
}

/** What `listEndpoints` shows of an entry. */
export function publicEndpoint(entry: EndpointEntry): PublicEndpoint {
  return Object.freeze({
    route: entry.route,
    methods: entry.methods,
    traffic: Object.freeze(Object.fromEntries(entry.policy.entries.map(({ backend, weight }) => [backend, weight]))),
    shadows: Object.freeze(Object.fromEntries(entry.policy.shadows.map(({ backend, proportion }) => [backend, proportion]))),
  })
}
