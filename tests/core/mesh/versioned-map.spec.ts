import { expect } from 'chai'
import fc from 'fast-check'
import {
  compareVersions,
  type MapEntry,
  nextEntry,
  type Version,
  VersionedMap,
  type VersionVector,
} from '../../../core/mesh/versioned-map.ts'

const at = (term: number, controllerId: string, sequence: number): Version => ({ term, controllerId, sequence })

/** What a version wrote follows from the version, as in a real mesh: no version comes twice. */
const toEntry = (key: string, version: Version): MapEntry => {
  const isGone = version.sequence % 4 === 0
  return nextEntry(undefined, key, isGone ? undefined : `${version.term}${version.controllerId}${version.sequence}`, version)
}

const anEntry = fc
  .tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 1, max: 3 }), fc.constantFrom('x', 'y'), fc.integer({ min: 1, max: 6 }))
  .map(([key, term, controllerId, sequence]) => toEntry(key, at(term, controllerId, sequence)))
const entries = fc.array(anEntry, { maxLength: 12 })

function mapOf(...batches: readonly (readonly MapEntry[])[]): VersionedMap {
  const map = new VersionedMap()
  for (const batch of batches) map.merge(batch)
  return map
}

const contentOf = (map: VersionedMap): Record<string, unknown> =>
  Object.fromEntries([...map.entries()].map(({ key, version, value }) => [key, { version, value }]))

/** Controllers that write and tell each other, as in a mesh; what each is told is whole. */
class Copies {
  readonly maps = [new VersionedMap(), new VersionedMap(), new VersionedMap()] as const
  readonly conflicts: string[] = []
  #sequence = 0

  write(index: number, key: string, value: unknown): void {
    const map = this.maps[index] as VersionedMap
    const version = at(index + 1, `c${index}`, ++this.#sequence)
    map.merge([nextEntry(map.get(key), key, value, version)])
    map.raise({ [`${index + 1}:c${index}`]: version.sequence })
  }

  tell(from: number, to: number): void {
    const [source, target] = [this.maps[from], this.maps[to]] as [VersionedMap, VersionedMap]
    const delta = source.deltaSince(target.vector)
    if (delta === undefined) return
    for (const { key, kept, lost } of target.merge(delta.entries).conflicts) this.conflicts.push(`${key}: ${kept.term} over ${lost.term}`)
    target.raise(delta.to)
  }
}

describe('the versioned map', () => {
  it('is equal whatever the order in which entries come', () => {
    fc.assert(
      fc.property(entries, entries, (a, b) => {
        expect(contentOf(mapOf(a, b))).to.deep.equal(contentOf(mapOf(b, a)))
      }),
    )
  })

  it('is equal however entries are gathered', () => {
    fc.assert(
      fc.property(entries, entries, entries, (a, b, c) => {
        const left = mapOf([...mapOf(a, b).entries()], c)
        const right = mapOf(a, [...mapOf(b, c).entries()])
        expect(contentOf(left)).to.deep.equal(contentOf(right))
      }),
    )
  })

  it('stays as it is when the same entries come again', () => {
    fc.assert(
      fc.property(entries, (a) => {
        const map = mapOf(a)
        const before = contentOf(map)
        expect(map.merge(a).taken).to.deep.equal([])
        expect(contentOf(map)).to.deep.equal(before)
      }),
    )
  })

  it('has one root for equal entries and another for different ones', () => {
    fc.assert(
      fc.property(entries, entries, (a, b) => {
        const [one, other] = [mapOf(a), mapOf(b)]
        const isEqual = JSON.stringify(sorted(contentOf(one))) === JSON.stringify(sorted(contentOf(other)))
        expect(one.root === other.root).to.equal(isEqual)
      }),
    )
  })

  it('is made equal by the ranges in which digests differ', () => {
    fc.assert(
      fc.property(entries, entries, (a, b) => {
        const [one, other] = [mapOf(a), mapOf(b)]
        const [fromOne, fromOther] = [one.entriesWhere(other.digests), other.entriesWhere(one.digests)]
        one.merge(fromOther)
        other.merge(fromOne)
        expect(one.root).to.equal(other.root)
        expect(one.entriesWhere(other.digests)).to.deep.equal([])
      }),
    )
  })

  it('is made equal by deltas since the vector of the other, whatever was written and told before', () => {
    const step = fc.tuple(fc.nat(2), fc.nat(2), fc.constantFrom('write', 'tell'), fc.constantFrom('a', 'b', 'c'))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const copies = new Copies()
        for (const [from, to, what, key] of steps) {
          if (what === 'write') copies.write(from, key, to === 0 ? undefined : to)
          else copies.tell(from, to)
        }
        for (const [from, to] of [
          [0, 1],
          [1, 2],
          [2, 1],
          [1, 0],
        ] as const)
          copies.tell(from, to)
        expect(new Set(copies.maps.map((map) => map.root)).size).to.equal(1)
        expect(copies.maps[0].deltaSince(copies.maps[2].vector)).to.equal(undefined)
      }),
    )
  })

  it('orders by term, then controller, then sequence', () => {
    const ordered = [at(1, 'a', 9), at(1, 'b', 1), at(1, 'b', 2), at(2, 'a', 1)]
    expect([...ordered].reverse().sort(compareVersions)).to.deep.equal(ordered)
  })

  it('forgets no deletion: an older edit that comes late does not bring the key back', () => {
    const map = mapOf([nextEntry(undefined, 'k', undefined, at(1, 'a', 2))])
    map.merge([nextEntry(undefined, 'k', 'late', at(1, 'a', 1))])
    expect([...map.values.keys()]).to.deep.equal([])
  })

  it('reports no conflict between edits that knew of each other', () => {
    const copies = new Copies()
    copies.write(0, 'k', 1)
    copies.tell(0, 1)
    copies.write(1, 'k', 2)
    copies.tell(1, 2)
    copies.write(2, 'k', 3)
    copies.tell(2, 0)
    expect(copies.conflicts).to.deep.equal([])
  })

  it('reports the loser of two edits that did not know of each other, once', () => {
    const copies = new Copies()
    copies.write(0, 'k', 1)
    copies.write(1, 'k', 2)
    copies.tell(1, 0)
    copies.tell(0, 1)
    copies.tell(1, 0)
    expect(copies.conflicts).to.deep.equal(['k: 2 over 1'])
    expect(copies.maps[0].values.get('k')).to.equal(2)
  })

  it('reports an edit that lost to a deletion on the other side', () => {
    const copies = new Copies()
    copies.write(0, 'k', 1)
    copies.tell(0, 1)
    copies.write(0, 'k', 2)
    copies.write(1, 'k', undefined)
    copies.tell(0, 1)
    expect(copies.conflicts).to.deep.equal(['k: 2 over 1'])
  })

  it('remembers 10,000 deletions and the past of a key for 16 epochs', () => {
    const map = new VersionedMap()
    map.merge(Array.from({ length: 10_003 }, (_, i) => nextEntry(undefined, `k${i}`, undefined, at(1, 'a', i + 1))))
    expect([map.size, map.get('k2'), map.get('k3')?.key]).to.deep.equal([10_000, undefined, 'k3'])
    let entry: MapEntry | undefined
    for (let term = 1; term <= 40; term++) entry = nextEntry(entry, 'k', term, at(term, 'a', 1))
    expect(Object.keys(entry?.seen ?? {})).to.have.length(16)
    expect(mapOf([entry as MapEntry]).merge([nextEntry(undefined, 'k', 0, at(3, 'a', 1))]).conflicts).to.deep.equal([])
  })

  it('drops epochs of which nothing stands from its vector', () => {
    const map = new VersionedMap()
    for (let term = 1; term <= 5; term++) {
      map.merge([nextEntry(map.get('k'), 'k', term, at(term, 'a', 1))])
      map.raise({ [`${term}:a`]: 1 })
    }
    const left: VersionVector = { '5:a': 1 }
    expect(map.vector).to.deep.equal(left)
  })
})

function sorted(content: Record<string, unknown>): unknown {
  return Object.entries(content).sort(([a], [b]) => (a < b ? -1 : 1))
}
