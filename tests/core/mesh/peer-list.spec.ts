import { expect } from 'chai'
import { applyPeers, type PeerEntry, PeerList, type PeersDelta } from '../../../core/mesh/index.ts'
import { MeshWorld } from '../../support/mesh-world.ts'
import { seededRandom } from '../../support/seeded-random.ts'

const entry = (id: string, ready: PeerEntry['ready'] = {}): PeerEntry => ({ id, name: id, addresses: [`at/${id}`], ready })
const NOTHING = { version: 0, entries: [] }

describe('a list of peers', () => {
  it('gives the whole list first, and only what changed afterwards', () => {
    const list = new PeerList()
    list.update([entry('a'), entry('b'), entry('c')])
    const whole = list.since(0, '')
    expect([whole?.from, whole?.changed.length]).to.deep.equal([0, 3])
    list.update([entry('a', { echo: 1 }), entry('b')])
    const delta = list.since(whole?.to ?? 0, '')
    expect(delta).to.include({ from: whole?.to })
    expect([delta?.changed.map(({ id }) => id), delta?.gone]).to.deep.equal([['a'], ['c']])
  })

  it('has nothing to say while nothing changes, or of nobody but the one who listens', () => {
    const list = new PeerList()
    list.update([entry('a'), entry('b')])
    const has = list.since(0, 'b')?.to ?? 0
    list.update([entry('a'), entry('b')])
    expect(list.since(has, 'b')).to.equal(undefined)
    list.update([entry('a'), entry('b', { echo: 1 })])
    expect(list.since(has, 'b')).to.equal(undefined)
    expect(list.since(has, 'a')?.changed.map(({ id }) => id)).to.deep.equal(['b'])
  })

  it('makes the same list of whoever hears all or some of its versions', () => {
    const random = seededRandom(5)
    const list = new PeerList()
    const readers = [1, 0.5, 0.1].map((share) => ({ share, has: NOTHING as ReturnType<typeof applyPeers> & object }))
    for (let step = 0; step < 500; step++) {
      const now = Array.from({ length: 12 }, (_, i) => i).filter(() => random() < 0.9)
      list.update(now.map((i) => entry(`p${i}`, { echo: Math.floor(random() * 2) })))
      for (const reader of readers) {
        if (random() > reader.share) continue
        const delta = list.since(reader.has.version, '')
        if (delta !== undefined) reader.has = applyPeers(reader.has, delta) as typeof reader.has
        const whole = applyPeers(NOTHING, list.since(0, '') as PeersDelta)
        expect(byId(reader.has.entries)).to.deep.equal(byId(whole?.entries ?? []))
      }
    }
  })

  it('gives the whole list to one who has not heard of too many departures', () => {
    const list = new PeerList()
    list.update(Array.from({ length: 1_500 }, (_, i) => entry(`p${i}`)))
    const has = list.since(0, '')?.to ?? 0
    for (let left = 1_499; left >= 100; left--) list.update(Array.from({ length: left }, (_, i) => entry(`p${i}`)))
    const delta = list.since(has, '')
    expect([delta?.from, delta?.changed.length, delta?.gone.length]).to.deep.equal([0, 100, 0])
  })

  it('does not fit to a list of another version', () => {
    expect(applyPeers({ version: 3, entries: [] }, { from: 2, to: 4, changed: [], gone: [] })).to.equal(undefined)
  })
})

describe('the peers of a mesh', () => {
  it('hear of each other by what changes, and have the whole list whoever comes and goes', async () => {
    const world = await MeshWorld.make()
    await world.serve('echo', (request: { data: unknown }) => request.data, { config: { numReplicas: 3 } })
    const p = await world.join('p')
    const q = await world.join('q')
    await world.join('r')
    await world.advance(1_000)
    await world.drive(q.client.close())
    await world.advance(1_000)
    expect(p.peer.entries.map(({ id }) => id).sort()).to.deep.equal(['controller', 'r'])
    expect(Object.fromEntries(p.peer.entries.map(({ id, ready }) => [id, ready.echo]))).to.include({ r: 1 })
  })
})

const byId = (entries: readonly PeerEntry[]): PeerEntry[] => [...entries].sort((a, b) => (a.id < b.id ? -1 : 1))
