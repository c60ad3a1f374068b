import type { MapConflict, MapEntry, Version } from '../../core/mesh/index.ts'
import { compareEpochs, compareVersions, covers, type Epoch, epochKey } from '../../core/mesh/versioned-map.ts'
import type { RoutingTable } from '../../core/model/index.ts'

/** What a disk holds for certain. */
export interface DiskOf {
  readonly synced: ReadonlyMap<string, unknown>
}

/** A broken promise. */
export class Broken extends Error {}

/** The invariants of `RELIABILITY` that concern edits, tables and calls; told of everything, it throws at the first that does not hold. */
export class Checker {
  readonly #entries = new Map<string, string>()
  readonly #byVersion = new Map<string, MapEntry>()
  readonly #tables = new Map<string, string>()
  readonly #actedIn = new Map<string, string>()
  readonly #stamps = new Map<string, { readonly epoch: Epoch; readonly version: number }>()
  readonly #calls = new Map<number, { settled: number; answers: number }>()
  readonly #lost = new Map<string, MapConflict[]>()
  readonly acked: { readonly key: string; readonly version: Version }[] = []
  conflicts = 0
  settledCalls = 0
  answeredCalls = 0

  /** An entry is about to be kept somewhere: at one version there is one value. */
  entry(entry: MapEntry): void {
    const id = `${entry.key}@${nameOf(entry.version)}`
    const text = JSON.stringify(entry.value) ?? 'deleted'
    const known = this.#entries.get(id)
    if (known !== undefined && known !== text) throw this.#broken(`${id} is ${text} and ${known}`)
    this.#entries.set(id, text)
    this.#byVersion.set(id, entry)
  }

  /** A controller begins to act: an epoch belongs to one life of one controller. */
  acts(epoch: Epoch, life: string): void {
    const key = epochKey(epoch)
    if (this.#actedIn.has(key)) throw this.#broken(`epoch ${key} of ${life} was that of ${this.#actedIn.get(key)}`)
    this.#actedIn.set(key, life)
  }

  /** A peer holds a table: equal stamps, equal tables; and never an earlier one than before. */
  table(holder: string, epoch: Epoch, table: RoutingTable): void {
    const before = this.#stamps.get(holder)
    if (before !== undefined) {
      const order = compareEpochs(epoch, before.epoch)
      if (order < 0 || (order === 0 && table.version < before.version)) {
        throw this.#broken(`${holder} went back from ${epochKey(before.epoch)}/${before.version} to ${epochKey(epoch)}/${table.version}`)
      }
      if (order === 0 && table.version === before.version) return
    }
    this.#stamps.set(holder, { epoch, version: table.version })
    const stamp = `${epochKey(epoch)}/${table.version}`
    const text = textOf(table)
    const known = this.#tables.get(stamp)
    if (known !== undefined && known !== text) throw this.#broken(`two tables are stamped ${stamp}: ${text} at ${holder}, before ${known}`)
    this.#tables.set(stamp, text)
  }

  /** Holders that lost their memory may start anew. */
  forget(holder: string): void {
    this.#stamps.delete(holder)
  }

  conflict(conflict: MapConflict): void {
    this.conflicts++
    const list = this.#lost.get(conflict.key) ?? []
    list.push(conflict)
    this.#lost.set(conflict.key, list)
  }

  /**
   * An edit is acknowledged: it is on the disk of who acts, and where another controller is connected, on one more.
   * @param elsewhere disks of the others; undefined when none is connected
   */
  ack(key: string, version: Version, own: DiskOf, elsewhere: readonly DiskOf[] | undefined): void {
    this.acked.push({ key, version })
    const has = (disk: DiskOf): boolean => {
      const kept = disk.synced.get(`entry/${key}`) as MapEntry | undefined
      return kept !== undefined && compareVersions(kept.version, version) >= 0
    }
    if (!has(own)) throw this.#broken(`${key}@${nameOf(version)} was acknowledged and is not on the disk`)
    if (elsewhere !== undefined && !elsewhere.some(has))
      throw this.#broken(`${key}@${nameOf(version)} was acknowledged and is on one disk only`)
  }

  begin(call: number): void {
    this.#calls.set(call, { settled: 0, answers: 0 })
  }

  /** Each call has one outcome. */
  settle(call: number, isAnswer: boolean): void {
    const known = this.#calls.get(call)
    if (known === undefined) throw this.#broken(`call ${call} was never made`)
    if (++known.settled > 1) throw this.#broken(`call ${call} has a second outcome`)
    this.settledCalls++
    if (isAnswer) this.answeredCalls++
  }

  /** A caller that died takes its calls along. */
  drop(call: number): void {
    this.#calls.delete(call)
  }

  /** What was acknowledged stands, is history of what stands, or its end was reported. */
  survives(final: (key: string) => MapEntry | undefined): void {
    for (const { key, version } of this.acked) {
      const stands = final(key)
      if (stands === undefined) throw this.#broken(`${key}@${nameOf(version)} was acknowledged and is gone`)
      if (this.#isIn(stands, version)) continue
      if (compareVersions(stands.version, version) < 0)
        throw this.#broken(`${key}@${nameOf(version)} was acknowledged; an older one stands`)
      const isReported = (this.#lost.get(key) ?? []).some(({ lost }) => {
        const entry = this.#byVersion.get(`${key}@${nameOf(lost)}`)
        return entry !== undefined && this.#isIn(entry, version)
      })
      if (!isReported) throw this.#broken(`${key}@${nameOf(version)} lost to ${nameOf(stands.version)} and nobody was told`)
    }
  }

  /** Some throw where it would be lost; the run asks after every event. */
  failure: Broken | undefined

  /** Calls without an outcome. */
  get openCalls(): number {
    return [...this.#calls.values()].filter(({ settled }) => settled === 0).length
  }

  #broken(message: string): Broken {
    this.failure ??= new Broken(message)
    return this.failure
  }

  #isIn(entry: MapEntry, version: Version): boolean {
    if (compareEpochs(entry.version, version) === 0) return entry.version.sequence >= version.sequence
    return covers(entry.seen, version)
  }
}

const nameOf = (version: Version): string => `${epochKey(version)}:${version.sequence}`

function textOf(table: RoutingTable): string {
  const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([sorted(table.endpoints), sorted(table.backends)])
}
