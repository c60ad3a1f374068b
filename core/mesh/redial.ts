import { type Clock, type Random, sleep } from '../base/index.ts'

/** First bound of the wait between two attempts, which doubles. Source of the shape: full jitter, as in the AWS builders' library. */
const FIRST_MS = 1_000
/** Last bound of the wait in a small mesh, which is whole again within 10 s of a heal even where a controller has to take over first. */
const LAST_MS = 3_000
/** How much each peer adds to the bounds, and to what at most: so that not all come at once to a node that they have lost together. */
const CROWD_PER_PEER_MS = 150
const CROWD_MOST_MS = 30_000

/**
 * The wait before the next attempt: uniform below a bound that doubles. What nobody answers a crowd dials seldom enough that, whenever it is back, no
 * second sees a tenth of them.
 * @param failures attempts that failed in a row; 1 after a connection that stood
 * @param peers how many may dial the same one, and lose it in the same moment
 */
export function redialDelayMs(failures: number, random: Random, peers: number): number {
  const crowdMs = Math.min(CROWD_MOST_MS, peers * CROWD_PER_PEER_MS)
  const boundMs = Math.min(Math.max(LAST_MS, crowdMs), Math.max(FIRST_MS, crowdMs) * 2 ** Math.min(failures - 1, 16))
  const leastMs = failures === 1 ? 0 : crowdMs / 2
  return leastMs + random() * (boundMs - leastMs)
}

export interface RedialOptions {
  /** Connects and resolves when the connection is gone again; rejects when there is none to be had. */
  readonly connect: (signal: AbortSignal) => Promise<void>
  /** True for a failure that no later attempt can mend. @default never */
  readonly isFinal?: (error: unknown) => boolean
  /** How many peers may dial the same one. */
  readonly peers: () => number
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
      await pause(redialDelayMs(1, random, options.peers()), signal).catch(() => undefined)
    } catch (error) {
      if (signal.aborted) return
      if (options.isFinal?.(error) === true) throw error
      failures++
      const delayMs = redialDelayMs(failures, random, options.peers())
      options.onFailure?.(error, delayMs)
      await pause(delayMs, signal).catch(() => undefined)
    }
  }
}
