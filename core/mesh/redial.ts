import { type Clock, type Random, sleep } from '../base/index.ts'

/** First bound of the wait between two attempts, which doubles. Source of the shape: full jitter, as in the AWS builders' library. */
export const REDIAL_FIRST_MS = 1_000
/** Last bound of the wait in a small mesh, which is whole again within 10 s of a heal even where a controller has to take over first, and in a large one. */
export const REDIAL_LEAST_MS = 3_000
export const REDIAL_MOST_MS = 30_000
/** How much each peer adds to the last bound: all of them together dial some ten times a second. */
const REDIAL_PER_PEER_MS = 100

/** The last bound of the wait where so many peers may dial the same one. */
export function redialBoundMs(peers: number): number {
  return Math.max(REDIAL_LEAST_MS, Math.min(REDIAL_MOST_MS, peers * REDIAL_PER_PEER_MS))
}

/** The wait before attempt `failures + 1`: uniform between 0 and a bound that doubles. @param failures attempts that failed in a row, 1 or more */
export function redialDelayMs(failures: number, random: Random, boundMs: number = REDIAL_MOST_MS): number {
  return random() * Math.min(boundMs, REDIAL_FIRST_MS * 2 ** Math.min(failures - 1, 16))
}

export interface RedialOptions {
  /** Connects and resolves when the connection is gone again; rejects when there is none to be had. */
  readonly connect: (signal: AbortSignal) => Promise<void>
  /** True for a failure that no later attempt can mend. @default never */
  readonly isFinal?: (error: unknown) => boolean
  /** Last bound of the wait. @default 30 s */
  readonly boundMs?: () => number
  readonly onFailure?: (error: unknown, delayMs: number) => void
  /** Waits before the next attempt; may end early when there is news. @default the clock alone ends it */
  readonly pause?: (delayMs: number, signal: AbortSignal) => Promise<void>
}

/** Connects, and again whenever the connection is lost, until the signal aborts or a failure is final; that one is thrown. It never gives up by count. */
export async function keepConnected(options: RedialOptions, signal: AbortSignal, clock: Clock, random: Random): Promise<void> {
  const pause = options.pause ?? ((delayMs, stop) => sleep(clock, delayMs, stop))
  let failures = 0
  while (!signal.aborted) {
    try {
      await options.connect(signal)
      failures = 0
      // Not at once: all peers of a controller that restarts lose it in the same moment.
      await pause(redialDelayMs(1, random), signal).catch(() => undefined)
    } catch (error) {
      if (signal.aborted) return
      if (options.isFinal?.(error) === true) throw error
      failures++
      const delayMs = redialDelayMs(failures, random, options.boundMs?.())
      options.onFailure?.(error, delayMs)
      await pause(delayMs, signal).catch(() => undefined)
    }
  }
}
