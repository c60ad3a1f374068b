/** A rate is taken over at least this long: a stall of a moment, such as the first call of a cold replica, is no rate. */
const WINDOW_MS = 500
/** How long a queue must have been watched without a break before calls are refused for what it says. */
const TRUST_MS = 2_000
/** A backend that keeps up for this long is no longer the one that was measured. */
const FORGET_MS = 1_000

/** Calls done per millisecond while some were waiting; what an idle backend does says nothing about how fast a queue would shrink. */
export class DrainRate {
  #perMs: number | undefined
  #sinceMs = -1
  #busySinceMs = -1
  #idleSinceMs = -1
  #count = 0
  #isTrusted = false

  /** Takes note of a call that is done. @param busy calls were waiting at that moment */
  add(nowMs: number, busy: boolean): void {
    if (!busy) return this.#noteIdle(nowMs)
    this.#idleSinceMs = -1
    if (this.#sinceMs === -1) {
      this.#sinceMs = nowMs
      this.#count = 0
      if (this.#busySinceMs === -1) this.#busySinceMs = nowMs
      return
    }
    this.#count++
    const elapsedMs = nowMs - this.#sinceMs
    if (elapsedMs < WINDOW_MS) return
    const perMs = this.#count / elapsedMs
    this.#perMs = this.#perMs === undefined ? perMs : this.#perMs + (perMs - this.#perMs) * 0.3
    this.#isTrusted = nowMs - this.#busySinceMs >= TRUST_MS
    this.#sinceMs = nowMs
    this.#count = 0
  }

  /** Expected wait of the n-th in the queue, in milliseconds; undefined while nothing is known. Good enough for a hint. */
  waitMs(waiting: number): number | undefined {
    return this.#perMs === undefined || this.#perMs === 0 ? undefined : waiting / this.#perMs
  }

  /** The same once the queue has been watched long enough to refuse calls for it. */
  trustedWaitMs(waiting: number): number | undefined {
    return this.#isTrusted ? this.waitMs(waiting) : undefined
  }

  #noteIdle(nowMs: number): void {
    this.#sinceMs = -1
    if (this.#idleSinceMs === -1) {
      this.#idleSinceMs = nowMs
    } else if (nowMs - this.#idleSinceMs >= FORGET_MS) {
      this.#perMs = undefined
      this.#busySinceMs = -1
      this.#isTrusted = false
    }
  }
}
