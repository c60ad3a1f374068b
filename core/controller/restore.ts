import { type Clock, type Logger, sleep } from '../base/index.ts'
import type { BackendSupervisor } from './backend-supervisor.ts'

export { forgetEndpoint, readState } from './stored-state.ts'

/** First and longest wait before a stored backend that did not start is tried again, in milliseconds; it doubles in between. */
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 60_000

export interface RestoreSeams {
  readonly clock: Clock
  readonly log: Logger
  /** Puts another in the place of a supervisor that has failed, which is spent; undefined when an edit was faster. */
  readonly renew: (spent: BackendSupervisor) => BackendSupervisor | undefined
  readonly signal: AbortSignal
}

/** Starts a stored backend; resolves when it has started, or has failed once: that is logged and tried again. */
export async function startStored(supervisor: BackendSupervisor, seams: RestoreSeams, retryMs: number = FIRST_RETRY_MS): Promise<void> {
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
