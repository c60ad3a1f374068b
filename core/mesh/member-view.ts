import type { BackendEntry, EndpointEntry, ResolvedBackendConfig, RoutingTable } from '../model/index.ts'
import type { MeshRole } from './roles.ts'

/** What a view goes by; of the credential, never of what the member says. */
export interface Viewer {
  readonly roles: readonly MeshRole[]
  readonly endpoints?: readonly string[]
}

/**
 * The part of a routing table that a member needs for its roles. A caller: all of it, or the endpoints that it may call and the backends behind
 * them. Who hosts replicas: their backends, and the endpoints that lead there, by which it judges the calls of others. `userConfig` is left out: replicas are given it.
 * A controller has all. The version stays: a view of it can grow and shrink with `hosted`.
 * @param hosted tags of backends with replicas there, or with some that start
 */
export function viewOf(table: RoutingTable, viewer: Viewer, hosted: ReadonlySet<string>): RoutingTable {
  if (viewer.roles.includes('controller')) return table
  const mayCall = viewer.roles.includes('caller')
  if (mayCall && viewer.endpoints === undefined) return withoutUserConfigs(table)
  const endpoints = new Map<string, EndpointEntry>()
  const callable = new Set<string>()
  for (const [name, entry] of table.endpoints) {
    const isGranted = mayCall && viewer.endpoints?.includes(name) !== false
    const tags = tagsOf(entry)
    if (isGranted) for (const tag of tags) callable.add(tag)
    if (isGranted || tags.some((tag) => hosted.has(tag))) endpoints.set(name, entry)
  }
  const backends = new Map<string, BackendEntry>()
  for (const [tag, entry] of table.backends) {
    if (callable.has(tag) || hosted.has(tag)) backends.set(tag, withoutUserConfig(entry))
  }
  return Object.freeze({ version: table.version, endpoints, backends })
}

/** Backends that a call to an endpoint, or a copy of one, may go to. */
export function tagsOf({ policy }: EndpointEntry): string[] {
  return [...policy.entries, ...policy.shadows].map(({ backend }) => backend)
}

/** What every caller without limits has of a table is made once: most peers are such. */
const FOR_CALLERS = new WeakMap<RoutingTable, RoutingTable>()

function withoutUserConfigs(table: RoutingTable): RoutingTable {
  const backends = (): Map<string, BackendEntry> => new Map([...table.backends].map(([tag, entry]) => [tag, withoutUserConfig(entry)]))
  const made = FOR_CALLERS.get(table) ?? Object.freeze({ ...table, backends: backends() })
  FOR_CALLERS.set(table, made)
  return made
}

/** The same config for the same config, so that a view changes only when something in it does. */
const STRIPPED = new WeakMap<ResolvedBackendConfig, ResolvedBackendConfig>()

function withoutUserConfig(entry: BackendEntry): BackendEntry {
  const { config } = entry
  if (config.userConfig === undefined) return entry
  const stripped = STRIPPED.get(config) ?? Object.freeze({ ...config, userConfig: undefined })
  STRIPPED.set(config, stripped)
  return Object.freeze({ ...entry, config: stripped })
}
