import { sameData } from '../model/index.ts'
import { isSameCode } from './app-plan.ts'
import type { BackendSpec } from './backend-supervisor.ts'
import type { Controller } from './controller.ts'
import { startStored } from './restore.ts'
import { isKept, readState } from './stored-state.ts'

/**
 * Makes what the store holds so while the controller runs: others have edited it. What is new is in the table at once and starts then; what runs as it
 * should stays as it is; what is held by no store, such as inline backends, stays too. Other edits wait meanwhile. Rejects with what could not be brought
 * to its new form, when the rest is in force: it is as it was, and may be tried again.
 */
export function takeInEdits(parts: Controller['parts']): Promise<void> {
  return parts.edit(() => takeIn(parts))
}

async function takeIn(parts: Controller['parts']): Promise<void> {
  const { controller, store, supervisors, starting, endpoints, log, signal } = parts
  if (store === undefined || signal.aborted) return
  const unkept = [...supervisors].filter(([, { spec }]) => !isKept(spec)).map(([tag]) => tag)
  const wanted = readState(await store.load(), unkept)
  const fresh = wanted.backends
    .filter(({ tag }) => !supervisors.has(tag))
    .map((spec) => {
      // Of one tag that was made on two sides there is one.
      void starting.get(spec.tag)?.stop(0)
      return parts.enlist(spec)
    })
  const names = new Set(wanted.endpoints.map(({ name }) => name))
  for (const name of wanted.orphans) log.warn({ endpoint: name }, 'endpoint.not-restored')
  for (const name of [...endpoints.keys()]) if (!names.has(name)) parts.removeEndpoint(name)
  for (const entry of wanted.endpoints) if (!sameData(endpoints.get(entry.name), entry)) endpoints.set(entry.name, entry)
  refill(parts.ownedBackends, wanted.deployed.backends)
  refill(parts.ownedEndpoints, wanted.deployed.endpoints)
  parts.swapTable()
  for (const supervisor of fresh) void startStored(supervisor, parts)
  const outcomes = await Promise.allSettled(wanted.backends.map((spec) => bring(spec, parts)))
  parts.swapTable()
  const tags = new Set([...unkept, ...wanted.backends.map(({ tag }) => tag)])
  // Its turn is after this one.
  for (const tag of [...supervisors.keys()]) if (!tags.has(tag)) void controller.deleteBackend(tag).catch(() => undefined)
  const failed = outcomes.find((outcome): outcome is PromiseRejectedResult => outcome.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

/** One that runs, brought to its new form. */
async function bring(spec: BackendSpec, { supervisors }: Controller['parts']): Promise<void> {
  const supervisor = supervisors.get(spec.tag)
  if (supervisor === undefined || supervisor.spec === spec) return
  if (!isSameCode(supervisor.spec, spec)) await supervisor.replace(spec)
  else if (!sameData(supervisor.spec.config, spec.config)) await supervisor.update(spec.config)
}

function refill(set: Set<string>, names: readonly string[]): void {
  set.clear()
  for (const name of names) set.add(name)
}
