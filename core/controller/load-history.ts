/** A right-continuous step function of the load of a backend: each sample holds until the next. Old steps are forgotten beyond the window. */
export class LoadHistory {
  readonly #atMs: number[] = []
  readonly #load: number[] = []
  #windowMs: number

  /** @param windowMs how far back a mean may be asked for */
  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  /** A longer window counts from now on. */
  configure(windowMs: number): void {
    this.#windowMs = windowMs
  }

  /** The load from `nowMs` on. Samples come in order of time. */
  add(nowMs: number, load: number): void {
    if (this.#load.at(-1) !== load) {
      this.#atMs.push(nowMs)
      this.#load.push(load)
    }
    // The step that reaches into the window stays.
    let old = 0
    while (old + 1 < this.#atMs.length && (this.#atMs[old + 1] as number) <= nowMs - this.#windowMs) old++
    if (old > 0) {
      this.#atMs.splice(0, old)
      this.#load.splice(0, old)
    }
  }

  /** Mean weighted by time over the last `windowMs`, or over as much as is known; the newest load when nothing has lasted yet. */
  mean(nowMs: number, windowMs: number): number {
    const knownMs = Math.min(windowMs, nowMs - (this.#atMs[0] ?? nowMs))
    return knownMs <= 0 ? (this.#load.at(-1) ?? 0) : this.#sum(nowMs, windowMs) / knownMs
  }

  /** The same over the whole window, as if there had been no load before the first sample: a moment's peak stays small. */
  meanFromZero(nowMs: number, windowMs: number): number {
    return this.#sum(nowMs, windowMs) / windowMs
  }

  #sum(nowMs: number, windowMs: number): number {
    const from = nowMs - windowMs
    let sum = 0
    for (let i = 0; i < this.#atMs.length; i++) {
      const start = Math.max(this.#atMs[i] as number, from)
      const end = this.#atMs[i + 1] ?? nowMs
      if (end > start) sum += (this.#load[i] as number) * (end - start)
    }
    return sum
  }
}
