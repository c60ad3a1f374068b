import type { RuntimeLimits } from './replica-runtime.ts'

/** How calls of batch methods share the slots of a replica. */
export interface BatchPlan {
  /** Most items of a batch; never more than may be started at once. */
  readonly batchSize: number
  readonly batchesAtOnce: number
}

/** Half of the slots run, the other half is one further batch that is kept ready; single items need no such reserve. */
export function planBatches({
  maxConcurrentQueries,
  maxBatchSize,
}: Pick<RuntimeLimits, 'maxConcurrentQueries' | 'maxBatchSize'>): BatchPlan {
  const batchSize = Math.min(maxBatchSize, maxConcurrentQueries)
  return {
    batchSize,
    batchesAtOnce: batchSize === 1 ? maxConcurrentQueries : Math.max(1, Math.floor(maxConcurrentQueries / (2 * batchSize))),
  }
}
