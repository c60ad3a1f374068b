import { expect } from 'chai'
import { msgpackCodec } from '../../core/adapters/codec/index.ts'
import { SILENT } from '../../core/base/index.ts'
import { MemoryStateStore } from '../../core/controller/index.ts'
import {
  ControllerGroup,
  type Epoch,
  type GroupMessage,
  type GroupSeat,
  MeshLedger,
  type PeerEntry,
  PeerList,
  TableFollower,
  type TablePush,
} from '../../core/mesh/index.ts'
import { type BackendEntry, type EndpointEntry, resolveReplicaOptions, resolveResources } from '../../core/model/index.ts'
import { settle } from '../support/fake-clock.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { backendValue, endpointValue } from './nodes.ts'
import { Machine, SimTime } from './sim-time.ts'
import { TableFeed } from './table-feed.ts'

const PEERS = 1_000
const REPLICAS = 10_000
const BACKENDS = 100
/** One way between any two, at least and at most. */
const DELAY_MS = [2, 20] as const

/** What a change cost: what left all controllers, what one peer received, how long the processor worked, how long it took in virtual time. */
interface Cost {
  readonly change: string
  readonly bytes: number
  readonly bytesPerPeer: number
  readonly processorMs: number
  readonly untilAllHaveItMs: number
}

/** A mesh of one process: two controllers, of which one acts, and peers that follow one of them each. */
class LargeMesh {
  readonly time = new SimTime()
  readonly random = seededRandom(11)
  readonly codec = msgpackCodec()
  readonly groups: ControllerGroup[] = []
  readonly feeds: TableFeed[] = []
  readonly peers: TableFollower[] = []
  readonly #seats: GroupSeat[] = []
  readonly #cuts: (() => void)[] = []
  #versions = [0, 0]
  #bytes = 0
  #peerBytes = 0
  #encoded: { readonly push: TablePush; readonly bytes: number } | undefined

  async start(): Promise<void> {
    for (const index of [0, 1]) {
      const machine = new Machine(`c${index}`, 1, 0, this.time, () => {})
      const onEvent = (): void => this.#publish(index)
      const group = new ControllerGroup(
        { controllerId: `c${index}`, store: new MemoryStateStore(), isFounder: index === 0, onEvent },
        machine,
        this.random,
        SILENT,
      )
      this.groups.push(group)
      this.feeds.push(new TableFeed((epoch) => group.noteLeader(epoch)))
    }
    for (const group of this.groups) await group.open()
    this.#connect()
    for (let i = 0; i < PEERS; i++) {
      const peer = new TableFollower()
      this.peers.push(peer)
      this.#follow(this.feeds[i % 2] as TableFeed, peer)
    }
    await this.time.run(3_000)
  }

  /** Measures until every peer has a table of at least this stamp. */
  async cost(change: string, work: () => Promise<unknown>, epoch: () => Epoch): Promise<Cost> {
    await this.time.run(1_000)
    const [bytes, peerBytes, atMs] = [this.#bytes, this.#peerBytes, this.time.nowMs()]
    const version = this.#versions[epoch().controllerId === 'c0' ? 0 : 1] as number
    const startedAtMs = performance.now()
    void work()
    const isThere = (): boolean => {
      const { term, controllerId } = epoch()
      const least = controllerId === 'c0' ? version + 1 : 1
      return this.peers.every((peer) => peer.epoch.term === term && peer.table.version >= least)
    }
    const hasAll = await this.time.run(60_000, () => isThere())
    const processorMs = performance.now() - startedAtMs
    expect(hasAll, change).to.equal(true)
    return {
      change,
      bytes: this.#bytes - bytes,
      bytesPerPeer: Math.round((this.#peerBytes - peerBytes) / PEERS),
      processorMs: Math.round(processorMs * 10) / 10,
      untilAllHaveItMs: Math.round(this.time.nowMs() - atMs),
    }
  }

  get acting(): ControllerGroup {
    return this.groups.find(({ role, leader }) => role === 'acting' && leader.term === this.term) as ControllerGroup
  }

  get term(): number {
    return Math.max(...this.groups.map(({ leader }) => leader.term))
  }

  /** The acting controller is gone; those who followed it turn to the other. */
  async loseFirst(): Promise<void> {
    for (const cut of this.#cuts) cut()
    await (this.groups[0] as ControllerGroup).close()
    for (const [i, peer] of this.peers.entries()) if (i % 2 === 0) this.#follow(this.feeds[1] as TableFeed, peer)
  }

  #connect(): void {
    const [a, b] = this.groups as [ControllerGroup, ControllerGroup]
    const seatOf = (group: ControllerGroup, other: string, to: number): GroupSeat =>
      group.attach(other, (message: GroupMessage) => {
        this.#bytes += this.codec.encode([message]).byteLength
        this.#later(() => this.#seats[to]?.receive(message))
      })
    this.#seats.push(seatOf(a, 'c1', 1), seatOf(b, 'c0', 0))
    const relay = new TableFollower()
    const seat = (this.feeds[0] as TableFeed).listen((push) => {
      this.#count(push)
      this.#later(() => {
        if (relay.take(push) === 'taken') this.feeds[1]?.publish(relay.epoch, relay.table)
      })
    })
    this.#cuts.push(
      () => seat.stop(),
      () => this.#seats.map((one) => one.detach()),
    )
  }

  #follow(feed: TableFeed, peer: TableFollower): void {
    const has = { epoch: peer.epoch, version: peer.table.version }
    const seat = feed.listen((push) => {
      this.#peerBytes += this.#count(push)
      this.#later(() => {
        const taken = peer.take(push)
        this.#later(() => seat.heard(taken, peer.epoch))
      })
    }, has)
  }

  #count(push: TablePush): number {
    if (this.#encoded?.push !== push) this.#encoded = { push, bytes: this.codec.encode([push]).byteLength }
    this.#bytes += this.#encoded.bytes
    return this.#encoded.bytes
  }

  #later(work: () => void): void {
    this.time.after(DELAY_MS[0] + this.random() * (DELAY_MS[1] - DELAY_MS[0]), work)
  }

  #publish(index: number): void {
    const group = this.groups[index]
    if (group?.role !== 'acting') return
    const endpoints = new Map<string, EndpointEntry>()
    const backends = new Map<string, BackendEntry>()
    for (const [key, value] of group.map.values) {
      if (key.startsWith('endpoint/')) endpoints.set(key.slice(9), value as EndpointEntry)
      if (key.startsWith('backend/')) backends.set(key.slice(8), value as BackendEntry)
    }
    const version = (this.#versions[index] as number) + 1
    this.#versions[index] = version
    this.feeds[index]?.publish(group.leader, Object.freeze({ version, endpoints, backends }))
  }
}

describe('a mesh of 1,000 peers and 10,000 replicas', function () {
  this.timeout(180_000)

  it('gives every peer each change, and says what it costs', async () => {
    const mesh = new LargeMesh()
    await mesh.start()
    const { acting } = mesh
    const epoch = (): Epoch => mesh.acting?.leader ?? { term: mesh.term + 1, controllerId: 'c1' }
    const edits = Array.from({ length: BACKENDS }, (_, i) => [
      { key: `backend/b${i}`, value: backendValue(`b${i}`, REPLICAS / BACKENDS) },
      { key: `endpoint/e${i}`, value: endpointValue(`e${i}`, `b${i}`, i) },
    ]).flat()
    const traffic = (i: number) => () => acting.edit([{ key: `endpoint/e${i}`, value: endpointValue(`e${i}`, `b${i}`, 1_000 + i) }])
    const costs = [
      await mesh.cost(`${BACKENDS} backends and endpoints`, () => acting.edit(edits), epoch),
      await mesh.cost('traffic of one endpoint', traffic(1), epoch),
      await mesh.cost('one backend deleted', () => acting.edit([{ key: 'endpoint/e2' }, { key: 'backend/b2' }]), epoch),
      await mesh.cost('the acting controller lost', () => mesh.loseFirst(), epoch),
    ]
    console.table(costs)
    await settle()
    const tables = mesh.peers.map(({ epoch: { term }, table }) => `${term}/${table.version}`)
    expect(new Set(tables).size).to.equal(1)
    expect(mesh.peers[0]?.table.endpoints.size).to.equal(BACKENDS - 1)
  })

  it('tells every peer who has what by what changes', () => {
    const codec = msgpackCodec()
    const entry = (i: number, replicas: number): PeerEntry => ({
      id: `12D3KooW${String(i).padStart(44, 'x')}`,
      name: `peer-${i}`,
      addresses: [`/ip4/10.0.0.1/tcp/4001/p2p/12D3KooW${String(i).padStart(44, 'x')}`],
      ready: Object.fromEntries(Array.from({ length: replicas }, (_, k) => [`b${(i + k) % BACKENDS}`, 1])),
    })
    const all = Array.from({ length: PEERS }, (_, i) => entry(i, REPLICAS / PEERS))
    const list = new PeerList()
    list.update(all)
    const tell = (change: string, now: readonly PeerEntry[]) => {
      const has = list.since(0, '')?.to ?? 0
      const startedAtMs = performance.now()
      list.update(now)
      const deltas = now.map(({ id }) => list.since(has, id))
      const processorMs = performance.now() - startedAtMs
      const bytes = deltas.map((delta) => (delta === undefined ? 0 : codec.encode([3, 'peers', delta]).byteLength))
      const wholeBytes = codec.encode([3, 'peers', now]).byteLength
      const heard = { change, bytesPerPeer: Math.max(...bytes), wholeListBytes: wholeBytes, processorMs: Math.round(processorMs * 10) / 10 }
      expect(heard.bytesPerPeer).to.be.below(wholeBytes / 100)
      return heard
    }
    console.table([
      tell(
        'a replica more on one peer',
        all.map((one, i) => (i === 7 ? entry(7, 11) : one)),
      ),
      tell('a peer gone', all.slice(1)),
      tell('a peer back', all),
      tell('nothing', all),
    ])
  })

  it('finds a place for every replica, and a new one when a peer goes', () => {
    const ledger = new MeshLedger()
    const options = resolveReplicaOptions({})
    const wishes = { options, code: { kind: 'module', url: 'https://a.test/m.js', exportName: 'default' }, initArgs: [] } as const
    const node = (i: number) => ({
      id: `p${i}`,
      isSelf: false,
      machine: 'm',
      runtime: 'node' as const,
      labels: {},
      isTrusted: true,
      isolations: [options.isolation],
      takesReplicas: true,
      maxReplicas: undefined,
      offered: resolveResources({ cpu: 16 }),
    })
    const resources = resolveResources({ cpu: 1 })
    for (let i = 0; i < PEERS; i++) ledger.setNode(node(i))
    const startedAtMs = performance.now()
    for (let i = 0; i < REPLICAS; i++) ledger.take(`b${i % BACKENDS}`, `b${i % BACKENDS}#${i}`, resources, wishes)
    const placedMs = performance.now() - startedAtMs
    const lost = ledger.on('p7')
    ledger.removeNode('p7')
    const lostAtMs = performance.now()
    for (const { backend, replicaId } of lost) {
      ledger.giveBack(replicaId)
      ledger.take(backend, `${replicaId}again`, resources, wishes)
    }
    console.log(
      `      ${Math.round((placedMs / REPLICAS) * 1_000)} µs per placement; ${lost.length} replicas of a lost peer placed anew in ${(performance.now() - lostAtMs).toFixed(1)} ms`,
    )
    const evenAtMs = performance.now()
    expect(ledger.nextMove()).to.equal(undefined)
    console.log(`      ${(performance.now() - evenAtMs).toFixed(1)} ms to see that nothing needs to move`)
    const counts = Array.from({ length: PEERS }, (_, i) => ledger.on(`p${i}`).length)
    expect(counts.reduce((sum, count) => sum + count)).to.equal(REPLICAS)
    expect(Math.max(...counts)).to.be.at.most(11)
  })
})
