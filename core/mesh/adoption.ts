import { type Clock, type Logger, ServeError, type Stop, sleep } from '../base/index.ts'
import { type HostedReplica, type ReplicaSpec, raceAbort } from '../replica/index.ts'

/**
 * How long no peer may have come, in milliseconds, until a controller that comes back starts anew what its peers may have had; and how long it waits at
 * most. Many peers spread their return.
 */
const GATHER_MS = 2_000
const GATHER_MOST_MS = 30_000
/** How long starts have to take an orphan before another replica is moved for it, in milliseconds. */
const CLAIM_MS = 50
/** Replicas that one peer may bring. */
const MAX_ORPHANS = 1_000
/** Peers that went, of which is remembered when. */
const MAX_GONE = 1_000
/** Longest id, tag and mark that is taken, in characters. */
const MAX_CHARS = 1_024

/** A replica that a peer runs from before: under a controller that is gone, or while this one could not see the peer. */
export interface Orphan {
  readonly peerId: string
  readonly replicaId: string
  readonly backend: string
  /** Tells what it runs; see `markText`. */
  readonly mark: string
}

/** What a peer says of the replicas that it runs. Plain data. */
export type ReplicaReport = Omit<Orphan, 'peerId'>

export interface AdoptionSeams {
  /** Undefined for what can only be started here. */
  readonly markOf: (spec: ReplicaSpec, isolation: string) => Promise<string | undefined>
  /** Places the replica where the orphan runs. False: it does not fit there. */
  readonly moveTo: (replicaId: string, peerId: string) => boolean
  /** Places the replica anew, now that more is known. Throws when it fits nowhere. */
  readonly placeAnew: (replicaId: string) => void
  readonly adopt: (orphan: Orphan, isolation: string, spec: ReplicaSpec, signal: AbortSignal) => Promise<HostedReplica>
  /** Nobody wants it. */
  readonly stop: (orphan: Orphan) => void
  /** Starts another replica in the place of this one, which is somewhere still. */
  readonly move: (backend: string, replicaId: string) => Promise<void>
  /** How long an orphan of the backend may wait to be wanted, in milliseconds. */
  readonly patienceMs: (backend: string) => number
}

/** A start that would rather adopt. */
interface Wanted {
  readonly mark: string
  /** There is an orphan of the mark. */
  readonly wake: () => void
}

interface Started {
  readonly backend: string
  readonly mark: string
  readonly order: number
}

/**
 * Gives replicas that peers run from before to starts that would make the same, so that neither a restart of the controller nor a lost connection
 * restarts what is well. One that no start wants for a while is stopped.
 */
export class Adoption {
  readonly #seams: AdoptionSeams
  readonly #clock: Clock
  readonly #log: Logger
  readonly #orphans = new Map<string, Map<string, Orphan>>()
  readonly #wanted = new Set<Wanted>()
  /** Replicas that this controller has started itself, in that order. */
  readonly #started = new Map<string, Started>()
  /** How many had been started when a peer went. */
  readonly #goneAt = new Map<string, number>()
  readonly #timers = new Map<string, Stop>()
  #order = 0
  #reclaiming: Promise<void> = Promise.resolve()
  #gathering: { readonly whenOver: Promise<void>; readonly goOn: () => void; readonly end: () => void } | undefined

  constructor(seams: AdoptionSeams, clock: Clock, log: Logger) {
    this.#seams = seams
    this.#clock = clock
    this.#log = log
  }

  get isGathering(): boolean {
    return this.#gathering !== undefined
  }

  /** Peers are expected back: for a while nothing is started that they may bring. */
  gather(): Promise<void> {
    if (this.#gathering !== undefined) return this.#gathering.whenOver
    const lastMs = this.#clock.nowMs() + GATHER_MOST_MS
    let stop: Stop = () => {}
    let over = (): void => {}
    const whenOver = new Promise<void>((resolve) => {
      over = resolve
    })
    const end = (): void => {
      stop()
      this.#gathering = undefined
      over()
    }
    const goOn = (): void => {
      stop()
      stop = this.#clock.after(Math.max(0, Math.min(GATHER_MS, lastMs - this.#clock.nowMs())), end)
    }
    this.#gathering = { whenOver, goOn, end }
    goOn()
    return whenOver
  }

  /** Adopts what matches, or has it started by `fresh`; what is offered before that is ready is still taken instead. */
  async start(
    isolation: string,
    spec: ReplicaSpec,
    signal: AbortSignal,
    fresh: (signal: AbortSignal) => Promise<HostedReplica>,
  ): Promise<HostedReplica> {
    const mark = await this.#seams.markOf(spec, isolation)
    if (mark === undefined) return fresh(signal)
    let isPlaced = true
    for (;;) {
      const orphan = this.#claim(mark, spec.replicaId)
      if (orphan !== undefined) {
        const hosted = await this.#tryAdopt(orphan, isolation, spec, signal)
        if (hosted !== undefined) return hosted
      } else if (this.#gathering !== undefined) {
        const offer = this.#nextOffer(mark)
        await raceAbort(Promise.race([offer.promise, this.#gathering.whenOver]), signal).finally(offer.cancel)
      } else break
      isPlaced = false
    }
    if (!isPlaced) this.#seams.placeAnew(spec.replicaId)
    return this.#freshOrOffered(mark, isolation, spec, signal, fresh)
  }

  /** What a peer runs when it enters. Resolves when that has found its place, or has none. */
  offer(peerId: string, reports: unknown): Promise<void> {
    this.#gathering?.goOn()
    for (const report of Array.isArray(reports) ? reports.slice(0, MAX_ORPHANS) : []) {
      if (isReport(report)) this.#put({ peerId, replicaId: report.replicaId, backend: report.backend, mark: report.mark })
    }
    const since = this.#goneAt.get(peerId) ?? 0
    this.#goneAt.delete(peerId)
    // One after the other: of two replicas of a backend that make room at once, the wrong one could go.
    this.#reclaiming = this.#reclaiming.then(() => this.#reclaim(peerId, since)).catch(() => undefined)
    return this.#reclaiming
  }

  /** Orphans of a peer, by backend. */
  countOn(peerId: string): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {}
    for (const { backend } of this.#orphans.get(peerId)?.values() ?? []) counts[backend] = (counts[backend] ?? 0) + 1
    return counts
  }

  /** An orphan has ended. */
  forget(peerId: string, replicaId: string): void {
    this.#orphans.get(peerId)?.delete(replicaId)
  }

  peerGone(peerId: string): void {
    this.#orphans.delete(peerId)
    this.#timers.get(peerId)?.()
    this.#timers.delete(peerId)
    this.#goneAt.delete(peerId)
    this.#goneAt.set(peerId, this.#order)
    const [oldest] = this.#goneAt.keys()
    if (this.#goneAt.size > MAX_GONE && oldest !== undefined) this.#goneAt.delete(oldest)
  }

  close(): void {
    for (const stop of this.#timers.values()) stop()
    this.#timers.clear()
    this.#orphans.clear()
    this.#gathering?.end()
  }

  get #count(): number {
    let count = 0
    for (const here of this.#orphans.values()) count += here.size
    return count
  }

  #put(orphan: Orphan): void {
    const here = this.#orphans.get(orphan.peerId) ?? new Map<string, Orphan>()
    this.#orphans.set(orphan.peerId, here.set(orphan.replicaId, orphan))
    for (const { mark, wake } of [...this.#wanted]) if (mark === orphan.mark) wake()
  }

  /** Takes one that fits; the replica is placed where it runs. */
  #claim(mark: string, replicaId: string): Orphan | undefined {
    for (const [peerId, here] of this.#orphans) {
      for (const orphan of here.values()) {
        if (orphan.mark !== mark) continue
        if (!this.#seams.moveTo(replicaId, peerId)) break
        here.delete(orphan.replicaId)
        return orphan
      }
    }
    return undefined
  }

  #nextOffer(mark: string): { readonly promise: Promise<'offered'>; readonly cancel: () => void } {
    let cancel = (): void => {}
    const promise = new Promise<'offered'>((resolve) => {
      const wanted = { mark, wake: () => resolve('offered') }
      this.#wanted.add(wanted)
      cancel = () => void this.#wanted.delete(wanted)
    })
    return { promise, cancel: () => cancel() }
  }

  async #tryAdopt(orphan: Orphan, isolation: string, spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica | undefined> {
    const { peerId, replicaId, backend } = orphan
    try {
      const hosted = await this.#seams.adopt(orphan, isolation, spec, signal)
      this.#started.delete(spec.replicaId)
      this.#log.info({ backend, replica: spec.replicaId, before: replicaId, peer: peerId }, 'replica.adopted')
      return hosted
    } catch (error) {
      this.#seams.stop(orphan)
      signal.throwIfAborted()
      this.#log.warn({ backend, replica: replicaId, peer: peerId, reason: String(error) }, 'replica.not-adopted')
      return undefined
    }
  }

  async #freshOrOffered(
    mark: string,
    isolation: string,
    spec: ReplicaSpec,
    signal: AbortSignal,
    fresh: (signal: AbortSignal) => Promise<HostedReplica>,
  ): Promise<HostedReplica> {
    const attempt = new AbortController()
    const giveUp = (): void => attempt.abort(signal.reason)
    signal.addEventListener('abort', giveUp, { once: true })
    this.#started.set(spec.replicaId, { backend: spec.backend, mark, order: ++this.#order })
    const starting = fresh(attempt.signal)
    starting.catch(() => undefined)
    try {
      for (;;) {
        const offer = this.#nextOffer(mark)
        const first = await Promise.race([starting, offer.promise]).finally(offer.cancel)
        if (first !== 'offered') {
          void first.whenGone.then(() => this.#started.delete(spec.replicaId))
          return first
        }
        const orphan = this.#claim(mark, spec.replicaId)
        if (orphan === undefined) continue
        attempt.abort(new ServeError('ERR_CANCELLED', `replica ${spec.replicaId}: one that runs already takes its place`))
        const ended = starting.then(
          (hosted) => hosted.stop(),
          () => undefined,
        )
        // A peer that was starting it must have heard of its end before it adopts another under the same id.
        await Promise.race([ended, sleep(this.#clock, CLAIM_MS)])
        const hosted = await this.#tryAdopt(orphan, isolation, spec, signal)
        if (hosted !== undefined) return hosted
        break
      }
    } catch (error) {
      this.#started.delete(spec.replicaId)
      throw error
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
    this.#seams.placeAnew(spec.replicaId)
    return this.#freshOrOffered(mark, isolation, spec, signal, fresh)
  }

  /** What was started in the place of an orphan gives way to it: that one has warmed up, and a restart is to restart nothing. */
  async #reclaim(peerId: string, since: number): Promise<void> {
    await this.#gathering?.whenOver
    if (!this.#orphans.has(peerId)) return
    // Starts that wait come first.
    await sleep(this.#clock, CLAIM_MS)
    const until = this.#order
    const tried = new Set<string>()
    for (;;) {
      const marks = new Set([...(this.#orphans.get(peerId)?.values() ?? [])].map(({ mark }) => mark))
      const isCandidate = ([replicaId, { mark, order }]: [string, Started]): boolean =>
        order > since && order <= until && marks.has(mark) && !tried.has(replicaId)
      const next = [...this.#started].reverse().find(isCandidate)
      if (next === undefined) break
      const before = this.#count
      tried.add(next[0])
      await this.#seams.move(next[1].backend, next[0])
      // None of all fits any more: whatever else moved would move in vain.
      if (this.#count === before) break
    }
    this.#watch(peerId)
  }

  #watch(peerId: string): void {
    this.#timers.get(peerId)?.()
    this.#timers.delete(peerId)
    const here = this.#orphans.get(peerId)
    if (here === undefined || here.size === 0) return
    const patienceMs = Math.max(...[...here.values()].map(({ backend }) => this.#seams.patienceMs(backend)))
    this.#timers.set(
      peerId,
      this.#clock.after(patienceMs, () => {
        this.#timers.delete(peerId)
        const unwanted = [...(this.#orphans.get(peerId)?.values() ?? [])]
        this.#orphans.delete(peerId)
        for (const orphan of unwanted) this.#seams.stop(orphan)
      }),
    )
  }
}

function isReport(value: unknown): value is ReplicaReport {
  const { replicaId, backend, mark } = (value ?? {}) as Record<string, unknown>
  return [replicaId, backend, mark].every((text) => typeof text === 'string' && text.length <= MAX_CHARS)
}
