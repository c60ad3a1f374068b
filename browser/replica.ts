/** Inside backend modules and workers: `shoal/replica` in a page. */
import { ServeError } from '../core/base/index.ts'
import { currentReplica as currentScope, type ReplicaClient, type ReplicaScope } from '../core/replica/index.ts'
import { serveWorker } from './replica-worker.ts'

export { acceptBatch } from '../core/api/index.ts'
export { isServeError, ServeError, TaskError } from '../core/base/index.ts'
export type { InitContext, ReplicaClient, ReplicaScope } from '../core/replica/index.ts'
export { ServeRequest } from '../core/request/index.ts'
export type { ServeHandle, ServeResponse } from '../core/router/index.ts'

/**
 * Serves a function or class from a worker file that `serve.worker()` names. Call it once, at the top of the file, before the first `await` there.
 * `ERR_UNSUPPORTED` outside of a worker.
 */
export function expose(target: unknown): void {
  serveWorker(async () => target)
}

/** The replica that this worker is. `ERR_NO_INSTANCE` outside of one, and in inline replicas, which have no thread of their own. */
export function currentReplica(): ReplicaScope {
  const scope = currentScope()
  if (scope === undefined) throw new ServeError('ERR_NO_INSTANCE', 'this code does not run in the thread of a replica')
  return scope
}

/** The client of the instance that this replica belongs to: its handles call through the host, like every other caller. */
export async function connect(): Promise<ReplicaClient> {
  return currentReplica().connect()
}
