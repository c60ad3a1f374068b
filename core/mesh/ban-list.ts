import type { Clock } from '../base/index.ts'

/** Failures after which the first ban begins; each further one, when a ban is over, doubles it. Source of the shape: Petals. */
export const BAN_AFTER = 3
export const BAN_FIRST_MS = 15_000
export const BAN_MOST_MS = 900_000

/** Nothing is remembered for longer than this after the last failure and its ban, in milliseconds. */
const FORGET_MS = 1_800_000
/** Remembered at most; those whose last failure is longest ago go first. */
const MAX_REMEMBERED = 1_000

interface Entry {
  readonly failures: number
  readonly untilMs: number
}

/** Who failed how often, by any name, and until when it is not heard. */
export class BanList {
  readonly #entries = new Map<string, Entry>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How long this one is not heard yet, in milliseconds; 0 when it may come. */
  leftMs(name: string): number {
    return Math.max(0, this.#read(name).untilMs - this.#clock.nowMs())
  }

  /** Counts a failure, unless a ban has begun since that attempt did. @returns the length of the ban that begins with it in milliseconds, or 0 */
  noteFailure(name: string): number {
    if (this.leftMs(name) > 0) return 0
    const failures = this.#read(name).failures + 1
    const banMs = failures < BAN_AFTER ? 0 : Math.min(BAN_MOST_MS, BAN_FIRST_MS * 2 ** (failures - BAN_AFTER))
    this.#write(name, { failures, untilMs: this.#clock.nowMs() + banMs })
    return banMs
  }

  ban(name: string, banMs: number): void {
    this.#write(name, { failures: this.#read(name).failures, untilMs: this.#clock.nowMs() + banMs })
  }

  forgive(name: string): void {
    this.#entries.delete(name)
  }

  #read(name: string): Entry {
    const entry = this.#entries.get(name)
    if (entry !== undefined && this.#clock.nowMs() - entry.untilMs < FORGET_MS) return entry
    return { failures: 0, untilMs: 0 }
  }

  /** The map is kept in the order of the last failure. */
  #write(name: string, entry: Entry): void {
    this.#entries.delete(name)
    this.#entries.set(name, entry)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= MAX_REMEMBERED) return
      this.#entries.delete(oldest)
    }
  }
}
