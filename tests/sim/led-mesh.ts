import { Client, LocalInstance, PeerInstance, StandbyController, servePeerClient } from '../../core/api/index.ts'
import { type ServeError, SILENT } from '../../core/base/index.ts'
import { resolveHttpOptions } from '../../core/gateway/index.ts'
import {
  CONTROLLER,
  ControllerGroup,
  type Epoch,
  knowsOthers,
  MemoryNetwork,
  MeshAuthority,
  MeshHub,
  MeshPeer,
  type MeshPeerInit,
  type MeshRole,
  type PeerTransport,
  readTicket,
  TicketBook,
} from '../../core/mesh/index.ts'
import { compareEpochs } from '../../core/mesh/versioned-map.ts'
import type { RoutingTable } from '../../core/model/index.ts'
import { testTurns } from '../support/fake-clock.ts'
import { Broken } from './checker.ts'
import { MeshSim, peek, type SimPlace, signer, verify } from './mesh-sim.ts'
import { SimDisk } from './sim-disk.ts'
import { withSeed } from './sim-run.ts'
import { Machine } from './sim-time.ts'

const CHAOS_MS = 60_000
/** After the heal one controller leads, and all have its table, within this time of the slowest clock: a lease, and a redial. */
const IN_STEP_MS = 10_000
const SLOWEST = 0.8
const WHOLE_MS = 90_000
/** And stays so. */
const STABLE_MS = 15_000
const ROLES: readonly MeshRole[] = ['controller', 'replica', 'caller', 'gateway']

export interface LedResult {
  readonly seed: number
  readonly hash: string
  readonly events: number
  readonly calls: number
  readonly answered: number
  readonly acked: number
  /** Terms that began. */
  readonly terms: number
  readonly inStepMs: number
}

interface Place extends SimPlace {
  readonly kind: 'founder' | 'standby' | 'peer'
  readonly disk: SimDisk
  hasJoined: boolean
  peer: MeshPeer | undefined
  standby: StandbyController | undefined
  /** Of the founder that leads from its own instance. */
  founding: { readonly group: ControllerGroup; readonly instance: LocalInstance } | undefined
}

/**
 * One run of a mesh whose controllers die: a founder, one or two standbys and peers, on machines whose network breaks and whose clocks differ. Edits that
 * were acknowledged survive, no peer's table goes back, two tables of one stamp are equal, each call has one outcome. Throws {@link Broken}.
 */
export async function runLedMesh(seed: number, onLine: (line: string) => void = () => {}): Promise<LedResult> {
  return withSeed(seed, () => new LedRun(seed, onLine).run())
}

class LedRun extends MeshSim<Place> {
  readonly network: MemoryNetwork
  readonly #faults: Readonly<Record<'wall' | 'cut' | 'peer' | 'controller' | 'leader' | 'replica', boolean>>
  readonly #stamps = new Map<string, { readonly life: number; readonly epoch: Epoch; readonly table: RoutingTable }>()
  readonly #terms = new Map<string, string>()
  readonly #acked: string[] = []
  #tickets: Readonly<Record<'standby' | 'peer', string>> = { standby: '', peer: '' }
  #edits = 0
  /** Machines that are to be started again. */
  readonly #down = new Map<Place, () => void>()

  constructor(seed: number, onLine: (line: string) => void) {
    super(seed, 2_654_435_761, onLine)
    const { random } = this
    const maybe = (): boolean => random() < 0.5
    this.#faults = { wall: maybe(), cut: maybe(), peer: maybe(), controller: maybe(), leader: random() < 0.8, replica: maybe() }
    const wire = new Machine('wire', 1, 0, this.time, () => {})
    this.network = new MemoryNetwork({ delayMs: [1, 1 + random() * 40] }, wire, random)
    this.#add('c0', 'founder')
    for (let i = 0; i < 1 + Math.floor(random() * 2); i++) this.#add(`c${i + 1}`, 'standby')
    for (let i = 0; i < 2 + Math.floor(random() * 2); i++) this.#add(`p${i}`, 'peer')
  }

  async run(): Promise<LedResult> {
    for (const place of this.places) {
      await this.drive(this.#start(place))
      if (place.kind !== 'peer') await this.drive(this.#makeTickets())
    }
    await this.serveBackends((this.places[0] as Place).client as Client)
    this.every(10, 120, () => this.call(this.pick(this.places)))
    this.every(1_000, 4_000, () => this.#edit(this.pick(this.places)))
    this.every(2_000, 9_000, () => this.#fault())
    this.every(1_000, 1_000, () => this.#replaceSuperseded())
    await this.go(CHAOS_MS)
    this.isChaos = false
    this.trace('heal')
    this.network.heal()
    for (const start of [...this.#down.values()]) start()
    const inStepMs = await this.#heal()
    await this.proveAnswered(60)
    const { hash, events } = { hash: this.hash, events: this.time.events }
    const [calls, answered, acked] = [this.calls, this.answered, this.#acked.length]
    return { seed: this.seed, hash, events, calls, answered, acked, terms: this.#terms.size, inStepMs }
  }

  #add(name: string, kind: Place['kind']): void {
    const random = this.random
    const machine = new Machine(name, SLOWEST + random() * 0.5, random() * 600_000, this.time, () => {})
    const more = { hasJoined: false, client: undefined, peer: undefined, standby: undefined, founding: undefined }
    this.places.push({ name, kind, machine, host: this.hostOn(machine), disk: new SimDisk(random), ...more })
  }

  protected look(): void {
    for (const { name, peer, machine, standby } of this.places) {
      if (standby?.isActing === true)
        this.#noteTerm(standby.group.leader.term, standby.group.leader.controllerId, `${name}#${machine.life}`)
      if (peer === undefined) continue
      const { table, epoch } = peer
      const before = this.#stamps.get(name)
      if (before?.table === table && before.life === machine.life) continue
      const stamp = `${epoch.term}.${epoch.controllerId}/${table.version}`
      if (before !== undefined && before.life === machine.life) {
        const order = compareEpochs(epoch, before.epoch)
        if (order < 0 || (order === 0 && table.version < before.table.version)) {
          this.fail(`${name} went back from ${before.epoch.term}.${before.epoch.controllerId}/${before.table.version} to ${stamp}`)
        }
      }
      this.#stamps.set(name, { life: machine.life, epoch, table })
      if (table.version > 0) this.noteTable(stamp, table, name)
    }
  }

  #noteTerm(term: number, controllerId: string, life: string): void {
    const key = `${term}.${controllerId}`
    const known = this.#terms.get(key)
    if (known === undefined) this.trace(`term ${key}`)
    if (known !== undefined && known !== life) this.fail(`epoch ${key} of ${life} was that of ${known}`)
    this.#terms.set(key, life)
  }

  /** As its process would: it founds the mesh, joins, or comes back; when that fails, again a little later. */
  async #start(place: Place): Promise<void> {
    const { machine, name, kind, disk } = place
    place.host = this.hostOn(machine)
    try {
      if (kind === 'peer') await this.#join(place)
      else if (kind === 'founder' && !knowsOthers(disk.synced)) await this.#found(place)
      else await this.#standBy(place)
      if (place.machine === machine) this.trace(`started ${name}`)
    } catch (error) {
      this.trace(`not started ${name} ${String((error as ServeError).code)}`)
      if (place.machine === machine) machine.after(1_000, () => void this.#start(place))
    }
  }

  async #found(place: Place): Promise<void> {
    const { machine, name, host, disk } = place
    let hub: MeshHub | undefined
    const group = new ControllerGroup(
      { controllerId: name, store: disk.open(machine, 5), isFounder: true, onEvent: (event) => hub?.onGroupEvent(event) },
      machine,
      this.random,
      SILENT,
    )
    await group.open()
    this.#noteTerm(group.leader.term, name, `${name}#${machine.life}`)
    hub = new MeshHub(
      {
        transport: this.network.join(name),
        authority: this.#authority(group),
        card: { ...this.cardOf(place), isolations: [] },
        epoch: group.leader,
        group,
        onGreater: (epoch) => group.noteLeader(epoch),
        secret: () => 'secret',
        isReturning: group.leader.term > 1,
        ...this.common,
      },
      machine,
      testTurns(),
      SILENT,
    )
    const mesh = hub
    const onOpen = async (instance: LocalInstance): Promise<void> => {
      await mesh.open(
        instance.controller,
        (event) => instance.emit(event),
        (port, member, access) => servePeerClient(instance, port, member, access, testTurns()),
      )
      if (place.machine !== machine) return
      place.founding = { group, instance }
      place.client = new Client(instance)
    }
    const options = { name, http: undefined, fetchOptions: resolveHttpOptions({}), store: group.asStore(), mesh, onOpen }
    await LocalInstance.start(options, this.platformOn(machine, host))
    mesh.noteChange()
  }

  async #standBy(place: Place): Promise<void> {
    const { machine, name, host, disk } = place
    const isBack = place.hasJoined || place.kind === 'founder'
    const addresses = [...disk.synced].flatMap(([key, entry]) => {
      return key.startsWith(`entry/${CONTROLLER}`) ? ((entry as { value?: string[] }).value ?? []) : []
    })
    const claims = isBack
      ? { mesh: 'key', id: '', addresses, expiresAtMs: 0, uses: 1, roles: ROLES, trusted: true }
      : await readTicket(this.#tickets.standby, verify, peek)
    const standby = new StandbyController({
      name,
      transport: this.network.join(name),
      store: disk.open(machine, 5),
      secret: isBack ? 'secret' : undefined,
      keepSecret: async () => {},
      toAuthority: async (_secret, group) => this.#authority(group),
      hub: { card: { ...this.cardOf(place), isolations: [] }, ...this.common },
      fetchOptions: resolveHttpOptions({}),
      platform: this.platformOn(machine, host),
    })
    const own = { roles: ROLES, trusted: true }
    const credential = isBack ? (await this.#authority(undefined).issue(name, '', own)).token : undefined
    const peer = this.#peer(place, standby.transport, { ticket: this.#tickets.standby, claims, roles: ROLES, credential, standby })
    await standby.open(peer)
    if (place.machine === machine) Object.assign(place, { standby })
    await this.#enter(place, peer)
    if (place.machine === machine) place.hasJoined = true
  }

  async #join(place: Place): Promise<void> {
    const claims = await readTicket(this.#tickets.peer, verify, peek)
    const peer = this.#peer(place, this.network.join(place.name), { ticket: this.#tickets.peer, claims })
    await this.#enter(place, peer)
  }

  #peer(place: Place, transport: PeerTransport, init: Pick<MeshPeerInit, 'ticket' | 'claims'> & Partial<MeshPeerInit>): MeshPeer {
    const { machine, host } = place
    const card = this.cardOf(place)
    const all = { transport, card, hosts: new Map([['thread', host]]), ...this.common, ...this.linkLimits(4), ...init }
    return new MeshPeer(all, machine, testTurns(), this.random, SILENT)
  }

  async #enter(place: Place, peer: MeshPeer): Promise<void> {
    const { machine, host } = place
    const init = { peer, platform: this.platformOn(machine, host), http: undefined, fetchOptions: resolveHttpOptions({}) }
    const instance = await PeerInstance.join(init)
    if (place.machine !== machine) return
    place.peer = peer
    place.client = new Client(instance)
  }

  /** Tickets that name every controller that is known by now. */
  async #makeTickets(): Promise<void> {
    const { client } = this.places[0] as Place
    await this.go(1_000)
    const make = (roles: readonly MeshRole[]): Promise<string> => (client as Client).createTicket({ roles, uses: 1_000, ttlMs: 86_400_000 })
    this.#tickets = { standby: await make(ROLES), peer: await make(['replica', 'caller']) }
  }

  #edit({ client, machine, name }: Place): void {
    if (client === undefined) return
    const edit = `e${++this.#edits}`
    const isKept = this.random() < 0.6
    const work = isKept
      ? client.createEndpoint(edit, { backend: 'once' })
      : client.updateBackendConfig('again', { maxConcurrentQueries: 1 + Math.floor(this.random() * 4) })
    work.then(
      () => {
        this.trace(`edit ${edit} at ${name}`)
        if (isKept && this.places.some((place) => place.machine === machine)) this.#acked.push(edit)
      },
      (error: unknown) => this.trace(`edit ${edit} at ${name} ${String((error as ServeError).code)}`),
    )
  }

  #fault(): void {
    const kind = this.pickFault(this.#faults)
    if (kind === undefined) return
    const place = this.pick(this.places)
    this.trace(`fault ${kind} ${place.name}`)
    if (kind === 'cut') this.network.cut(place.name, this.pick(this.places).name)
    if (kind === 'wall') {
      for (const { name } of this.places) if (name !== place.name && this.random() < 0.7) this.network.partition(place.name, name)
      this.time.after(2_000 + this.random() * 12_000, () => this.network.heal())
    }
    if (kind === 'replica') {
      const { alive } = place.host
      if (alive.length > 0) void this.pick(alive).die()
    }
    if (kind === 'peer') this.#crash(this.pick(this.places.filter((one) => one.kind === 'peer')))
    if (kind === 'controller') this.#crash(this.pick(this.places.filter((one) => one.kind !== 'peer')))
    if (kind === 'leader') {
      const leader = this.places.find(({ founding, standby }) => founding?.group.role === 'acting' || standby?.isActing === true)
      if (leader !== undefined) this.#crash(leader)
    }
  }

  #crash(place: Place, mostMs = 10_000): void {
    if (place.client === undefined) return
    this.trace(`crash ${place.name}`)
    place.machine = place.machine.replace()
    Object.assign(place, { client: undefined, peer: undefined, standby: undefined, founding: undefined })
    place.disk.crash()
    this.network.crash(place.name)
    const { machine } = place
    const start = (): void => {
      if (place.machine !== machine || !this.#down.delete(place)) return
      void this.#start(place)
    }
    this.#down.set(place, start)
    this.time.after(500 + this.random() * mostMs, start)
  }

  /** A founder that another has followed leads no more; whoever runs its process starts it again. */
  #replaceSuperseded(): void {
    for (const place of this.places) if (place.founding?.group.role === 'standby') this.#crash(place, 2_000)
  }

  async #heal(): Promise<number> {
    const startedAtMs = this.time.nowMs()
    const limitMs = IN_STEP_MS / SLOWEST
    let inStepMs = 0
    // One that was about to take over at the heal may do so after a moment in which all looked well: what counts is when they were last out of step.
    await this.go(limitMs, () => {
      this.#replaceSuperseded()
      if (!this.#isInStep()) inStepMs = this.time.nowMs() - startedAtMs
      return false
    })
    if (!this.#isInStep()) throw new Broken(`not in step ${limitMs} ms after the heal: ${this.describe()}`)
    // Whoever starts only now may bring word of a greater term, after which somebody has to begin another one.
    for (let stableMs = 0; stableMs < STABLE_MS; ) {
      const isWhole = await this.go(WHOLE_MS - (this.time.nowMs() - startedAtMs), () => {
        this.#replaceSuperseded()
        return this.#isWhole()
      })
      if (!isWhole) throw new Broken(`not whole ${WHOLE_MS} ms after the heal: ${this.describe()}`)
      const wholeAtMs = this.time.nowMs()
      await this.go(STABLE_MS, () => !this.#isWhole())
      stableMs = this.time.nowMs() - wholeAtMs
    }
    const { endpoints } = this.#leaderTable() as RoutingTable
    const lost = this.#acked.filter((name) => !endpoints.has(name))
    if (lost.length > 0) throw new Broken(`acknowledged and gone: ${lost.join(', ')}; ${this.describe()}`)
    return inStepMs
  }

  /** What the one that leads has, when it is one. */
  #leaderTable(): RoutingTable | undefined {
    const acting = this.places.filter(({ founding, standby }) => founding?.group.role === 'acting' || standby?.isActing === true)
    const [leader] = acting
    return acting.length === 1 ? (leader?.founding?.instance.controller.table ?? leader?.peer?.table) : undefined
  }

  #isInStep(): boolean {
    const table = this.#leaderTable()
    const leader = this.places.find(({ founding, standby }) => founding?.group.role === 'acting' || standby?.isActing === true)
    const epoch = leader?.founding?.group.leader ?? leader?.standby?.group.leader
    if (table === undefined || table.version === 0) return false
    return this.places.every(({ client, peer }) => {
      if (client === undefined) return false
      return peer === undefined || (peer.epoch.term === epoch?.term && peer.table.version === table.version)
    })
  }

  #isWhole(): boolean {
    return this.#isInStep() && this.hasAllReplicas
  }

  protected describe(): string {
    const places = this.places.map(({ name, peer, client, standby, founding }) => {
      const group = founding?.group ?? standby?.group
      const role = group === undefined ? '' : ` ${group.role} of ${group.leader.term}.${group.leader.controllerId}`
      return `${name} ${client === undefined ? 'out' : 'in'}${role} table ${peer?.epoch.term}/${peer?.table.version}`
    })
    return `once ${this.aliveOf('once')}, again ${this.aliveOf('again')}; ${places.join('; ')}`
  }

  #authority(group: ControllerGroup | undefined): MeshAuthority {
    const epochMs = this.epochMs
    const keep = group === undefined ? undefined : async (edits: Parameters<ControllerGroup['edit']>[0]) => void (await group.edit(edits))
    const book = new TicketBook({ epochMs, kept: group?.map.values, keep })
    return new MeshAuthority({ signer, verify, peek, epochMs, random: this.random, book })
  }
}
