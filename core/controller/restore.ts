import { sleep } from '../base/index.ts'
import type { BackendSupervisor } from './backend-supervisor.ts'
import type { Controller } from './controller.ts'
import { forgetEndpoint, readState } from './stored-state.ts'

/** First and longest wait before a stored backend that did not start is tried again, in milliseconds; it doubles in between. */
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 60_000

/** Puts what the store holds in place, then starts it, backends side by side. `ERR_STORAGE`. */
export async function restoreState(into: Controller['parts']): Promise<void> {
  const { store } = into
  if (store === undefined) return
  const { backends, endpoints, deployed, orphans } = readState(await store.load())
  const supervisors = backends.map((spec) => into.enlist(spec))
  for (const entry of endpoints) into.endpoints.set(entry.name, entry)
  for (const tag of deployed.backends) into.ownedBackends.add(tag)
  for (const name of deployed.endpoints) into.ownedEndpoints.add(name)
  for (const name of orphans) into.log.warn({ endpoint: name }, 'endpoint.not-restored')
  if (orphans.length > 0) await store.put(orphans.map(forgetEndpoint))
  into.swapTable()
  await Promise.all(supervisors.map((supervisor) => startStored(supervisor, into)))
}

/** Starts a stored backend; resolves when it has started, or has failed once: that is logged and tried again. */
export async function startStored(
  supervisor: BackendSupervisor,
  seams: Controller['parts'],
  retryMs: number = FIRST_RETRY_MS,
): Promise<void> {
  try {
    await supervisor.start()
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error)
    seams.log.error({ backend: supervisor.spec.tag, retryMs, error: said }, 'backend.restore-failed')
    void startAgain(supervisor, seams, retryMs)
  }
}

async function startAgain(spent: BackendSupervisor, seams: Controller['parts'], retryMs: number): Promise<void> {
  try {
    await sleep(seams.clock, retryMs, seams.signal)
  } catch {
    return
  }
  const supervisor = seams.renew(spent)
  if (supervisor !== undefined) await startStored(supervisor, seams, Math.min(retryMs * 2, LONGEST_RETRY_MS))
}
