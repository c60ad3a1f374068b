/** Restarts that are forgiven within {@link WINDOW_MS}. Source: the supervisors of OTP, with wider numbers. */
const FREE_RESTARTS = 3
const WINDOW_MS = 60_000
const FIRST_DELAY_MS = 1_000
const MAX_DELAY_MS = 60_000

/**
 * When a replica that died is started again: at once for the first three deaths within a minute, then after a second, doubling up to a minute, until
 * a minute passes without a death. Pure but for its memory of deaths.
 */
export class RestartPolicy {
  #deathsAtMs: number[] = []
  #delayMs = 0

  /** True from the first start that was held back until a quiet time has passed. */
  isCrashLooping(nowMs: number): boolean {
    return this.#delayMs > 0 && !this.#isQuiet(nowMs)
  }

  /** Takes note of a death; says how long to wait before the next start, in milliseconds. */
  noteDeath(nowMs: number): number {
    if (this.#isQuiet(nowMs)) this.#delayMs = 0
    this.#deathsAtMs = [...this.#deathsAtMs.filter((atMs) => nowMs - atMs <= WINDOW_MS), nowMs]
    if (this.#deathsAtMs.length <= FREE_RESTARTS && this.#delayMs === 0) return 0
    this.#delayMs = Math.min(MAX_DELAY_MS, this.#delayMs === 0 ? FIRST_DELAY_MS : this.#delayMs * 2)
    return this.#delayMs
  }

  /** The time that a start was held back counts half: nothing could die in it. */
  #isQuiet(nowMs: number): boolean {
    const last = this.#deathsAtMs.at(-1)
    return last !== undefined && nowMs - last > Math.max(WINDOW_MS, this.#delayMs * 2)
  }

  /** New code or config is a new chance. */
  forget(): void {
    this.#deathsAtMs = []
    this.#delayMs = 0
  }
}
