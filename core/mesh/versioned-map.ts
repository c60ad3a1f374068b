/** When and by whom an edit was made. No clock is in it: `term` grows with every change of the acting controller, `sequence` with every edit of a term. */
export interface Version {
  readonly term: number
  readonly controllerId: string
  readonly sequence: number
}

/** A term of one controller. No two controllers share one, and none comes twice. */
export type Epoch = Pick<Version, 'term' | 'controllerId'>

/** By epoch: the greatest sequence of which, and below which, everything is known. Plain data. */
export type VersionVector = Readonly<Record<string, number>>

/** One key as it stands. Plain data. */
export interface MapEntry {
  readonly key: string
  readonly version: Version
  /** What its author knew of the key's past: versions in here are history, others that lose to it are conflicts. */
  readonly seen: VersionVector
  /** Missing: the key was deleted. The entry stays, so that the deletion is not forgotten by who comes back late. */
  readonly value?: unknown
}

/** Two edits of one key, neither of which knew of the other. The greater version stands. Plain data. */
export interface MapConflict {
  readonly key: string
  readonly kept: Version
  readonly lost: Version
}

/** What makes a map that knows all of `from` one that knows all of `to`. Plain data. */
export interface MapDelta {
  readonly from: VersionVector
  readonly to: VersionVector
  readonly entries: readonly MapEntry[]
}

/** What a merge did. */
export interface MergeResult {
  /** Entries that now stand and did not before. */
  readonly taken: readonly MapEntry[]
  readonly conflicts: readonly MapConflict[]
}

/** Ranges of keys, by hash, that are compared on their own. */
export const DIGEST_RANGES = 64
/** Deletions remembered; beyond it the least versions go. A controller that was away for longer could bring such a key back. */
const MAX_TOMBSTONES = 10_000
/** Epochs remembered in the past of one key; what is older than all of them counts as known. */
const MAX_SEEN = 16

/** Less than 0 when `a` is the lesser: by term, then controller, then sequence. */
export function compareVersions(a: Version, b: Version): number {
  return compareEpochs(a, b) || a.sequence - b.sequence
}

/** Less than 0 when `a` is the lesser: by term, then controller. */
export function compareEpochs(a: Epoch, b: Epoch): number {
  if (a.term !== b.term) return a.term - b.term
  if (a.controllerId === b.controllerId) return 0
  return a.controllerId < b.controllerId ? -1 : 1
}

/** Whether something from the wire is an epoch. */
export function isEpoch(value: unknown): value is Epoch {
  if (typeof value !== 'object' || value === null) return false
  const { term, controllerId } = value as Partial<Epoch>
  return Number.isSafeInteger(term) && (term as number) >= 0 && typeof controllerId === 'string'
}

/** The name of an epoch in vectors. */
export const epochKey = ({ term, controllerId }: Epoch): string => `${term}:${controllerId}`

/** Whether a vector knows a version. */
export function covers(vector: VersionVector, version: Version): boolean {
  return (vector[epochKey(version)] ?? 0) >= version.sequence
}

/** Whether `vector` knows all that `other` knows. */
export function coversAll(vector: VersionVector, other: VersionVector): boolean {
  return Object.entries(other).every(([epoch, sequence]) => (vector[epoch] ?? 0) >= sequence)
}

/** The greater of two vectors, epoch by epoch. */
export function joinVectors(a: VersionVector, b: VersionVector): VersionVector {
  const joined: Record<string, number> = { ...a }
  for (const [epoch, sequence] of Object.entries(b)) joined[epoch] = Math.max(joined[epoch] ?? 0, sequence)
  return joined
}

/** The entry that an edit makes of what stands under its key. */
export function nextEntry(before: MapEntry | undefined, key: string, value: unknown, version: Version): MapEntry {
  const seen = before === undefined ? {} : knownBy(before)
  return value === undefined ? { key, version, seen } : { key, version, seen, value }
}

/**
 * The desired state as every controller holds it: under each key the entry of the greatest version. Merging is commutative, associative and idempotent,
 * so copies that have seen the same edits are equal, in whatever order they came. A last-writer-wins map whose order is the version, with the past of
 * each key beside it to tell a conflict from history.
 */
export class VersionedMap {
  readonly #entries = new Map<string, MapEntry>()
  /** Entries that stand, by epoch. */
  readonly #counts = new Map<string, number>()
  readonly #digests: number[] = new Array<number>(DIGEST_RANGES * 2).fill(0)
  #tombstones = 0
  #vector: VersionVector = {}

  get vector(): VersionVector {
    return this.#vector
  }

  /** Entries, deletions among them. */
  get size(): number {
    return this.#entries.size
  }

  get(key: string): MapEntry | undefined {
    return this.#entries.get(key)
  }

  entries(): IterableIterator<MapEntry> {
    return this.#entries.values()
  }

  /** Keys that are not deleted, with their values. */
  get values(): ReadonlyMap<string, unknown> {
    return new Map([...this.#entries.values()].filter(isPresent).map(({ key, value }) => [key, value]))
  }

  /** Equal in maps with equal entries, and in others with a chance of 2^-64. */
  get root(): string {
    let high = 0
    let low = 0
    for (let range = 0; range < DIGEST_RANGES; range++) {
      high = mix(high ^ (this.#digests[range * 2] ?? 0), range)
      low = mix(low ^ (this.#digests[range * 2 + 1] ?? 0), range + 1)
    }
    return `${(high >>> 0).toString(16)}.${(low >>> 0).toString(16)}`
  }

  /** Two words per range of keys; ranges with equal words hold equal entries. */
  get digests(): readonly number[] {
    return [...this.#digests]
  }

  /** The entries of the ranges in which other digests differ from these. */
  entriesWhere(others: readonly number[]): readonly MapEntry[] {
    const differs = (range: number): boolean =>
      this.#digests[range * 2] !== others[range * 2] || this.#digests[range * 2 + 1] !== others[range * 2 + 1]
    return [...this.#entries.values()].filter(({ key }) => differs(rangeOf(key)))
  }

  /** What somebody with that vector lacks; undefined when it is nothing. */
  deltaSince(from: VersionVector): MapDelta | undefined {
    const entries = [...this.#entries.values()].filter(({ version }) => !covers(from, version))
    return entries.length === 0 ? undefined : { from, to: this.#vector, entries }
  }

  /** What a merge would do. */
  preview(entries: readonly MapEntry[]): MergeResult {
    const taken = new Map<string, MapEntry>()
    const conflicts: MapConflict[] = []
    for (const entry of entries) {
      const before = taken.get(entry.key) ?? this.#entries.get(entry.key)
      const order = before === undefined ? 1 : compareVersions(entry.version, before.version)
      if (order > 0) taken.set(entry.key, entry)
      if (before === undefined || order === 0) continue
      const [winner, loser] = order > 0 ? [entry, before] : [before, entry]
      if (!knows(winner, loser.version)) conflicts.push({ key: entry.key, kept: winner.version, lost: loser.version })
    }
    return { taken: [...taken.values()], conflicts }
  }

  /** Takes entries in, in any order and any number of times. The vector stays: only who knows that nothing is missing raises it. */
  merge(entries: readonly MapEntry[]): MergeResult {
    const result = this.preview(entries)
    for (const entry of result.taken) this.#set(entry)
    if (this.#tombstones > MAX_TOMBSTONES) this.#forgetOldest()
    return result
  }

  /** All that another vector knows is here. Epochs of which nothing stands any more are dropped, but for the one `kept`. */
  raise(vector: VersionVector, kept?: Epoch): void {
    const keptKey = kept === undefined ? undefined : epochKey(kept)
    const all = Object.entries(joinVectors(this.#vector, vector))
    this.#vector = Object.freeze(Object.fromEntries(all.filter(([epoch]) => epoch === keptKey || this.#counts.has(epoch))))
  }

  #set(entry: MapEntry): void {
    const before = this.#entries.get(entry.key)
    if (before !== undefined) this.#drop(before)
    this.#entries.set(entry.key, Object.freeze(entry))
    const epoch = epochKey(entry.version)
    this.#counts.set(epoch, (this.#counts.get(epoch) ?? 0) + 1)
    if (!isPresent(entry)) this.#tombstones++
    this.#fold(entry)
  }

  #drop(entry: MapEntry): void {
    this.#entries.delete(entry.key)
    const epoch = epochKey(entry.version)
    const left = (this.#counts.get(epoch) ?? 0) - 1
    if (left > 0) this.#counts.set(epoch, left)
    else this.#counts.delete(epoch)
    if (!isPresent(entry)) this.#tombstones--
    this.#fold(entry)
  }

  /** Exclusive or: what is folded in once more is out again. */
  #fold({ key, version }: MapEntry): void {
    const range = rangeOf(key)
    const text = `${key}\n${version.term}\n${version.controllerId}\n${version.sequence}`
    this.#digests[range * 2] = ((this.#digests[range * 2] ?? 0) ^ hash(text, 0x9e3779b1)) >>> 0
    this.#digests[range * 2 + 1] = ((this.#digests[range * 2 + 1] ?? 0) ^ hash(text, 0x85ebca77)) >>> 0
  }

  #forgetOldest(): void {
    const gone = [...this.#entries.values()].filter((entry) => !isPresent(entry))
    gone.sort((a, b) => compareVersions(a.version, b.version))
    for (const entry of gone.slice(0, gone.length - MAX_TOMBSTONES)) this.#drop(entry)
  }
}

const isPresent = ({ value }: MapEntry): boolean => value !== undefined

/** Whether the author of an entry knew of a version: by itself, or because it is of the same epoch and earlier. */
function knows({ version, seen }: MapEntry, other: Version): boolean {
  if (compareEpochs(version, other) === 0) return version.sequence >= other.sequence
  if (covers(seen, other)) return true
  const terms = Object.keys(seen).map(termOf)
  return terms.length >= MAX_SEEN && other.term < Math.min(...terms)
}

/** The past of the entry that comes after this one. */
function knownBy({ seen, version }: MapEntry): VersionVector {
  const all = Object.entries(joinVectors(seen, { [epochKey(version)]: version.sequence }))
  if (all.length <= MAX_SEEN) return Object.fromEntries(all)
  return Object.fromEntries(all.sort(([a], [b]) => termOf(b) - termOf(a) || (a < b ? -1 : 1)).slice(0, MAX_SEEN))
}

const termOf = (epoch: string): number => Number.parseInt(epoch, 10)

const rangeOf = (key: string): number => hash(key, 0x27d4eb2f) % DIGEST_RANGES

/** 32 bits of a text; two seeds give two independent words. The mixing steps are those of MurmurHash3 (Austin Appleby, public domain). */
function hash(text: string, seed: number): number {
  let state = seed | 0
  for (let i = 0; i < text.length; i++) {
    state = Math.imul(state ^ text.charCodeAt(i), 0xcc9e2d51)
    state = (state << 13) | (state >>> 19)
  }
  return mix(state, text.length) >>> 0
}

function mix(word: number, salt: number): number {
  let mixed = word ^ Math.imul(salt + 1, 0x9e3779b1)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
