/** A peer as others need to know it. Plain data. */
export interface PeerEntry {
  readonly id: string
  readonly name: string
  readonly addresses: readonly string[]
  /** Ready replicas by backend. */
  readonly ready: Readonly<Record<string, number>>
  /** It passes on what goes between two others. */
  readonly relays?: boolean
}

/** What makes the list of version `from` the one of version `to`; from 0 it is the whole list. Plain data. */
export interface PeersDelta {
  readonly from: number
  readonly to: number
  readonly changed: readonly PeerEntry[]
  readonly gone: readonly string[]
}

/** Peers that have gone and are remembered; who has not heard of an older one gets the whole list. */
const MAX_GONE = 1_000

/** Who is there and has what, by versions: who has one of them needs only what has changed since. */
export class PeerList {
  /** Entries, each with the version at which it became what it is. */
  readonly #entries = new Map<string, { readonly entry: PeerEntry; readonly at: number }>()
  /** Versions at which peers went, the oldest first. */
  readonly #gone = new Map<string, number>()
  #version = 0
  /** Deltas from versions before this one are not known any more. */
  #oldest = 0

  /** Takes the list as it is now; one that is equal changes no version. */
  update(entries: readonly PeerEntry[]): void {
    const next = this.#version + 1
    const ids = new Set<string>()
    for (const entry of entries) {
      ids.add(entry.id)
      const known = this.#entries.get(entry.id)?.entry
      if (known !== undefined && isSame(known, entry)) continue
      this.#entries.set(entry.id, { entry, at: next })
      this.#gone.delete(entry.id)
      this.#version = next
    }
    for (const id of [...this.#entries.keys()]) {
      if (ids.has(id)) continue
      this.#entries.delete(id)
      this.#gone.set(id, next)
      this.#version = next
    }
    for (const [id, at] of this.#gone) {
      if (this.#gone.size <= MAX_GONE) break
      this.#gone.delete(id)
      this.#oldest = at
    }
  }

  /**
   * What somebody lacks that has the list of version `from`, 0 for none; undefined when it lacks nothing.
   * @param exceptId who it is: nobody needs to hear of itself
   */
  since(from: number, exceptId: string): PeersDelta | undefined {
    const base = from < this.#oldest ? 0 : from
    const changed: PeerEntry[] = []
    for (const { entry, at } of this.#entries.values()) if (at > base && entry.id !== exceptId) changed.push(entry)
    const gone = base === 0 ? [] : [...this.#gone].filter(([id, at]) => at > base && id !== exceptId).map(([id]) => id)
    if (from > 0 && base > 0 && changed.length === 0 && gone.length === 0) return undefined
    return { from: base, to: this.#version, changed, gone }
  }
}

/** The list after a delta; undefined when it does not fit to this one, which then needs one from 0. */
export function applyPeers(
  { version, entries }: { readonly version: number; readonly entries: readonly PeerEntry[] },
  { from, to, changed, gone }: PeersDelta,
): { readonly version: number; readonly entries: readonly PeerEntry[] } | undefined {
  if (from === 0) return { version: to, entries: changed }
  if (from !== version) return undefined
  const byId = new Map(entries.map((entry) => [entry.id, entry]))
  for (const id of gone) byId.delete(id)
  for (const entry of changed) byId.set(entry.id, entry)
  return { version: to, entries: [...byId.values()] }
}

function isSame(a: PeerEntry, b: PeerEntry): boolean {
  if (a === b) return true
  if (a.name !== b.name || a.relays !== b.relays || a.addresses.join() !== b.addresses.join()) return false
  const tags = Object.keys(a.ready)
  return tags.length === Object.keys(b.ready).length && tags.every((tag) => a.ready[tag] === b.ready[tag])
}
