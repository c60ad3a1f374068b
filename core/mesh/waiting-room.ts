import type { Clock } from '../base/index.ts'

/** Connections that may wait to be let in at once. */
export const DEFAULT_MAX_ADMISSIONS = 50
/** The part of the places that one address may hold when there are no others. */
const SHARE_OF_ONE = 0.25
/** How long one may say nothing before it gives way to others, in milliseconds, unless its address holds more than its share. */
export const LEAST_SILENCE_MS = 1_000

/** For metrics. */
export interface WaitingCounts {
  readonly waiting: number
  /** Silent ones that had to make room for others. */
  readonly displaced: number
}

/** A place in the room; whoever has it leaves it once. */
export interface WaitingPlace {
  /** It has said something: it gives way to nobody any more. */
  speak(): void
  leave(): void
}

interface Place {
  readonly host: string | undefined
  readonly sinceMs: number
  readonly giveWay: () => void
  isSilent: boolean
}

/**
 * Places for connections that are not let in yet. While there are free ones each comer has one. When there is none, a silent one gives way: of the address
 * with the most silent ones if these are more than its share, else the longest silent of all if it had its time. So who says nothing keeps nobody out.
 */
export class WaitingRoom {
  readonly #most: number
  readonly #clock: Clock
  /** The longest waiting first. */
  readonly #places = new Set<Place>()
  #displaced = 0

  constructor(most: number, clock: Clock) {
    this.#most = most
    this.#clock = clock
  }

  get counts(): WaitingCounts {
    return { waiting: this.#places.size, displaced: this.#displaced }
  }

  /**
   * @param host whose address it is; those without one count as one
   * @param giveWay ends it, because another takes its place; it has left then
   * @returns undefined when nobody gives way
   */
  enter(host: string | undefined, giveWay: () => void): WaitingPlace | undefined {
    if (this.#places.size >= this.#most && !this.#makeRoom()) return undefined
    const place: Place = { host, sinceMs: this.#clock.nowMs(), giveWay, isSilent: true }
    this.#places.add(place)
    return {
      speak: () => {
        place.isSilent = false
      },
      leave: () => void this.#places.delete(place),
    }
  }

  #makeRoom(): boolean {
    const silent = [...this.#places].filter(({ isSilent }) => isSilent)
    const byHost = new Map<string | undefined, Place[]>()
    for (const place of silent) byHost.set(place.host, [...(byHost.get(place.host) ?? []), place])
    const [largest = []] = [...byHost.values()].sort((a, b) => b.length - a.length)
    const isTooMany = largest.length > Math.max(1, Math.floor(this.#most * SHARE_OF_ONE))
    const place = isTooMany ? largest[0] : silent[0]
    if (place === undefined || !(isTooMany || this.#clock.nowMs() - place.sinceMs >= LEAST_SILENCE_MS)) return false
    this.#places.delete(place)
    this.#displaced++
    place.giveWay()
    return true
  }
}
