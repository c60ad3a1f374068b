import type { BackendEntry, EndpointEntry, RoutingTable } from '../model/index.ts'

/** What makes a routing table of version `from` one of version `to`. Plain data. From 0 it is the whole table. */
export interface TableDelta {
  readonly from: number
  readonly to: number
  readonly endpoints: readonly EndpointEntry[]
  readonly goneEndpoints: readonly string[]
  readonly backends: readonly BackendEntry[]
  readonly goneBackends: readonly string[]
}

export function diffTables(from: RoutingTable, to: RoutingTable): TableDelta {
  return {
    from: from.version,
    to: to.version,
    endpoints: changed(from.endpoints, to.endpoints),
    goneEndpoints: [...from.endpoints.keys()].filter((name) => !to.endpoints.has(name)),
    backends: changed(from.backends, to.backends),
    goneBackends: [...from.backends.keys()].filter((tag) => !to.backends.has(tag)),
  }
}

/** Whether one who has `from` lacks nothing of `to`. */
export function isSameView(from: RoutingTable, to: RoutingTable): boolean {
  if (from === to || from.version !== to.version) return from === to
  return isSameMap(from.endpoints, to.endpoints) && isSameMap(from.backends, to.backends)
}

/** The table after a delta; undefined when the delta does not fit to this table, which then needs one from 0. */
export function applyDelta(table: RoutingTable, delta: TableDelta): RoutingTable | undefined {
  if (delta.from !== 0 && delta.from !== table.version) return undefined
  const endpoints = new Map(delta.from === 0 ? [] : table.endpoints)
  const backends = new Map(delta.from === 0 ? [] : table.backends)
  for (const name of delta.goneEndpoints) endpoints.delete(name)
  for (const tag of delta.goneBackends) backends.delete(tag)
  for (const entry of delta.endpoints) endpoints.set(entry.name, Object.freeze(entry))
  for (const entry of delta.backends) backends.set(entry.tag, Object.freeze(entry))
  return Object.freeze({ version: delta.to, endpoints, backends })
}

/** Entries are frozen and replaced as a whole, but made anew with each table: one is the same when all its fields are. */
function changed<T extends object>(from: ReadonlyMap<string, T>, to: ReadonlyMap<string, T>): T[] {
  return [...to].filter(([name, entry]) => !isSame(from.get(name), entry)).map(([, entry]) => entry)
}

function isSameMap<T extends object>(from: ReadonlyMap<string, T>, to: ReadonlyMap<string, T>): boolean {
  return from.size === to.size && [...to].every(([name, entry]) => isSame(from.get(name), entry))
}

function isSame(a: object | undefined, b: object): boolean {
  if (a === b) return true
  if (a === undefined) return false
  const keys = Object.keys(b)
  return (
    keys.length === Object.keys(a).length &&
    keys.every((key) => (a as Record<string, unknown>)[key] === (b as Record<string, unknown>)[key])
  )
}
