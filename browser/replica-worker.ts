import { serveReplica } from '../core/adapters/comlink/index.ts'
import { ServeError } from '../core/base/index.ts'
import type { ReplicaCode } from '../core/replica/index.ts'
import { realClock, realTurns } from './clock.ts'
import { holdLock } from './held-lock.ts'
import { readBytes } from './read-bytes.ts'
import { toCallPort } from './web-port.ts'

/** The part of a dedicated worker's global scope that is needed; pages do not have it. */
interface WorkerScope extends EventTarget {
  readonly WorkerGlobalScope?: unknown
  postMessage(message: unknown, transfer: Transferable[]): void
}

/** Makes this worker a replica: it waits for its host to start it. `load` gives the code; what arrives is passed to it. */
export function serveWorker(load: (code: ReplicaCode) => Promise<unknown>): void {
  const scope = globalThis as unknown as WorkerScope
  if (scope.WorkerGlobalScope === undefined || typeof scope.postMessage !== 'function') {
    throw new ServeError('ERR_UNSUPPORTED', 'expose() works in a worker that serve.worker() made, not in a page')
  }
  // A worker survives an unhandled rejection and its page hears nothing of it; reported, it is an error like any other.
  scope.addEventListener('unhandledrejection', (event) => {
    event.preventDefault()
    reportError((event as PromiseRejectionEvent).reason)
  })
  serveReplica(
    {
      clock: realClock,
      turns: realTurns,
      load,
      readBytes,
      async open(sent) {
        if (sent?.lifeLock !== undefined) await holdLock(sent.lifeLock)
        if (sent === undefined) throw new ServeError('ERR_BACKEND_START_FAILED', 'the host handed over no ports')
        return {
          port: toCallPort(sent.port as MessagePort),
          outbound: toCallPort(sent.outbound as MessagePort),
          startedFlags: sent.startedFlags,
        }
      },
    },
    scope,
  )
}
