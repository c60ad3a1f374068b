/** A first guess for a replica that nobody has measured. */
const START_MS = 0.2
/** How fast old peaks are forgotten. */
const DECAY_MS = 10_000

/**
 * Moving mean of a latency that jumps up with every peak and sinks slowly, so that a replica that turns slow is left alone at once. Only answers of
 * calls that ran well are taken in: a replica that fails at once must not look fast. Source: Finagle's and tower's peak EWMA.
 */
export class PeakEwma {
  #valueMs = START_MS
  #atMs: number

  constructor(nowMs: number) {
    this.#atMs = nowMs
  }

  get valueMs(): number {
    return this.#valueMs
  }

  add(sampleMs: number, nowMs: number): void {
    if (sampleMs >= this.#valueMs) {
      this.#valueMs = sampleMs
    } else {
      // At least a hundredth, so that a first slow answer is not believed for ten seconds by a replica with a thousand calls a second.
      const weight = Math.max(0.01, 1 - Math.exp(-(nowMs - this.#atMs) / DECAY_MS))
      this.#valueMs += (sampleMs - this.#valueMs) * weight
    }
    this.#atMs = nowMs
  }
}
