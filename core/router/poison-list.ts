import type { Clock } from '../base/index.ts'
import { hashPayload } from '../request/index.ts'
import type { Call } from '../service/index.ts'
import { weigh } from './weigh.ts'

/** Replicas that one payload may end within a window until it is refused. */
const BLAMES = 2
const WINDOW_MS = 60_000
/** How long it is refused. */
const REFUSAL_MS = 60_000
/** Most payloads that are remembered; beyond it the oldest is forgotten. */
const MAX_ENTRIES = 10_000

interface Suspect {
  blames: number
  /** When it is forgotten: the window after the first blame, or the end of the refusal. */
  untilMs: number
}

/**
 * Remembers the payloads that were alone in a replica when it died, and refuses those that did it again. A payload is known by a hash of 64 bits and
 * the method it was for; that is no cryptographic hash, and what is refused is refused for a minute only. While nothing is remembered no payload is
 * hashed, and afterwards only those of a size that is.
 */
export class PoisonList {
  readonly #clock: Clock
  /** By hash and method, in the order of their first blames. */
  readonly #suspects = new Map<string, Suspect>()
  /** Sizes of payloads to look at, and until when. */
  readonly #sizes = new Map<number, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** False until something was blamed: there is nothing to ask. */
  get isActive(): boolean {
    return this.#sizes.size > 0
  }

  /** A replica died and this was the only call started in it. A call without a payload, or whose payload has no hash, is not held to account. */
  blame(call: Call): void {
    // Of a payload that did not wait nobody has asked the size yet.
    weigh(call)
    if (call.sizeBytes === 0 && call.data === undefined) return
    const nowMs = this.#clock.nowMs()
    this.#forget(nowMs)
    // Of a payload that was moved into the replica only the size is left: the next one of that size is hashed before it leaves.
    this.#sizes.set(call.sizeBytes, nowMs + WINDOW_MS + REFUSAL_MS)
    const key = call.payloadKey ?? keyOf(call)
    if (key !== undefined) this.#count(key, nowMs)
    trim(this.#sizes)
    trim(this.#suspects)
  }

  /** How long the call is refused still, in milliseconds; 0 when it is not. Only to be asked while `isActive`. */
  refusedForMs(call: Call): number {
    const sizeUntilMs = this.#sizes.get(call.sizeBytes)
    if (sizeUntilMs === undefined) return 0
    const nowMs = this.#clock.nowMs()
    if (sizeUntilMs <= nowMs) {
      this.#forget(nowMs)
      return 0
    }
    call.payloadKey = keyOf(call)
    const suspect = call.payloadKey === undefined ? undefined : this.#suspects.get(call.payloadKey)
    return suspect === undefined || suspect.blames < BLAMES ? 0 : Math.max(0, suspect.untilMs - nowMs)
  }

  #count(key: string, nowMs: number): void {
    const suspect = this.#suspects.get(key)
    if (suspect === undefined) this.#suspects.set(key, { blames: 1, untilMs: nowMs + WINDOW_MS })
    else if (++suspect.blames >= BLAMES) suspect.untilMs = nowMs + REFUSAL_MS
  }

  #forget(nowMs: number): void {
    for (const [key, { untilMs }] of this.#suspects) if (untilMs <= nowMs) this.#suspects.delete(key)
    for (const [size, untilMs] of this.#sizes) if (untilMs <= nowMs) this.#sizes.delete(size)
  }
}

function trim(table: Map<unknown, unknown>): void {
  if (table.size <= MAX_ENTRIES) return
  const [oldest] = table.keys()
  table.delete(oldest)
}

function keyOf({ method, data, upload }: Call): string | undefined {
  const hash = upload === undefined ? hashPayload(data) : undefined
  return hash === undefined ? undefined : `${hash} ${method}`
}
