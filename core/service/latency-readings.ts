import { BUCKETS_PER_OCTAVE } from './latency-histogram.ts'

/** What the counts of a {@link LatencyHistogram} say; apart from it, because most programs only ever count. */

/** Upper bound of the bucket that holds the given share of the durations, in milliseconds; 0 when there are none. @param share in (0, 1] */
export function quantileMs(counts: Float64Array, share: number): number {
  let left = Math.ceil(counts.reduce((sum, count) => sum + count, 0) * share)
  if (left === 0) return 0
  for (let index = 0; index < counts.length; index++) {
    left -= counts[index] ?? 0
    if (left <= 0) return boundMs(index)
  }
  return boundMs(counts.length - 1)
}

/** The counts of what was added after an earlier snapshot. */
export function countsSince(now: Float64Array, earlier: Float64Array): Float64Array {
  return now.map((count, index) => count - (earlier[index] ?? 0))
}

/** Cumulative counts at the given bounds, as Prometheus wants them. */
export function cumulativeCounts(counts: Float64Array, boundsMs: readonly number[]): number[] {
  return boundsMs.map((bound) => {
    let sum = 0
    for (let index = 0; index < counts.length && boundMs(index) <= bound * 1.0001; index++) sum += counts[index] ?? 0
    return sum
  })
}

const boundMs = (index: number): number => 2 ** ((index + 1) / BUCKETS_PER_OCTAVE) / 1000
