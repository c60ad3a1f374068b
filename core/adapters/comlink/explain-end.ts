import { ServeError } from '../../base/index.ts'
import type { ReplicaEnd, ReplicaSpec } from '../../replica/index.ts'

/** A replica that ends while it starts gives no answer; what it ended with is the better cause. */
export async function explainEnd(error: unknown, spec: ReplicaSpec, whenGone: Promise<ReplicaEnd>): Promise<unknown> {
  if (!(error instanceof ServeError) || error.code !== 'ERR_REPLICA_DIED') return error
  const end = await whenGone
  const hint = spec.code.kind === 'worker' ? '; does its file call expose() of shoal/replica?' : ''
  return new ServeError(
    'ERR_BACKEND_START_FAILED',
    `backend ${spec.backend}: replica ${spec.replicaId} ended while starting (${end.reason})${hint}`,
    { cause: end.cause },
  )
}
