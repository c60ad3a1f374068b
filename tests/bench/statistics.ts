/** The value at proportion `at` of the sorted sample, nearest rank; NaN for an empty one. */
export function percentile(sample: readonly number[], at: number): number {
  if (sample.length === 0) return Number.NaN
  const sorted = Float64Array.from(sample).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? Number.NaN
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly count: number
}

/** Median (mean of the middle two when even) and range of the values that are numbers; undefined when there is none. */
export function spread(values: readonly (number | undefined)[]): Spread | undefined {
  const sorted = values.filter((value): value is number => value !== undefined && Number.isFinite(value)).sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle]
  const min = sorted[0]
  const max = sorted[sorted.length - 1]
  if (upper === undefined || min === undefined || max === undefined) return undefined
  const median = sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2
  return { median, min, max, count: sorted.length }
}

/** a / b, undefined when either is missing. */
export function divide(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a / b
}
