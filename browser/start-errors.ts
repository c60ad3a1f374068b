/** Why a replica of a page did not start: long sentences, which a page that works never needs. */
import { ServeError } from '../core/base/index.ts'
import type { ReplicaSpec } from '../core/replica/index.ts'

export { explainEnd } from '../core/adapters/comlink/index.ts'

export function limitsUnsupported({ backend, memoryLimitBytes }: ReplicaSpec): ServeError {
  const what =
    memoryLimitBytes === undefined
      ? 'env needs Node; in a page give values by initArgs or userConfig'
      : "memoryLimitBytes needs Node; a page cannot bound a worker's memory"
  return new ServeError('ERR_UNSUPPORTED', `backend ${backend}: ${what}`)
}

/** The script of the worker never ran. */
export function notLoaded(spec: ReplicaSpec, cause?: unknown): ServeError {
  const said = cause === undefined ? '' : ` (${cause instanceof Error ? cause.message : String(cause)})`
  return new ServeError('ERR_BACKEND_START_FAILED', describe(spec) + said, { cause, details: { workerLoaded: false } })
}

function describe({ backend, code }: ReplicaSpec): string {
  if (code.kind === 'worker') {
    return `backend ${backend}: the worker file given to serve.worker() could not be loaded: it is not there, is no JavaScript, or worker-src of the Content-Security-Policy refuses it; a bundler finds it only where the factory reads (Worker) => new Worker(new URL('./file.js', import.meta.url), { type: 'module' })`
  }
  return `backend ${backend}: the worker of shoal could not be loaded: its file is not there, or worker-src of the Content-Security-Policy refuses it (a one-file build needs worker-src blob:); serve a copy of dist/browser-worker.js from the page's own origin and name it by start({ workerUrl }), or make the worker yourself by serve.worker(); in Vite 6 and 7 set optimizeDeps.exclude: ['shoal']`
}
