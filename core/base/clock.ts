/** Ends a timer or a subscription; calling it again does nothing. */
export type Stop = () => void

/** Time as the core sees it. Node and the browser give the real one, tests a fake one that they advance by hand. */
export interface Clock {
  /** Monotonic milliseconds since an arbitrary start; never goes back, tells no date. */
  nowMs(): number
  /** Calls back once, `delayMs` from now or later. The timer keeps no process alive. */
  after(delayMs: number, callback: () => void): Stop
}

/** The turns of the event loop. Coalescing lives on them: what is gathered in one turn leaves as one message. */
export interface Turns {
  /** At the end of the running turn, before any input is looked at (`process.nextTick`, a microtask). */
  soon(callback: () => void): void
  /** In a turn of its own, after waiting input was handled (`setImmediate`, a message to itself). */
  later(callback: () => void): void
}

/** Waits `delayMs`; rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = (): void => {
      stop()
      reject(signal?.reason)
    }
    const stop = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
