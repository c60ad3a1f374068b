import { type Clock, type Logger, sleep } from '../base/index.ts'
import type { EndpointEntry } from '../model/index.ts'
import type { BackendSpec, BackendSupervisor } from './backend-supervisor.ts'
import type { StateStore } from './state-store.ts'
import { forgetEndpoint, readState } from './stored-state.ts'

/** First and longest wait before a stored backend that did not start is tried again, in milliseconds; it doubles in between. */
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 60_000

/** What a controller lets a restore do to it. */
export interface RestoreInto extends RestoreSeams {
  readonly endpoints: Map<string, EndpointEntry>
  readonly ownedBackends: Set<string>
  readonly ownedEndpoints: Set<string>
  readonly enlist: (spec: BackendSpec) => BackendSupervisor
  /** All that was kept is in place; nothing has started. */
  readonly onRead: () => void
}

/** Puts what the store holds in place, then starts it, backends side by side. `ERR_STORAGE`. */
export async function restoreState(store: StateStore, into: RestoreInto): Promise<void> {
  const { backends, endpoints, deployed, orphans } = readState(await store.load())
  const supervisors = backends.map((spec) => into.enlist(spec))
  for (const entry of endpoints) into.endpoints.set(entry.name, entry)
  for (const tag of deployed.backends) into.ownedBackends.add(tag)
  for (const name of deployed.endpoints) into.ownedEndpoints.add(name)
  for (const name of orphans) into.log.warn({ endpoint: name }, 'endpoint.not-restored')
  if (orphans.length > 0) await store.put(orphans.map(forgetEndpoint))
  into.onRead()
  await Promise.all(supervisors.map((supervisor) => startStored(supervisor, into)))
}

export interface RestoreSeams {
  readonly clock: Clock
  readonly log: Logger
  /** Puts another in the place of a supervisor that has failed, which is spent; undefined when an edit was faster. */
  readonly renew: (spent: BackendSupervisor) => BackendSupervisor | undefined
  readonly signal: AbortSignal
}

/** Starts a stored backend; resolves when it has started, or has failed once: that is logged and tried again. */
async function startStored(supervisor: BackendSupervisor, seams: RestoreSeams, retryMs: number = FIRST_RETRY_MS): Promise<void> {
  try {
    await supervisor.start()
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error)
    seams.log.error({ backend: supervisor.spec.tag, retryMs, error: said }, 'backend.restore-failed')
    void startAgain(supervisor, seams, retryMs)
  }
}

async function startAgain(spent: BackendSupervisor, seams: RestoreSeams, retryMs: number): Promise<void> {
  try {
    await sleep(seams.clock, retryMs, seams.signal)
  } catch {
    return
  }
  const supervisor = seams.renew(spent)
  if (supervisor !== undefined) await startStored(supervisor, seams, Math.min(retryMs * 2, LONGEST_RETRY_MS))
}
