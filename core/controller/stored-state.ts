import { ServeError } from '../base/index.ts'
import { type EndpointEntry, resolveBackendConfig, resolveReplicaOptions } from '../model/index.ts'
import type { BackendSpec } from './backend-supervisor.ts'
import type { StateEdit } from './state-store.ts'

const BACKEND = 'backend/'
const ENDPOINT = 'endpoint/'
const DEPLOYED = 'deployed'

/** What deployments brought, by name. */
export interface DeployedNames {
  readonly backends: readonly string[]
  readonly endpoints: readonly string[]
}

/** The state of a controller as it comes back. */
export interface StoredState {
  readonly backends: readonly BackendSpec[]
  readonly endpoints: readonly EndpointEntry[]
  readonly deployed: DeployedNames
  /** Endpoints that name a backend which is not kept; they do not come back. */
  readonly orphans: readonly string[]
}

/** Keeps a backend. Inline code and worker factories are functions of this process: such a backend is not kept, and what was kept under its tag goes. */
export function keepBackend(spec: BackendSpec): StateEdit {
  const { tag, code, initArgs, config, replicaOptions } = spec
  if (!isKept(spec)) return forgetBackend(tag)
  return { key: BACKEND + tag, value: { tag, code, initArgs, config, replicaOptions } }
}

/** Whether a backend would come back. */
export function isKept({ code, replicaOptions }: BackendSpec): boolean {
  return code.kind !== 'inline' && code.kind !== 'worker' && replicaOptions.isolation !== 'inline'
}

export const forgetBackend = (tag: string): StateEdit => ({ key: BACKEND + tag })
export const keepEndpoint = (entry: EndpointEntry): StateEdit => ({ key: ENDPOINT + entry.name, value: entry })
export const forgetEndpoint = (name: string): StateEdit => ({ key: ENDPOINT + name })
export const keepDeployed = (deployed: DeployedNames): StateEdit => ({ key: DEPLOYED, value: deployed })

/** Reads what a store gave. `ERR_STORAGE` names a key whose value does not fit. @param others tags of backends that are there without being kept */
export function readState(values: ReadonlyMap<string, unknown>, others: readonly string[] = []): StoredState {
  // The group of controllers keeps it under keys of its own, which a controller that is alone would not see.
  if (values.has('group')) throw new ServeError('ERR_STORAGE', 'what is stored is the state of a mesh; start it with the option mesh')
  const backends: BackendSpec[] = []
  const entries: EndpointEntry[] = []
  for (const [key, value] of values) {
    try {
      if (key.startsWith(BACKEND)) backends.push(toSpec(value as BackendSpec))
      else if (key.startsWith(ENDPOINT)) entries.push(toEntry(value as EndpointEntry))
    } catch (cause) {
      throw new ServeError('ERR_STORAGE', `what is stored under ${key} cannot be read: ${(cause as Error).message}`, { cause })
    }
  }
  const tags = new Set([...others, ...backends.map(({ tag }) => tag)])
  const isWhole = ({ policy }: EndpointEntry): boolean => [...policy.entries, ...policy.shadows].every(({ backend }) => tags.has(backend))
  return {
    backends,
    endpoints: entries.filter(isWhole),
    deployed: (values.get(DEPLOYED) as DeployedNames | undefined) ?? { backends: [], endpoints: [] },
    orphans: entries.filter((entry) => !isWhole(entry)).map(({ name }) => name),
  }
}

/** Through the same checks as when it came in: an older release may have kept less. */
function toSpec({ tag, code, initArgs, config, replicaOptions }: BackendSpec): BackendSpec {
  return { tag, code, initArgs, config: resolveBackendConfig(config), replicaOptions: resolveReplicaOptions(replicaOptions) }
}

function toEntry({ name, route, methods, callMethods, policy }: EndpointEntry): EndpointEntry {
  return Object.freeze({
    name,
    route,
    methods: Object.freeze(methods),
    ...(callMethods !== undefined && { callMethods: Object.freeze(callMethods) }),
    policy: Object.freeze({
      entries: Object.freeze(policy.entries.map((share) => Object.freeze(share))),
      shadows: Object.freeze(policy.shadows.map((share) => Object.freeze(share))),
    }),
  })
}
