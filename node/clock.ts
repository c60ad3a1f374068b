import type { Clock, Turns } from '../core/base/index.ts'

/** The longest delay that `setTimeout` takes; beyond it, it fires at once. */
const LONGEST_DELAY_MS = 2 ** 31 - 1

/** The real time of this thread. Its timers let the process end. */
export const realClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const dueMs = performance.now() + delayMs
    // setTimeout counts from a cached time and may fire a little early: what is left is waited for again.
    const onTimeout = (): void => {
      const leftMs = dueMs - performance.now()
      if (leftMs > 0) timer = start(leftMs)
      else callback()
    }
    const start = (leftMs: number): NodeJS.Timeout => setTimeout(onTimeout, Math.min(Math.ceil(leftMs), LONGEST_DELAY_MS)).unref()
    let timer = start(Math.max(0, delayMs))
    return () => clearTimeout(timer)
  },
}

/** The turns of this thread's event loop. */
export const realTurns: Turns = {
  soon: (callback) => process.nextTick(callback),
  later: (callback) => {
    setImmediate(callback)
  },
}
