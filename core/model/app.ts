import { ServeError } from '../base/index.ts'
import { type BackendConfig, resolveBackendConfig } from './backend-config.ts'
import { resolveExposure } from './endpoint-config.ts'
import { ANYTHING, describeValue, type FieldRules, isRecord, readFields, requireName } from './field-rules.ts'
import { type ReplicaOptions, resolveReplicaOptions } from './replica-options.ts'
import { resolveShadow, resolveTraffic } from './traffic-edits.ts'
import { type KnownNames, requireBackend } from './traffic-policy.ts'

/** A backend of an app, as `createBackend` takes it. */
export interface AppBackend {
  /** A function, a class, or what `module()` and `worker()` give. Required. */
  readonly target: unknown
  /** Arguments of the class's constructor. @default [] */
  readonly initArgs?: readonly unknown[] | undefined
  readonly config?: BackendConfig | undefined
  readonly replicaOptions?: ReplicaOptions | undefined
}

/** An endpoint of an app. Exactly one of `backend` and `traffic` is given. */
export interface AppEndpoint {
  /** The backend that gets all traffic. */
  readonly backend?: string | undefined
  /** Weights by tag; they sum to 1. */
  readonly traffic?: Readonly<Record<string, number>> | undefined
  /** Proportions of copies by tag, 0..1. @default none */
  readonly shadows?: Readonly<Record<string, number>> | undefined
  /** See `EndpointOptions`. */
  readonly route?: string | null | undefined
  /** @default ['GET'] */
  readonly methods?: readonly string[] | undefined
  readonly callMethods?: readonly string[] | undefined
}

/** All that an instance shall serve: what `deploy` makes so. */
export interface AppDescription {
  /** By tag. */
  readonly backends: Readonly<Record<string, AppBackend>>
  /** By name. @default none */
  readonly endpoints?: Readonly<Record<string, AppEndpoint>> | undefined
}

/** An {@link AppDescription} that was checked. Frozen, plain but for the targets and `initArgs`; `defineApp` takes it again and gives the same. */
export interface App {
  readonly backends: Readonly<Record<string, ResolvedAppBackend>>
  readonly endpoints: Readonly<Record<string, ResolvedAppEndpoint>>
}

/** A backend of an {@link App}. `config` and `replicaOptions` are as given, and known to be valid. */
export interface ResolvedAppBackend {
  readonly target: unknown
  readonly initArgs: readonly unknown[]
  readonly config: BackendConfig
  readonly replicaOptions: ReplicaOptions
}

/** An endpoint of an {@link App}; it always has `traffic`, by tag, and never a shadow of 0. */
export interface ResolvedAppEndpoint {
  readonly traffic: Readonly<Record<string, number>>
  readonly shadows: Readonly<Record<string, number>>
  readonly route: string | null
  readonly methods: readonly string[]
  readonly callMethods?: readonly string[]
}

const APP_RULES: FieldRules<AppDescription> = Object.freeze({ backends: ANYTHING, endpoints: ANYTHING })

const BACKEND_RULES: FieldRules<AppBackend> = Object.freeze({
  target: ANYTHING,
  initArgs: ANYTHING,
  config: ANYTHING,
  replicaOptions: ANYTHING,
})

const ENDPOINT_RULES: FieldRules<AppEndpoint> = Object.freeze({
  backend: ANYTHING,
  traffic: ANYTHING,
  shadows: ANYTHING,
  route: ANYTHING,
  methods: ANYTHING,
  callMethods: ANYTHING,
})

/**
 * Checks a whole app at once, before anything starts: configs, routes (each once), weights, and that every backend named is one of the app's.
 * Throws what `createBackend`, `createEndpoint`, `setTraffic` and `shadowTraffic` would. Targets are looked at only when they are deployed.
 */
export function defineApp(description: AppDescription): App {
  const fields = readFields<AppDescription>('app', description ?? null, APP_RULES)
  const backends = mapRecord('app: backends', fields.backends, resolveAppBackend)
  const known = new Set(Object.keys(backends))
  const endpoints = mapRecord('app: endpoints', fields.endpoints ?? {}, (name, given) => resolveAppEndpoint(name, given, known))
  requireDistinctRoutes(endpoints)
  return Object.freeze({ backends, endpoints })
}

function resolveAppBackend(tag: string, given: unknown): ResolvedAppBackend {
  const fields = readFields<AppBackend>(`app: backend ${tag}`, given ?? null, BACKEND_RULES)
  if (fields.target === undefined) {
    throw new ServeError('ERR_INVALID_ARG_TYPE', `app: backend ${tag}: target is missing; give a function, a class or module(url)`)
  }
  const initArgs = fields.initArgs ?? []
  if (!Array.isArray(initArgs)) {
    throw new ServeError('ERR_INVALID_ARG_TYPE', `app: backend ${tag}: initArgs must be an array, got ${describeValue(initArgs)}`)
  }
  resolveBackendConfig(fields.config)
  resolveReplicaOptions(fields.replicaOptions)
  return Object.freeze({
    target: fields.target,
    initArgs: Object.freeze([...initArgs]),
    config: Object.freeze({ ...fields.config }),
    replicaOptions: Object.freeze({ ...fields.replicaOptions }),
  })
}

function resolveAppEndpoint(name: string, given: unknown, known: KnownNames): ResolvedAppEndpoint {
  const fields = readFields<AppEndpoint>(`app: endpoint ${name}`, given ?? null, ENDPOINT_RULES)
  const shadows = mapRecord(`app: endpoint ${name}: shadows`, fields.shadows ?? {}, (tag, proportion) => {
    requireBackend(name, tag, known)
    return resolveShadow(name, tag, proportion, known).proportion
  })
  return Object.freeze({
    traffic: resolveAppTraffic(name, fields, known),
    shadows: Object.freeze(Object.fromEntries(Object.entries(shadows).filter(([, proportion]) => proportion > 0))),
    ...resolveExposure(name, fields.route, fields.methods, fields.callMethods),
  })
}

function resolveAppTraffic(name: string, fields: AppEndpoint, known: KnownNames): Readonly<Record<string, number>> {
  if (fields.backend !== undefined && fields.traffic !== undefined) {
    throw new ServeError('ERR_INVALID_CONFIG', `app: endpoint ${name}: give backend or traffic, not both`)
  }
  const weights = fields.traffic ?? Object.fromEntries([[requireName(`app: endpoint ${name}: backend`, fields.backend), 1]])
  const entries = resolveTraffic(name, weights, known)
  return Object.freeze(Object.fromEntries(entries.map((entry) => [entry.backend, entry.weight])))
}

function requireDistinctRoutes(endpoints: Readonly<Record<string, ResolvedAppEndpoint>>): void {
  const owners = new Map<string, string>()
  for (const [name, { route }] of Object.entries(endpoints)) {
    if (route === null) continue
    const owner = owners.get(route)
    if (owner !== undefined) {
      throw new ServeError('ERR_ROUTE_EXISTS', `app: endpoints ${owner} and ${name} have the same route ${route}`, {
        details: { route, endpoints: [owner, name] },
      })
    }
    owners.set(route, name)
  }
}

/** Reads an object whose keys are names; the result is frozen. */
function mapRecord<V>(what: string, given: unknown, read: (name: string, value: unknown) => V): Readonly<Record<string, V>> {
  if (!isRecord(given)) throw new ServeError('ERR_INVALID_ARG_TYPE', `${what} must be a plain object, got ${describeValue(given)}`)
  const entries = Object.keys(given).map((name) => [requireName(`${what}: name`, name), read(name, given[name])] as const)
  return Object.freeze(Object.fromEntries(entries))
}
