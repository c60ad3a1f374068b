import { type EndpointEntry, type ResolvedBackendConfig, sameData } from '../model/index.ts'
import type { BackendSpec } from './backend-supervisor.ts'

/** An app as specs: what `deploy` makes of `defineApp`. */
export interface AppSpec {
  readonly backends: readonly BackendSpec[]
  readonly endpoints: readonly EndpointEntry[]
}

/** What there is, and what of it an earlier deployment brought: only that may a later one take away. */
export interface Deployed {
  readonly backends: ReadonlyMap<string, BackendSpec>
  readonly endpoints: ReadonlyMap<string, EndpointEntry>
  readonly ownedBackends: ReadonlySet<string>
  readonly ownedEndpoints: ReadonlySet<string>
}

export type AppAction =
  | { readonly kind: 'create-backend'; readonly spec: BackendSpec }
  | { readonly kind: 'replace-backend'; readonly spec: BackendSpec }
  | { readonly kind: 'configure-backend'; readonly tag: string; readonly config: ResolvedBackendConfig }
  | { readonly kind: 'put-endpoint'; readonly entry: EndpointEntry }
  | { readonly kind: 'delete-endpoint'; readonly name: string }
  | { readonly kind: 'delete-backend'; readonly tag: string }

/**
 * The steps from what there is to what the app says, in the order in which they may be taken: backends come before the endpoints that name them, and
 * go after them. Nothing to do gives no steps, so deploying twice is deploying once. Pure.
 */
export function planApp(wanted: AppSpec, deployed: Deployed): AppAction[] {
  const actions: AppAction[] = []
  for (const spec of wanted.backends) {
    const there = deployed.backends.get(spec.tag)
    if (there === undefined) actions.push({ kind: 'create-backend', spec })
    else if (!isSameCode(there, spec)) actions.push({ kind: 'replace-backend', spec })
    else if (!sameData(there.config, spec.config)) actions.push({ kind: 'configure-backend', tag: spec.tag, config: spec.config })
  }
  const names = new Set(wanted.endpoints.map((entry) => entry.name))
  const tags = new Set(wanted.backends.map((spec) => spec.tag))
  // Routes become free before they are taken by others.
  for (const name of deployed.ownedEndpoints)
    if (!names.has(name) && deployed.endpoints.has(name)) actions.push({ kind: 'delete-endpoint', name })
  for (const entry of wanted.endpoints) {
    if (!sameData(deployed.endpoints.get(entry.name), entry)) actions.push({ kind: 'put-endpoint', entry })
  }
  for (const tag of deployed.ownedBackends) if (!tags.has(tag) && deployed.backends.has(tag)) actions.push({ kind: 'delete-backend', tag })
  return actions
}

/** Same code, same arguments, same place to run: only the config may differ. A module is known by its URL, not by its content. */
export function isSameCode(a: BackendSpec, b: BackendSpec): boolean {
  return sameCode(a, b) && sameData(a.replicaOptions, b.replicaOptions) && sameData(a.initArgs, b.initArgs)
}

function sameCode({ code: a }: BackendSpec, { code: b }: BackendSpec): boolean {
  if (a.kind === 'inline' && b.kind === 'inline') return a.value === b.value
  if (a.kind === 'worker' && b.kind === 'worker') return a.factory === b.factory
  return a.kind === b.kind && sameData(a, b)
}
