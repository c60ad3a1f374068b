import { Client, LocalInstance, PeerInstance, servePeerClient } from '../../core/api/index.ts'
import { type ServeError, SILENT } from '../../core/base/index.ts'
import { resolveHttpOptions } from '../../core/gateway/index.ts'
import { MemoryNetwork, MeshAuthority, MeshHub, MeshPeer, readTicket } from '../../core/mesh/index.ts'
import type { RoutingTable } from '../../core/model/index.ts'
import { testTurns } from '../support/fake-clock.ts'
import { Broken } from './checker.ts'
import { MeshSim, peek, type SimPlace, signer, verify, WANTED } from './mesh-sim.ts'
import { withSeed } from './sim-run.ts'
import { Machine } from './sim-time.ts'

const CHAOS_MS = 40_000
/** After the heal all have found the controller again, and its table, within this time. */
const IN_STEP_MS = 10_000
/** And all replicas are there within this: a backend whose replicas died often waits before it starts the next. */
const HEAL_MS = 40_000
/** Until peers that lose each other have noticed and found another way. */
const BRIDGE_MS = 20_000

export interface MeshResult {
  readonly seed: number
  readonly hash: string
  readonly events: number
  readonly calls: number
  readonly answered: number
  /** How the others ended, by code. */
  readonly codes: Readonly<Record<string, number>>
  readonly edits: number
  readonly healedMs: number
}

interface Place extends SimPlace {
  peer: MeshPeer | undefined
}

/** One run of the mesh as it is: a controller and its hub, peers, links and calls, on machines whose network breaks. Throws {@link Broken}. */
export async function runMesh(seed: number, onLine: (line: string) => void = () => {}): Promise<MeshResult> {
  return withSeed(seed, () => new MeshRun(seed, onLine).run())
}

class MeshRun extends MeshSim<Place> {
  readonly network: MemoryNetwork
  readonly #hub: MeshHub
  readonly #faults: Readonly<Record<'wall' | 'oneWay' | 'pair' | 'cut' | 'crash' | 'replica', boolean>>
  readonly #seen = new Map<string, RoutingTable>()
  #tableOf: () => { readonly version: number } = () => ({ version: 0 })
  #ticket = ''
  #edits = 0

  constructor(seed: number, onLine: (line: string) => void) {
    super(seed, 2_246_822_519, onLine)
    const { random } = this
    const maybe = (): boolean => random() < 0.5
    this.#faults = { wall: maybe(), oneWay: maybe(), pair: maybe(), cut: maybe(), crash: maybe(), replica: maybe() }
    const wire = new Machine('wire', 1, 0, this.time, () => {})
    this.network = new MemoryNetwork({ delayMs: [1, 1 + random() * 40] }, wire, random)
    const count = 3 + Math.floor(random() * 4)
    for (let i = 0; i < count; i++) {
      const machine = new Machine(i === 0 ? 'controller' : `p${i}`, 0.8 + random() * 0.5, random() * 600_000, this.time, () => {})
      this.places.push({ name: machine.name, machine, host: this.hostOn(machine), client: undefined, peer: undefined })
    }
    this.#hub = new MeshHub(
      {
        transport: this.network.join('controller'),
        authority: new MeshAuthority({ signer, verify, peek, epochMs: this.epochMs, random }),
        card: { name: 'controller', runtime: 'node', incarnation: '1', machine: 'm', resources: { cpu: 4 }, labels: {}, isolations: [] },
        ...this.common,
      },
      this.#controller.machine,
      testTurns(),
      SILENT,
    )
  }

  async run(): Promise<MeshResult> {
    const { machine, host } = this.#controller
    const options = { name: 'controller', http: undefined, fetchOptions: resolveHttpOptions({}), mesh: this.#hub }
    const instance = await this.drive(LocalInstance.start(options, this.platformOn(machine, host)))
    await this.drive(
      this.#hub.open(
        instance.controller,
        (event) => instance.emit(event),
        (port, member, access) => servePeerClient(instance, port, member, access, testTurns()),
      ),
    )
    this.#tableOf = () => instance.controller.table
    const client = new Client(instance)
    this.#controller.client = client
    this.#ticket = await this.drive(client.createTicket({ uses: 1_000, ttlMs: 86_400_000 }))
    for (const place of this.#peers) await this.#join(place)
    await this.serveBackends(client)
    this.every(10, 120, () => this.call(this.pick(this.places)))
    this.every(2_000, 6_000, () => this.#edit())
    this.every(1_000, 7_000, () => this.#fault())
    await this.go(CHAOS_MS)
    this.isChaos = false
    this.trace('heal')
    this.network.heal()
    const healedMs = await this.#heal()
    await this.go(1_000)
    await this.#proveAlive()
    await this.#proveBridged()
    return {
      seed: this.seed,
      hash: this.hash,
      events: this.time.events,
      calls: this.calls,
      answered: this.answered,
      codes: this.codes,
      edits: this.#edits,
      healedMs,
    }
  }

  get #controller(): Place {
    return this.places[0] as Place
  }

  get #peers(): Place[] {
    return this.places.slice(1)
  }

  protected look(): void {
    for (const { name, peer } of this.#peers) {
      if (peer === undefined) continue
      const { table } = peer
      const before = this.#seen.get(name)
      if (before === table) continue
      this.#seen.set(name, table)
      if (before !== undefined && table.version < before.version) this.fail(`${name} went back from ${before.version} to ${table.version}`)
      if (table.version > 0) this.noteTable(`${table.version}`, table, name)
    }
  }

  async #join(place: Place): Promise<void> {
    const { name, machine } = place
    place.host = this.hostOn(machine)
    const claims = await readTicket(this.#ticket, verify, peek)
    const peer = new MeshPeer(
      {
        transport: this.network.join(name),
        ticket: this.#ticket,
        claims,
        roles: undefined,
        card: this.cardOf(place),
        hosts: new Map([['thread', place.host]]),
        ...this.common,
        ...this.linkLimits(2),
      },
      machine,
      testTurns(),
      this.random,
      SILENT,
    )
    const joining = PeerInstance.join({
      peer,
      platform: this.platformOn(machine, place.host),
      http: undefined,
      fetchOptions: resolveHttpOptions({}),
    })
    const joined = joining.then(
      (instance) => {
        if (place.machine !== machine) return
        this.trace(`joined ${name}`)
        this.#seen.delete(name)
        place.peer = peer
        place.client = new Client(instance)
      },
      // As who starts it would: again, a little later.
      (error: unknown) => {
        this.trace(`not joined ${name} ${String((error as ServeError).code)}`)
        if (place.machine === machine) machine.after(1_000, () => void this.#join(place))
      },
    )
    if (this.calls === 0) await this.drive(joined)
  }

  #edit(): void {
    const { client } = this.#controller
    if (client === undefined) return
    const limit = 1 + Math.floor(this.random() * 4)
    client.updateBackendConfig('again', { maxConcurrentQueries: limit }).then(
      () => {
        this.#edits++
        this.trace(`edit ${limit}`)
      },
      (error: unknown) => this.trace(`edit ${limit} ${(error as ServeError).code}`),
    )
  }

  #fault(): void {
    const kind = this.pickFault(this.#faults)
    if (kind === undefined) return
    const place = this.pick(this.#peers)
    this.trace(`fault ${kind} ${place.name}`)
    if (kind === 'cut') this.network.cut(place.name, this.pick(this.places).name)
    if (kind === 'pair') {
      this.network.partition(place.name, this.pick(this.#peers).name)
      this.time.after(1_000 + this.random() * 9_000, () => this.network.heal())
    }
    if (kind === 'wall' || kind === 'oneWay') {
      const others = this.places.filter(({ name }) => name !== place.name && this.random() < 0.7)
      const isOutward = this.random() < 0.5
      for (const { name } of others) {
        if (kind === 'wall') this.network.partition(place.name, name)
        else if (isOutward) this.network.partitionOneWay(place.name, name)
        else this.network.partitionOneWay(name, place.name)
      }
      this.time.after(1_000 + this.random() * 9_000, () => this.network.heal())
    }
    if (kind === 'replica') {
      const { alive } = this.pick(this.places).host
      if (alive.length > 0) void this.pick(alive).die()
    }
    if (kind === 'crash' && place.client !== undefined) {
      place.machine = place.machine.replace()
      place.client = undefined
      place.peer = undefined
      this.network.crash(place.name)
      this.time.after(500 + this.random() * 8_000, () => void this.#join(place))
    }
  }

  async #heal(): Promise<number> {
    const startedAtMs = this.time.nowMs()
    if (!(await this.go(IN_STEP_MS, () => this.#isInStep()))) {
      throw new Broken(`not in step ${IN_STEP_MS} ms after the heal: ${this.describe()}`)
    }
    if (!(await this.go(HEAL_MS, () => this.#isWhole()))) throw new Broken(`not whole ${HEAL_MS} ms after the heal: ${this.describe()}`)
    return this.time.nowMs() - startedAtMs
  }

  #isInStep(): boolean {
    const { peers } = this.#hub
    const { version } = this.#tableOf()
    return this.#peers.every(({ name, peer }) => name in peers && peer?.table.version === version)
  }

  #isWhole(): boolean {
    return this.#isInStep() && this.hasAllReplicas
  }

  protected describe(): string {
    const places = this.#peers.map(({ name, peer, client }) => {
      const ways = this.#peers.map((other) => peer?.viaOf(other.name) ?? '-').join(',')
      const seat = name in this.#hub.peers ? 'seated' : 'unseated'
      const lanes = peer?.queues.get('once')?.ready
      return `${name} ${client === undefined ? 'out' : 'in'} ${seat} table ${peer?.table.version} lanes ${lanes} ways ${ways}`
    })
    return `table ${this.#tableOf().version}; once ${this.aliveOf('once')}, again ${this.aliveOf('again')}; ${places.join('; ')}`
  }

  async #proveAlive(): Promise<void> {
    await this.settleCalls()
    await this.proveAnswered(100)
  }

  /** Peers between which nothing passes reach each other through the controller: every replica, and every call is answered. */
  async #proveBridged(): Promise<void> {
    for (const { name } of this.#peers) for (const other of this.#peers) this.network.partition(name, other.name)
    const isBridged = (): boolean => this.#peers.every(({ peer }) => peer?.queues.get('once')?.ready === WANTED)
    await this.go(BRIDGE_MS / 2)
    if (!(await this.go(BRIDGE_MS, isBridged))) throw new Broken(`peers without a way to each other: ${this.describe()}`)
    await this.#proveAlive()
    this.network.heal()
  }
}
