/** Bucket bounds per octave: four, so a reading is at most 19 % off. */
export const BUCKETS_PER_OCTAVE = 4
const BUCKETS = 26 * BUCKETS_PER_OCTAVE

/** Counts durations in logarithmic buckets from 1 microsecond to over a minute. What the counts say: see `latency-readings.ts`. */
export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS)
  #count = 0
  #sumMs = 0

  /** Takes note of one duration in milliseconds. */
  add(durationMs: number): void {
    const us = durationMs * 1000
    const index = us <= 1 ? 0 : Math.min(BUCKETS - 1, Math.floor(Math.log2(us) * BUCKETS_PER_OCTAVE))
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

  /** The counts of this moment, by bucket. */
  snapshot(): Float64Array {
    return this.#counts.slice()
  }
}
