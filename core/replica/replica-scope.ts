import type { ReplicaClient } from './replica-service.ts'

/** Where code runs, when it runs inside a replica of its own thread. */
export interface ReplicaScope {
  readonly backend: string
  readonly replicaId: string
  connect(): ReplicaClient
}

/** One slot per thread, shared by all copies of the package in it. */
const SLOT = Symbol.for('shoal.replicaScope')

/** The replica that this thread is, or undefined outside of one. Inline replicas have no thread and so no scope. */
export function currentReplica(): ReplicaScope | undefined {
  return (globalThis as Record<symbol, ReplicaScope | undefined>)[SLOT]
}

/** Called once, by the entry of a replica's thread. */
export function enterReplicaScope(scope: ReplicaScope): void {
  Object.defineProperty(globalThis, SLOT, { value: scope, configurable: true })
}
