import type { HostedReplica, ReplicaSpec } from '../replica/index.ts'

export interface StartSeams {
  /** The node where the replica is placed now; undefined for none. */
  readonly nodeOf: (replicaId: string) => string | undefined
  /** Aborted as soon as that node takes no replicas any more. */
  readonly whileStaying: (nodeId: string) => AbortSignal | undefined
  /** Chooses another node. `ERR_INFEASIBLE`. */
  readonly placeAnew: (replicaId: string) => void
  readonly start: (spec: ReplicaSpec, signal: AbortSignal) => Promise<HostedReplica>
}

/**
 * Starts a replica where it is placed, and elsewhere when that node goes or leaves meanwhile: that is nobody's failure, and no reason to wait. Rejects with
 * what a start on a node that stays rejects with.
 */
export async function startElsewhere(spec: ReplicaSpec, signal: AbortSignal, seams: StartSeams): Promise<HostedReplica> {
  for (;;) {
    signal.throwIfAborted()
    const nodeId = seams.nodeOf(spec.replicaId)
    const staying = nodeId === undefined ? undefined : seams.whileStaying(nodeId)
    if (staying === undefined) return seams.start(spec, signal)
    const attempt = new AbortController()
    const giveUp = (): void => attempt.abort(signal.reason)
    const goElsewhere = (): void => attempt.abort(staying.reason)
    signal.addEventListener('abort', giveUp, { once: true })
    staying.addEventListener('abort', goElsewhere, { once: true })
    try {
      if (!staying.aborted) return await seams.start(spec, attempt.signal)
    } catch (error) {
      if (!staying.aborted) throw error
    } finally {
      signal.removeEventListener('abort', giveUp)
      staying.removeEventListener('abort', goElsewhere)
    }
    signal.throwIfAborted()
    seams.placeAnew(spec.replicaId)
    // Asking again would give the same answer, for ever.
    if (seams.nodeOf(spec.replicaId) === nodeId) throw staying.reason
  }
}
