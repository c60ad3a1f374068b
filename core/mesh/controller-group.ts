import { type Clock, type Logger, type Random, ServeError, type Stop } from '../base/index.ts'
import type { StateEdit, StateStore } from '../controller/index.ts'
import { sameData } from '../model/index.ts'
import {
  compareEpochs,
  covers,
  coversAll,
  type Epoch,
  joinVectors,
  type MapConflict,
  type MapDelta,
  type MapEntry,
  nextEntry,
  type Version,
  VersionedMap,
  type VersionVector,
} from './versioned-map.ts'

/** How often controllers tell each other where they stand, in milliseconds. */
export const GROUP_BEAT_MS = 1_000
/** How long the acting controller may be unseen before a standby takes over, in milliseconds of the standby's monotonic clock. */
export const GROUP_LEASE_MS = 5_000
/** Longest extra wait of a standby, drawn anew each time, so that two of them seldom take over at once. */
const TAKE_OVER_SPREAD_MS = 1_000
/** Conflicts kept for `status`; older ones go. */
const MAX_CONFLICTS = 100
/** Controllers that may be connected at once; `ARCHITECTURE.md` plans for up to five. */
const MAX_OTHERS = 8
/** Edits that may wait for another controller's word. */
const MAX_WAITING = 1_000

const ENTRY = 'entry/'
const GROUP = 'group'

/** The epoch before the first. */
const NO_EPOCH: Epoch = Object.freeze({ term: 0, controllerId: '' })

/** What controllers say to each other. Plain data; any of it may be lost, doubled or late. */
export type GroupMessage =
  | {
      readonly kind: 'beat'
      /** Who acts, as far as the sender knows. */
      readonly leader: Epoch
      /** How long ago the sender has itself heard from that one, in milliseconds; 0 from itself while it acts, -1 for never. */
      readonly unseenMs: number
      /** What the sender has durably. */
      readonly vector: VersionVector
      readonly root: string
    }
  | { readonly kind: 'delta'; readonly delta: MapDelta }
  /** The sender has the same vector and another root. */
  | { readonly kind: 'digests'; readonly digests: readonly number[] }
  | { readonly kind: 'entries'; readonly entries: readonly MapEntry[] }
  | { readonly kind: 'conflict'; readonly conflict: MapConflict }

/** What a controller of a group may be. */
export type GroupRole = 'standby' | 'acting'

export type GroupEvent =
  /** Someone else acts, or this one does; one that acts already goes on under another epoch, with what it has. */
  | { readonly kind: 'role'; readonly role: GroupRole; readonly leader: Epoch }
  /** Keys that stand differently since a moment ago, by whomever they were edited. */
  | { readonly kind: 'change'; readonly keys: readonly string[] }
  | ({ readonly kind: 'conflict' } & MapConflict)

export interface ControllerGroupInit {
  readonly controllerId: string
  /** Where this controller keeps its copy. A store of a controller that was alone before is taken over as it is. */
  readonly store: StateStore
  /** True for the first controller of a mesh: it acts at once unless it remembers others. A standby acts only once it knew somebody who did. */
  readonly isFounder: boolean
  readonly onEvent: (event: GroupEvent) => void
}

/** A connection to another controller. */
export interface GroupSeat {
  /** Takes what that controller says. */
  receive(message: GroupMessage): void
  /** The connection is gone. Calling it again does nothing. */
  detach(): void
}

interface Other {
  /** One per connection that stands: what is said goes over all of them, as any may be broken already. */
  readonly sends: Set<(message: GroupMessage) => void>
  readonly send: (message: GroupMessage) => void
  /** Own beats since it was last heard: none are counted while this side is asleep, so waking up takes nobody for gone. */
  silentBeats: number
  /** What it has durably, as far as it said so. */
  vector: VersionVector
  /** The same and what was sent to it since. */
  assumed: VersionVector
}

interface WaitingEdit {
  readonly last: Version
  readonly resolve: () => void
  readonly reject: (error: ServeError) => void
}

/** What is kept beside the entries. */
interface KeptGroup {
  readonly leader: Epoch
  readonly vector: VersionVector
  readonly others: readonly string[]
}

/**
 * One of the controllers of a mesh. All hold the desired state, one acts: edits go to it. It acknowledges an edit when its own store has it and, where
 * another controller is connected, that one's too. A standby that has not seen the acting one for its lease takes over under a greater term; the
 * stale one stands by as soon as it hears of it. In a partition each side may have one; afterwards both sides' edits of different keys stand, and of
 * one key the greater version. It runs on messages and a monotonic clock alone.
 */
export class ControllerGroup {
  readonly #init: ControllerGroupInit
  readonly #clock: Clock
  readonly #random: Random
  readonly #log: Logger
  readonly #map = new VersionedMap()
  readonly #others = new Map<string, Other>()
  /** Every controller that was ever connected. */
  readonly #known = new Set<string>()
  readonly #waiting = new Set<WaitingEdit>()
  readonly #conflicts: MapConflict[] = []
  #role: GroupRole = 'standby'
  #leader: Epoch = NO_EPOCH
  #leaderSeenAtMs = 0
  /** When the leader itself was last heard, not through others; undefined for never. */
  #leaderHeardAtMs: number | undefined
  #patienceMs = GROUP_LEASE_MS
  #tickedAtMs = 0
  #sequence = 0
  /** While this one is about to act: above which epoch. */
  #risingAbove: Epoch | undefined
  /** For which this one has stopped to act, by word of somebody else. */
  #gaveWayTo: Epoch | undefined
  #hasResigned = false
  #isClosed = false
  #last: Promise<unknown> = Promise.resolve()
  #stopTick: Stop = () => {}

  constructor(init: ControllerGroupInit, clock: Clock, random: Random, log: Logger) {
    this.#init = init
    this.#clock = clock
    this.#random = random
    this.#log = log
  }

  get role(): GroupRole {
    return this.#role
  }

  /** Who acts, as far as is known here. Term 0: nobody yet. */
  get leader(): Epoch {
    return this.#leader
  }

  /** The state as it stands here; only the acting controller may count on it. */
  get map(): Pick<VersionedMap, 'get' | 'entries' | 'values' | 'vector' | 'root' | 'size'> {
    return this.#map
  }

  /** The latest conflicts that this controller has heard of, oldest first. */
  get conflicts(): readonly MapConflict[] {
    return [...this.#conflicts]
  }

  /** Reads the store and begins to beat. A founder that remembers no others acts when it resolves. `ERR_STORAGE`. */
  async open(): Promise<void> {
    await this.#load()
    this.#becomeStandby(this.#leader)
    if (this.#init.isFounder && this.#known.size === 0) await this.#takeOver()
    this.#tickedAtMs = this.#clock.nowMs()
    this.#tick()
  }

  /** Another controller is connected. Its id is proven and its role checked by who calls this. */
  attach(controllerId: string, send: (message: GroupMessage) => void): GroupSeat {
    if (this.#others.size >= MAX_OTHERS && !this.#others.has(controllerId)) {
      throw new ServeError('ERR_BACK_PRESSURE', `controller ${controllerId}: ${MAX_OTHERS} others are connected; run fewer controllers`)
    }
    const other = this.#others.get(controllerId) ?? newOther()
    other.sends.add(send)
    other.assumed = other.vector
    this.#others.set(controllerId, other)
    if (!this.#known.has(controllerId)) {
      this.#known.add(controllerId)
      void this.#queue(() => this.#persist([])).catch((error: unknown) => this.#report(error))
    }
    this.#beatTo(other)
    for (const conflict of this.#conflicts) send({ kind: 'conflict', conflict })
    return {
      receive: (message) => {
        if (other.sends.has(send) && !this.#isClosed) this.#receive(controllerId, other, message)
      },
      detach: () => {
        if (!other.sends.delete(send)) return
        other.assumed = other.vector
        if (other.sends.size === 0 && this.#others.get(controllerId) === other) this.#others.delete(controllerId)
        this.#settleWaiting()
      },
    }
  }

  /**
   * Edits keys, all or none, one batch after the other. `ERR_NO_CONTROLLER` on a standby, and with outcome `started-unknown` when another took over
   * before the edit was acknowledged: it may stand or have lost. `ERR_STORAGE`: nothing has changed. Resolves with the version of the last of them;
   * undefined when there was none.
   * @param known what the edits were made from, by key, and then by whom they were last made; another controller's edit of such a key that is not in it
   * is not overwritten: `ERR_NO_CONTROLLER`, not started. @default what stands
   */
  async edit(edits: readonly StateEdit[], known?: Map<string, Version>): Promise<Version | undefined> {
    if (edits.length === 0) return undefined
    const last = await this.#queue(() => this.#write(edits, known))
    if (last === undefined) return undefined
    this.#pushAll()
    await this.#whenElsewhere(last)
    return last
  }

  /**
   * The group as the store of the acting controller: what it loads is the state of the group, what it puts is an edit of it. It may load again, to take
   * in what others have edited since; until then it overwrites none of that. To put what stands already does nothing.
   */
  asStore(): StateStore {
    const known = new Map<string, Version>()
    return {
      load: async () => {
        for (const { key, version } of this.#map.entries()) known.set(key, version)
        return this.#map.values
      },
      put: async (edits) => void (await this.edit(edits, known)),
      close: () => this.close(),
    }
  }

  /** Somebody holds word of an epoch, such as a peer that refuses this controller's table. */
  noteLeader(epoch: Epoch): void {
    const least = this.#role === 'acting' ? (this.#risingAbove ?? this.#leader) : this.#leader
    if (compareEpochs(epoch, least) <= 0) return
    this.#gaveWayTo = this.#role === 'acting' ? epoch : undefined
    this.#becomeStandby(epoch)
  }

  /** Keeps the state and passes it on, and never acts again. */
  resign(): void {
    this.#hasResigned = true
  }

  /** Other controllers that are connected. */
  get connected(): number {
    return this.#others.size
  }

  /** Edits that wait fail with `ERR_CLIENT_CLOSED`; what is durable stays so. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#stopTick()
    this.#failWaiting(() => new ServeError('ERR_CLIENT_CLOSED', 'the controller is closed', { outcome: 'started-unknown' }))
    await this.#last
    await this.#init.store.close()
  }

  async #load(): Promise<void> {
    const { controllerId, store } = this.#init
    const entries: MapEntry[] = []
    let kept: KeptGroup | undefined
    let plain = 0
    for (const [key, value] of await store.load()) {
      if (key === GROUP) kept = value as KeptGroup
      else if (key.startsWith(ENTRY)) entries.push({ key: key.slice(ENTRY.length), ...(value as Omit<MapEntry, 'key'>) })
      // Kept by a controller that was alone.
      else entries.push(nextEntry(undefined, key, value, { term: 0, controllerId, sequence: ++plain }))
    }
    this.#map.merge(entries)
    this.#map.raise({ ...kept?.vector, ...(plain > 0 && { [`0:${controllerId}`]: plain }) })
    this.#leader = greatestEpoch(entries, kept?.leader ?? NO_EPOCH)
    for (const id of kept?.others ?? []) this.#known.add(id)
  }

  #tick(): void {
    if (this.#isClosed) return
    this.#stopTick = this.#clock.after(GROUP_BEAT_MS, () => this.#tick())
    for (const other of this.#others.values()) {
      other.silentBeats++
      this.#beatTo(other)
    }
    this.#settleWaiting()
    const nowMs = this.#clock.nowMs()
    // Who was asleep itself has missed what others said: it doubts itself first.
    const asleepMs = nowMs - this.#tickedAtMs - GROUP_BEAT_MS
    if (asleepMs > GROUP_BEAT_MS) this.#leaderSeenAtMs += asleepMs
    this.#tickedAtMs = nowMs
    if (this.#hasResigned || this.#role === 'acting' || this.#leader.term === 0 || nowMs - this.#leaderSeenAtMs < this.#patienceMs) return
    this.#takeOver().catch((error: unknown) => this.#report(error))
  }

  #beatTo(other: Other): void {
    const unseenMs =
      this.#role === 'acting' ? 0 : this.#leaderHeardAtMs === undefined ? -1 : Math.max(0, this.#clock.nowMs() - this.#leaderHeardAtMs)
    other.send({ kind: 'beat', leader: this.#leader, unseenMs, vector: this.#map.vector, root: this.#map.root })
  }

  #receive(from: string, other: Other, message: GroupMessage): void {
    other.silentBeats = 0
    switch (message.kind) {
      case 'beat':
        return this.#takeBeat(from, other, message)
      case 'delta':
        return this.#take(other, message.delta.entries, message.delta)
      case 'digests': {
        const entries = this.#map.entriesWhere(message.digests)
        if (entries.length > 0) other.send({ kind: 'entries', entries })
        return
      }
      case 'entries':
        return this.#take(other, message.entries)
      case 'conflict':
        return this.#noteConflict(message.conflict)
    }
  }

  #takeBeat(from: string, other: Other, beat: Extract<GroupMessage, { kind: 'beat' }>): void {
    const nowMs = this.#clock.nowMs()
    // Whoever was given a term and says that it stands by was started anew since, and begins a later one if any.
    if (from === beat.leader.controllerId && beat.unseenMs !== 0) this.#noteVacant(beat.leader)
    else this.noteLeader(beat.leader)
    const order = compareEpochs(beat.leader, this.#leader)
    if (order === 0 && this.#role === 'standby' && beat.unseenMs >= 0) {
      // Word of others counts once removed, never twice: it would outlive the leader.
      if (from === this.#leader.controllerId) this.#leaderHeardAtMs = nowMs
      this.#leaderSeenAtMs = Math.max(this.#leaderSeenAtMs, nowMs - beat.unseenMs)
    }
    // The stale one steps down at once, not at the next beat.
    if (order < 0) this.#beatTo(other)
    other.vector = beat.vector
    other.assumed = beat.vector
    this.#settleWaiting()
    if (this.#push(other)) return
    if (beat.root !== this.#map.root && coversAll(this.#map.vector, beat.vector)) {
      other.send({ kind: 'digests', digests: this.#map.digests })
    }
  }

  /** Nobody acts under that epoch, nor ever will. Who has acted until now goes on, above it: there is nobody to make way for. */
  #noteVacant(epoch: Epoch): void {
    const order = compareEpochs(epoch, this.#leader)
    const isNext = this.#role === 'acting' ? order > 0 : order === 0 && this.#gaveWayTo !== undefined
    if (!isNext || this.#hasResigned) return this.noteLeader(epoch)
    this.#takeOver(epoch).catch((error: unknown) => {
      this.#report(error)
      this.noteLeader(epoch)
    })
  }

  /** Takes entries in once they are durable; `delta` says what its receiver then knows as a whole. */
  #take(other: Other, entries: readonly MapEntry[], delta?: MapDelta): void {
    // Before anything of a later epoch is in the map: an edit under the own, lesser one would be lost without a word.
    this.noteLeader(greatestEpoch(entries, this.#leader))
    const work = this.#queue(async () => {
      const { taken } = this.#map.preview(entries)
      const isWhole = delta !== undefined && coversAll(this.#map.vector, delta.from)
      const vector = isWhole ? joinVectors(this.#map.vector, delta.to) : this.#map.vector
      const isNews = taken.length > 0 || (isWhole && !coversAll(this.#map.vector, delta.to))
      if (isNews) await this.#persist(taken, vector)
      this.#apply(entries, isWhole ? delta.to : undefined)
      return isNews
    })
    work
      .then((isNews) => {
        // Two that had nothing new to tell would answer each other without end.
        if (isNews && !this.#isClosed) this.#beatTo(other)
      })
      .catch((error: unknown) => this.#report(error))
  }

  async #write(given: readonly StateEdit[], known: Map<string, Version> | undefined): Promise<Version | undefined> {
    const { controllerId } = this.#init
    if (this.#role !== 'acting') throw notActing(this.#leader)
    if (this.#waiting.size >= MAX_WAITING) {
      throw new ServeError('ERR_BACK_PRESSURE', `${MAX_WAITING} edits wait for another controller; try again later`)
    }
    const edits = known === undefined ? given : given.filter((edit) => this.#isNews(edit, known))
    if (edits.length === 0) return undefined
    const { term } = this.#leader
    const entries = new Map<string, MapEntry>()
    let version: Version = { term, controllerId, sequence: this.#sequence }
    for (const { key, value } of edits) {
      version = { term, controllerId, sequence: ++this.#sequence }
      entries.set(key, nextEntry(entries.get(key) ?? this.#map.get(key), key, value, version))
    }
    const written = [...entries.values()]
    const vector = joinVectors(this.#map.vector, { [`${term}:${controllerId}`]: version.sequence })
    await this.#persist(written, vector)
    this.#apply(written, vector)
    for (const entry of written) known?.set(entry.key, entry.version)
    return version
  }

  /** Whether an edit changes anything. Throws when it would overwrite what its author has not seen. */
  #isNews({ key, value }: StateEdit, known: ReadonlyMap<string, Version>): boolean {
    const stands = this.#map.get(key)
    if (sameData(stands?.value, value)) return false
    const seen = known.get(key)
    if (stands === undefined || (seen !== undefined && isSame(seen, stands.version))) return true
    const { controllerId } = stands.version
    if (controllerId === this.#init.controllerId) return true
    throw new ServeError('ERR_NO_CONTROLLER', `${key} was edited at controller ${controllerId} too, which is being taken in; try again`, {
      outcome: 'not-started',
    })
  }

  #apply(entries: readonly MapEntry[], vector: VersionVector | undefined): void {
    const { taken, conflicts } = this.#map.merge(entries)
    if (vector !== undefined) this.#map.raise(vector, this.#leader)
    if (taken.length > 0) this.#emit({ kind: 'change', keys: taken.map(({ key }) => key) })
    for (const conflict of conflicts) this.#noteConflict(conflict)
  }

  #persist(entries: readonly MapEntry[], vector: VersionVector = this.#map.vector, leader: Epoch = this.#leader): Promise<void> {
    const kept: KeptGroup = { leader, vector, others: [...this.#known] }
    const puts = entries.map(({ key, ...entry }): StateEdit => ({ key: ENTRY + key, value: entry }))
    return this.#init.store.put([...puts, { key: GROUP, value: kept }])
  }

  /**
   * Acts under a term above that one, which is durable first: a term never comes twice, whatever happens to this process. One that acts already
   * does so until then, and takes nothing in of later epochs before.
   */
  async #takeOver(above: Epoch = this.#leader): Promise<void> {
    if (this.#risingAbove !== undefined) return
    const before = this.#leader
    const epoch: Epoch = Object.freeze({ term: above.term + 1, controllerId: this.#init.controllerId })
    this.#risingAbove = above
    try {
      // All in one turn of the queue: no other put may bring the old leader back into the store in between.
      await this.#queue(async () => {
        await this.#persist([], this.#map.vector, epoch)
        // Meanwhile somebody may have been heard of.
        if (this.#isClosed || compareEpochs(this.#leader, before) !== 0) return
        this.#failWaiting(() => notActing(epoch, 'started-unknown'))
        this.#leader = epoch
        this.#sequence = 0
        this.#role = 'acting'
      })
    } finally {
      this.#risingAbove = undefined
    }
    if (this.#leader !== epoch) return
    this.#log.info({ controller: epoch.controllerId, term: epoch.term }, 'controller.acts')
    this.#emit({ kind: 'role', role: 'acting', leader: epoch })
    for (const other of this.#others.values()) this.#beatTo(other)
  }

  #becomeStandby(leader: Epoch): void {
    const wasActing = this.#role === 'acting'
    this.#role = 'standby'
    this.#leader = leader
    this.#leaderSeenAtMs = this.#clock.nowMs()
    this.#leaderHeardAtMs = undefined
    this.#patienceMs = GROUP_LEASE_MS + this.#random() * TAKE_OVER_SPREAD_MS
    if (wasActing) this.#log.warn({ controller: leader.controllerId, term: leader.term }, 'controller.steps-down')
    this.#emit({ kind: 'role', role: 'standby', leader })
    this.#failWaiting(() => notActing(leader, 'started-unknown'))
  }

  #pushAll(): void {
    for (const other of this.#others.values()) this.#push(other)
  }

  /** @returns false when that one lacks nothing */
  #push(other: Other): boolean {
    const delta = this.#map.deltaSince(other.assumed)
    if (delta === undefined) return false
    other.assumed = joinVectors(other.assumed, delta.to)
    other.send({ kind: 'delta', delta })
    return true
  }

  /** Resolves when another controller has it too, or none is connected. */
  async #whenElsewhere(last: Version): Promise<void> {
    if (this.#isClosed || compareEpochs(last, this.#leader) !== 0) throw notActing(this.#leader, 'started-unknown')
    await new Promise<void>((resolve, reject) => {
      this.#waiting.add({ last, resolve, reject })
      this.#settleWaiting()
    })
  }

  #settleWaiting(): void {
    if (this.#waiting.size === 0) return
    const connected = [...this.#others.values()].filter(({ silentBeats }) => silentBeats * GROUP_BEAT_MS <= GROUP_LEASE_MS)
    for (const edit of this.#waiting) {
      if (connected.length > 0 && !connected.some(({ vector }) => covers(vector, edit.last))) continue
      this.#waiting.delete(edit)
      edit.resolve()
    }
  }

  #failWaiting(toError: () => ServeError): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const { reject } of waiting) reject(toError())
  }

  #noteConflict(conflict: MapConflict): void {
    if (this.#conflicts.some((known) => known.key === conflict.key && isSame(known.lost, conflict.lost))) return
    this.#conflicts.push(conflict)
    if (this.#conflicts.length > MAX_CONFLICTS) this.#conflicts.shift()
    this.#log.warn({ ...conflict }, 'edit.conflict')
    this.#emit({ kind: 'conflict', ...conflict })
    for (const { send } of this.#others.values()) send({ kind: 'conflict', conflict })
  }

  /** One after the other: what is decided on the map is in it before the next looks. */
  #queue<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(() => {
      if (this.#isClosed) throw new ServeError('ERR_CLIENT_CLOSED', 'the controller is closed', { outcome: 'not-started' })
      return work()
    })
    this.#last = run.catch(() => undefined)
    return run
  }

  #emit(event: GroupEvent): void {
    if (!this.#isClosed) this.#init.onEvent(event)
  }

  #report(error: unknown): void {
    if (!this.#isClosed) this.#log.error({ error: error instanceof Error ? error.message : String(error) }, 'controller.store-failed')
  }
}

/** Whether what a store holds was kept by a controller that knew others. */
export function knowsOthers(loaded: ReadonlyMap<string, unknown>): boolean {
  return ((loaded.get(GROUP) as KeptGroup | undefined)?.others.length ?? 0) > 0
}

function newOther(): Other {
  const sends: Other['sends'] = new Set()
  const send = (message: GroupMessage): void => {
    for (const one of sends) one(message)
  }
  return { sends, send, silentBeats: 0, vector: {}, assumed: {} }
}

function greatestEpoch(entries: readonly MapEntry[], least: Epoch): Epoch {
  let greatest = least
  for (const { version } of entries) if (compareEpochs(version, greatest) > 0) greatest = version
  return greatest === least ? least : Object.freeze({ term: greatest.term, controllerId: greatest.controllerId })
}

const isSame = (a: Version, b: Version): boolean => compareEpochs(a, b) === 0 && a.sequence === b.sequence

function notActing({ term, controllerId }: Epoch, outcome: 'not-started' | 'started-unknown' = 'not-started'): ServeError {
  const who = term === 0 ? 'no controller acts yet' : `controller ${controllerId} acts since term ${term}`
  return new ServeError('ERR_NO_CONTROLLER', `this controller stands by: ${who}; send the edit there`, { outcome })
}
