import { type Clock, type Random, sleep } from '../base/index.ts'

/** Bounds of the wait between two attempts; it doubles from one to the other. Source of the shape: full jitter, as in the AWS builders' library. */
export const REDIAL_FIRST_MS = 1_000
export const REDIAL_MOST_MS = 30_000

/** The wait before attempt `failures + 1`: uniform between 0 and a bound that doubles. @param failures attempts that failed in a row, 1 or more */
export function redialDelayMs(failures: number, random: Random): number {
  return random() * Math.min(REDIAL_MOST_MS, REDIAL_FIRST_MS * 2 ** Math.min(failures - 1, 16))
}

export interface RedialOptions {
  /** Connects and resolves when the connection is gone again; rejects when there is none to be had. */
  readonly connect: (signal: AbortSignal) => Promise<void>
  /** True for a failure that no later attempt can mend. @default never */
  readonly isFinal?: (error: unknown) => boolean
  readonly onFailure?: (error: unknown, delayMs: number) => void
}

/** Connects, and again whenever the connection is lost, until the signal aborts or a failure is final; that one is thrown. It never gives up by count. */
export async function keepConnected(options: RedialOptions, signal: AbortSignal, clock: Clock, random: Random): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    try {
      await options.connect(signal)
      failures = 0
      // Not at once: all peers of a controller that restarts lose it in the same moment.
      await sleep(clock, redialDelayMs(1, random), signal).catch(() => undefined)
    } catch (error) {
      if (signal.aborted) return
      if (options.isFinal?.(error) === true) throw error
      failures++
      const delayMs = redialDelayMs(failures, random)
      options.onFailure?.(error, delayMs)
      await sleep(clock, delayMs, signal).catch(() => undefined)
    }
  }
}
