/** Bucket bounds per octave: four, so a reading is at most 19 % off. */
const PER_OCTAVE = 4
const BUCKETS = 26 * PER_OCTAVE

/** Counts durations in logarithmic buckets from 1 microsecond to over a minute; a reading allocates nothing but its answer. */
export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS)
  #count = 0
  #sumMs = 0

  /** Takes note of one duration in milliseconds. */
  add(durationMs: number): void {
    const us = durationMs * 1000
    const index = us <= 1 ? 0 : Math.min(BUCKETS - 1, Math.floor(Math.log2(us) * PER_OCTAVE))
    this.#counts[index] = (this.#counts[index] ?? 0) + 1
    this.#count++
    this.#sumMs += durationMs
  }

  get count(): number {
    return this.#count
  }

  get sumMs(): number {
    return this.#sumMs
  }

  /** Upper bound of the bucket that holds the given share of the durations, in milliseconds; 0 when there are none. @param share in (0, 1] */
  quantileMs(share: number): number {
    return quantile(this.#counts, this.#count, share)
  }

  /** The counts of this moment, to subtract later; see {@link quantileSince}. */
  snapshot(): Float64Array {
    return this.#counts.slice()
  }

  /** {@link quantileMs} of what was added after the snapshot. */
  quantileSince(snapshot: Float64Array, share: number): number {
    const since = this.#counts.map((count, index) => count - (snapshot[index] ?? 0))
    return quantile(
      since,
      since.reduce((sum, count) => sum + count, 0),
      share,
    )
  }

  /** Cumulative counts at the given bounds, as Prometheus wants them. */
  cumulative(boundsMs: readonly number[]): number[] {
    return boundsMs.map((bound) => {
      let sum = 0
      for (let index = 0; index < BUCKETS && boundMs(index) <= bound * 1.0001; index++) sum += this.#counts[index] ?? 0
      return sum
    })
  }
}

const boundMs = (index: number): number => 2 ** ((index + 1) / PER_OCTAVE) / 1000

function quantile(counts: Float64Array, total: number, share: number): number {
  let left = Math.ceil(total * share)
  if (left === 0) return 0
  for (let index = 0; index < BUCKETS; index++) {
    left -= counts[index] ?? 0
    if (left <= 0) return boundMs(index)
  }
  return boundMs(BUCKETS - 1)
}
