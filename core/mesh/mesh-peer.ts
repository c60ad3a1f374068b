import { type Clock, isServeError, type Logger, type Random, ServeError, type Stop, sleep, Topic, type Turns } from '../base/index.ts'
import { within } from '../controller/index.ts'
import type { RoutingTable } from '../model/index.ts'
import type { ReplicaControl, ReplicaHost, ReplicaSpec } from '../replica/index.ts'
import { type CallTarget, Router } from '../router/index.ts'
import { enter, type GateOptions, type Member, type PeerCard } from './admission.ts'
import { BundleIntake, type BundleIntakeOptions, type BundleListing, type BundleSource } from './bundle-intake.ts'
import { serveBundlePort } from './bundle-transfer.ts'
import { limitedTarget } from './call-limits.ts'
import type { ControllerGroup } from './controller-group.ts'
import { dialFirst } from './dial-first.ts'
import { FarLanes } from './far-lanes.ts'
import { type GateCounts, Gatekeeper, withWaiting } from './gatekeeper.ts'
import { GROUP_PORT, seatController, serveGroupPort } from './group-port.ts'
import type { Link } from './link.ts'
import type { MeshCounts } from './mesh-hub.ts'
import type { MessageCodec } from './message-codec.ts'
import { CONTROL_PORT, INSTANCE_PORT, type OpenPeerControl, type PeerControl } from './peer-control.ts'
import { DEFAULT_IDLE_LINK_MS, DEFAULT_MAX_PEERS, PeerLinks } from './peer-links.ts'
import { applyPeers, type PeerEntry, type PeersDelta } from './peer-list.ts'
import type { PeerConnection, PeerTransport } from './peer-transport.ts'
import { QueueMap } from './queue-map.ts'
import { keepConnected } from './redial.ts'
import { Relay } from './relay.ts'
import { type AdoptedAs, ReplicaRoom } from './replica-room.ts'
import { type MeshRole, requireRole } from './roles.ts'
import { BackendDoor } from './serve-backends.ts'
import { TableFollower, type TablePush, type TableTaken } from './stamped-table.ts'
import { readCredential, type TicketClaims, type VerifySigned } from './ticket.ts'
import { compareEpochs, type Epoch, isEpoch } from './versioned-map.ts'
import type { VirtualPort } from './virtual-port.ts'
import { DEFAULT_MAX_ADMISSIONS } from './waiting-room.ts'

/** How long a peer that leaves waits for its replicas to be handed over. */
const HAND_OVER_MS = 30_000
/** Attempts to join when the connection breaks in between. */
const FIRST_ATTEMPTS = 3
/** How long calls wait for a link to a node that was not called before; then they go elsewhere until there is one. */
const COLD_MS = 1_000
/** Peers that have a bundle and are asked for it before the controller. */
const MAX_HOLDERS_ASKED = 2
/** How often a peer tells of its load. */
const LOAD_MS = 1_000
/** Codes of a refusal that no later attempt changes. */
const FINAL_CODES: ReadonlySet<string> = new Set([
  'ERR_TICKET_INVALID',
  'ERR_TICKET_EXPIRED',
  'ERR_TICKET_USED',
  'ERR_FORBIDDEN',
  'ERR_PROTOCOL_VERSION',
])

export interface MeshPeerInit {
  readonly transport: PeerTransport
  readonly ticket: string
  readonly claims: TicketClaims
  /** Roles asked for. @default all that the ticket grants */
  readonly roles?: readonly MeshRole[] | undefined
  /** This node. */
  readonly card: Omit<PeerCard, 'addresses' | 'isolations'>
  /** By isolation. */
  readonly hosts: ReadonlyMap<string, ReplicaHost>
  readonly codec: MessageCodec
  readonly maxMessageBytes?: number | undefined
  /** Connections between other peers that this one passes on. @default 0: none */
  readonly maxRelayed?: number | undefined
  /** Other peers that this one is linked to at once. @default 120 */
  readonly maxPeers?: number | undefined
  /** How long a link to another peer may carry nothing before it is closed, in milliseconds. @default 300000 */
  readonly idleLinkMs?: number | undefined
  /** Connections of others that may be in admission here at once. @default 50 */
  readonly maxAdmissions?: number | undefined
  readonly verify: VerifySigned
  readonly openControl: OpenPeerControl
  /** Milliseconds since 1970. */
  readonly epochMs: () => number
  /** What code may run here, and where it is kept. @default whatever the controller sends, as it is; for peers that have the same files */
  readonly bundles?: BundleIntakeOptions | undefined
  /** What lets it in instead of the ticket, for one that holds the key of the mesh. It may be alone at first: joining goes on until somebody leads. */
  readonly credential?: string | undefined
  /** Set: with the role `controller` it keeps the state of the mesh too. */
  readonly standby?: StandbyEnd | undefined
}

/** What a peer does for the controller that may rise on its node. */
export interface StandbyEnd {
  readonly group: ControllerGroup
  /** The key of the mesh, which only controllers have. Resolves when it would outlive a crash. */
  keep(secret: unknown): Promise<void>
}

/** What the controller is to a peer while it is connected. */
interface Seat {
  readonly member: Member
  readonly control: PeerControl
}

/** A controller as peers need to know it. Plain data. */
export interface ControllerAddress {
  readonly id: string
  readonly addresses: readonly string[]
}

/** Under which epoch a connected controller leads; undefined until it said so. */
interface Lead {
  epoch: Epoch | undefined
}

/**
 * A joined peer: it hosts replicas when the controller asks, keeps the routing table that the controller pushes, and calls straight to whoever has
 * replicas. When the controller is away it goes on with the last table and dials it until it is back.
 */
export class MeshPeer {
  readonly router: Router
  readonly #init: MeshPeerInit
  readonly #clock: Clock
  readonly #turns: Turns
  readonly #random: Random
  readonly #log: Logger
  readonly #queues: QueueMap
  readonly #room: ReplicaRoom
  readonly #far: FarLanes
  readonly #door: BackendDoor
  readonly #gate: Gatekeeper
  readonly #intake: BundleIntake | undefined
  readonly #abort = new AbortController()
  readonly #relay: Relay
  #links: PeerLinks | undefined
  #peers: { readonly version: number; readonly entries: readonly PeerEntry[] } = { version: 0, entries: [] }
  #revoked: ReadonlySet<string> = new Set()
  #credential = ''
  #roles: readonly MeshRole[] = []
  #mayHost = false
  #mayCall = false
  #isLimited = false
  #target: CallTarget
  #stopLoad: Stop = () => {}
  #seat: Seat | undefined
  #controllerId = ''
  #gatewayWanted: unknown
  #gatewayUrl: string | undefined
  #isClosing = false
  #isTelling = false
  readonly #follower = new TableFollower()
  readonly #tables = new Topic<RoutingTable>()
  /** The greatest epoch that was heard of. Who leads under a lesser one is not obeyed any more. */
  #obeyed: Epoch = this.#follower.epoch
  /** Who may lead, as the controllers last said. */
  #controllers: readonly ControllerAddress[] = []
  #nudge: () => void = () => {}
  #onFirst: { resolve(): void; reject(error: unknown): void } | undefined
  #onSeat: (seat: Member | undefined) => void = () => {}
  #onExpelled: (error: ServeError) => void = () => {}
  /** What calls hear that wait when this peer leaves. */
  #leftWith = new ServeError('ERR_CLIENT_CLOSED', 'this peer has left the mesh', { outcome: 'not-started' })

  constructor(init: MeshPeerInit, clock: Clock, turns: Turns, random: Random, log: Logger) {
    this.#init = init
    this.#clock = clock
    this.#turns = turns
    this.#random = random
    this.#log = log
    const onStarved = (tag: string): void => {
      if (this.#mayCall && this.table.backends.get(tag)?.wantedReplicas === 0) this.#seat?.control.tell('starved', tag)
    }
    this.#queues = new QueueMap({ onOverdue: (lane) => void this.#room.probe(lane), onStarved }, clock, turns, random)
    this.router = new Router(this.#queues.queues, random)
    this.#target = this.router
    const isLimited = (): boolean => this.#isLimited
    this.#far = new FarLanes(this.#queues.queues, (id) => this.#reachFor(id), isLimited, clock)
    this.#gate = new Gatekeeper(init.maxAdmissions ?? DEFAULT_MAX_ADMISSIONS, clock, turns, log)
    this.#door = new BackendDoor({ queues: () => this.#queues.queues, table: () => this.router.table }, this.#gate, clock, turns)
    const router: CallTarget = { dispatch: (call) => this.#target.dispatch(call) }
    this.#intake =
      init.bundles === undefined
        ? undefined
        : new BundleIntake(
            init.bundles,
            {
              sources: (holders) => this.#bundleSources(holders),
              onRefused: (refusal) => this.#seat?.control.tell('bundle-refused', refusal),
            },
            clock,
            log,
          )
    // By its own links alone: a chain of relays could lead round in a ring.
    const linkTo = (id: string): Link | undefined => (this.#links?.viaOf(id) === undefined ? this.#links?.get(id)?.link : undefined)
    this.#relay = new Relay({ maxRelayed: init.maxRelayed ?? 0, linkTo })
    this.#room = new ReplicaRoom(
      {
        hosts: this.#intake?.over(init.hosts) ?? init.hosts,
        router,
        queueFor: (tag, limits) => this.#queues.ensure(tag, limits),
        onGone: (replicaId, end) => this.#seat?.control.tell('gone', { replicaId, end: { reason: end.reason, expected: end.expected } }),
        onChange: () => this.#tellInventory(),
      },
      clock,
      turns,
      log,
    )
  }

  /** Where the calls of this node go: the router, or what holds them to the endpoints of its ticket. */
  get target(): CallTarget {
    return this.#target
  }

  get table(): RoutingTable {
    return this.#follower.table
  }

  /** Tells of every table that is in force from now on. */
  onTable(listener: (table: RoutingTable) => void): Stop {
    return this.#tables.on(listener)
  }

  /** The epoch of the table. */
  get epoch(): Epoch {
    return this.#follower.epoch
  }

  get queues(): QueueMap['queues'] {
    return this.#queues.queues
  }

  /** Who else is there, as the controller last said. */
  get entries(): readonly PeerEntry[] {
    return this.#peers.entries
  }

  /** What its credential grants. */
  get roles(): readonly MeshRole[] {
    return this.#roles
  }

  get name(): string {
    return this.#init.card.name
  }

  get peerId(): string {
    return this.#init.transport.peerId
  }

  /** Options of the gateway that the controller wants on each node with the role; undefined when it wants none. */
  get gatewayWanted(): unknown {
    return this.#gatewayWanted
  }

  /** A gateway is open here: whoever asks for the status sees where. */
  noteGateway(url: string): void {
    this.#gatewayUrl = url
    this.#seat?.control.tell('gateway-open', url)
  }

  /** Who was not let in here, and what members may not do; for metrics. */
  get gateCounts(): GateCounts {
    return withWaiting(this.#gate.counts, this.#init.transport.waiting)
  }

  /** What this node does for its mesh. */
  get counts(): MeshCounts {
    const { members = [], refused = 0, closedIdle = 0 } = this.#links ?? {}
    return { peers: members.length, turnedAway: refused, closedIdle, relayed: this.#relay.counts }
  }

  /** Peers to which there is a link. */
  get linked(): readonly string[] {
    return this.#links?.members.map(({ peerId }) => peerId) ?? []
  }

  /** The peer through which another one is reached; undefined for a direct link or none. */
  viaOf(peerId: string): string | undefined {
    return this.#links?.viaOf(peerId)
  }

  /** Smoothed time to the controller and back; undefined while it is away. */
  get controllerRttMs(): number | undefined {
    return this.#seat?.member.link.rttMs
  }

  /**
   * Joins; resolves when the first routing table is in force. Rejects with what the controller said of the ticket, and with `ERR_NO_CONTROLLER` when none
   * of the addresses answers. From then on it never gives up. `onSeat` hears of each connection to the controller and of its loss, `onExpelled` that the
   * controller will have it no more: it has left then, and what waits fails with that error.
   */
  async join(onSeat: (controller: Member | undefined) => void, onExpelled: (error: ServeError) => void): Promise<void> {
    this.#onSeat = onSeat
    this.#onExpelled = onExpelled
    this.#credential = this.#init.credential ?? ''
    this.#links = this.#openLinks()
    if (this.#init.credential === undefined) {
      const { whenGone } = await this.#connectFirst()
      void this.#stayConnected(whenGone)
    } else {
      await new Promise<void>((resolve, reject) => {
        this.#onFirst = { resolve, reject }
        void this.#stayConnected(Promise.resolve())
      })
    }
  }

  /** There is news of who leads: a connection to who does not any more is given up, and the next attempt is made at once. */
  lookAgain(leader: ControllerAddress): void {
    this.#controllers = [leader, ...this.#controllers.filter(({ id }) => id !== leader.id)]
    if (this.#controllerId !== leader.id) this.#seat?.member.link.close('another controller leads')
    this.#nudge()
  }

  /** Somebody leads, by word of another controller: where this peer looks for one, it looks there first and now. */
  lookFor(leader: ControllerAddress): void {
    if (this.#seat === undefined) this.lookAgain(leader)
  }

  /** A peer has come to the controller that has risen on this node, and means this one. */
  meet(member: Member, connection: PeerConnection): void {
    if (this.#links === undefined) member.link.close('the peer is not there')
    else this.#links.meet(member, connection)
  }

  /** A port to the controller's instance, for edits and questions. `ERR_NO_CONTROLLER` while it is away. */
  openInstancePort(): VirtualPort {
    const { link } = this.#seatOf()
    return link.openPort(INSTANCE_PORT)
  }

  /** Hands its replicas over, drains, and goes. Calling it again does nothing. */
  async close(timeoutMs: number = HAND_OVER_MS): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    const control = this.#seat?.control
    if (control !== undefined && timeoutMs > 0) {
      const handedOver = control.request('leave').catch(() => undefined)
      await within(this.#clock, handedOver, timeoutMs, undefined)
    }
    this.#abort.abort(new ServeError('ERR_CLIENT_CLOSED', 'the peer left'))
    this.#stopLoad()
    await this.#room.close(timeoutMs)
    this.#links?.close('the peer left')
    this.#far.close('this peer left')
    this.#seat?.member.link.close('the peer left')
    for (const queue of this.#queues.queues.values()) {
      queue.failAll(() => this.#leftWith)
    }
    this.#queues.close()
    await this.#init.transport.close()
    await this.#intake?.store.close()
  }

  #seatOf(): Member {
    if (this.#seat !== undefined) return this.#seat.member
    throw new ServeError('ERR_NO_CONTROLLER', 'the controller is out of reach; calls go on, edits wait until it is back')
  }

  get #card(): PeerCard {
    const { card, transport, hosts, bundles } = this.#init
    const only = bundles?.named === undefined ? {} : { onlyBackends: [...bundles.named.keys()] }
    const relays = (this.#init.maxRelayed ?? 0) > 0 ? { relays: true } : {}
    return { ...card, addresses: transport.addresses, isolations: [...hosts.keys()], ...only, ...relays }
  }

  get #common() {
    const { codec, maxMessageBytes, verify, epochMs, claims } = this.#init
    const linkOptions = { codec, ...(maxMessageBytes !== undefined && { maxMessageBytes }) }
    return { mesh: claims.mesh, card: () => this.#card, linkOptions, verify, epochMs }
  }

  async #stayConnected(first: Promise<void>): Promise<void> {
    await first
    try {
      await keepConnected(
        {
          connect: async (signal) => {
            const { whenGone } = await this.#connectToController(signal)
            this.#onFirst?.resolve()
            await whenGone
          },
          peers: () => this.#peers.entries.length,
          isFinal: (error) => isServeError(error) && FINAL_CODES.has(error.code),
          pause: (delayMs, signal) => {
            const nudged = new Promise<void>((resolve) => {
              this.#nudge = resolve
            })
            return Promise.race([sleep(this.#clock, delayMs, signal), nudged])
          },
          onFailure: (error, delayMs) => this.#log.warn({ reason: String(error), delayMs: Math.round(delayMs) }, 'controller.away'),
        },
        this.#abort.signal,
        this.#clock,
        this.#random,
      )
    } catch (error) {
      this.#onFirst?.reject(error)
      this.#init.standby?.group.resign()
      await this.#leaveExpelled(error as ServeError)
    }
  }

  /** It is no member any more: what it runs for the mesh ends, and nobody waits for it. */
  async #leaveExpelled({ code, message }: ServeError): Promise<void> {
    this.#log.error({ code, reason: message }, 'peer.expelled')
    this.#leftWith = new ServeError(code, `this peer was sent away (${message})`, { outcome: 'not-started' })
    this.#onExpelled(this.#leftWith)
    await this.close(0)
  }

  /** The first time a connection that breaks in between is tried again a few times; whatever else goes wrong is for the caller to know. */
  async #connectFirst(): Promise<{ readonly whenGone: Promise<void> }> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#connectToController(this.#abort.signal)
      } catch (error) {
        if (attempt >= FIRST_ATTEMPTS || !isServeError(error, 'ERR_PEER_UNREACHABLE')) throw error
      }
    }
  }

  /** Tries all that may lead. Resolves when the table is in force; `whenGone` when that connection is lost again. */
  async #connectToController(signal: AbortSignal): Promise<{ readonly whenGone: Promise<void> }> {
    const { addresses } = this.#init.claims
    const known = this.#controllers.map((controller) => controller.addresses)
    // A ticket may name several controllers: who answers at one address may not be who leads.
    const rest = addresses.filter((address) => !known.flat().includes(address)).map((address) => [address])
    const candidates = [...known, ...rest].filter((list) => list.length > 0)
    const failures: unknown[] = []
    for (const candidate of candidates) {
      try {
        return await this.#connectTo(candidate, signal)
      } catch (error) {
        signal.throwIfAborted()
        if (isServeError(error) && FINAL_CODES.has(error.code)) throw error
        failures.push(error)
      }
    }
    const [failure] = failures
    throw isServeError(failure) ? failure : new ServeError('ERR_NO_CONTROLLER', 'no controller is known', { cause: failure })
  }

  async #connectTo(addresses: readonly string[], signal: AbortSignal): Promise<{ readonly whenGone: Promise<void> }> {
    const connection = await this.#dialAny(addresses, signal)
    const pass = this.#credential === '' ? { ticket: this.#init.ticket } : { credential: this.#credential }
    const options = { ...this.#common, pass, roles: this.#init.roles, wants: 'controller' } as const
    const { member, credential } = await enter(connection, options, this.#clock, this.#turns)
    requireRole(member, 'controller', 'leading the mesh')
    if (credential !== undefined) this.#credential = credential
    const { roles, endpoints } = await readCredential(this.#credential, this.#init.claims.mesh, this.#init.verify)
    this.#roles = roles
    this.#mayHost = roles.includes('replica')
    this.#mayCall = roles.includes('caller')
    this.#isLimited = endpoints !== undefined
    if (endpoints !== undefined) this.#target = limitedTarget(this.router, this.peerId, endpoints)
    this.#controllerId = member.peerId
    member.link.onPort((port) => this.#takePort(port, member))
    const port = member.link.openPort(CONTROL_PORT)
    const control = this.#init.openControl(port, this.#handlersFor(member, { epoch: undefined }))
    const toError = (reason: string) => (): ServeError =>
      new ServeError('ERR_NO_CONTROLLER', `the controller is out of reach (${reason})`, { outcome: 'started-unknown' })
    port.onClosed((reason) => control.end(toError(reason)))
    this.#seat = { member, control }
    this.#intake?.unlistAll()
    const whenGone = member.link.whenGone.then((end) => {
      control.end(toError(end.reason))
      // What leads may be a peer with a link of its own.
      if (this.#links?.get(member.peerId) === undefined) this.#far.remove(member.peerId, `the controller is out of reach (${end.reason})`)
      if (this.#seat?.member !== member) return
      this.#seat = undefined
      this.#onSeat(undefined)
    })
    try {
      await control.request('enter', { replicas: this.#room.report })
      if (roles.includes('controller')) await this.#standBy(member, control)
    } catch (error) {
      member.link.close('not led from here')
      throw error
    }
    this.#tellInventory()
    this.#tellLoad(control)
    if (this.#gatewayUrl !== undefined) control.tell('gateway-open', this.#gatewayUrl)
    this.#onSeat(member)
    return { whenGone }
  }

  /** Joins those who keep the state. The key comes first: who takes over must have it. */
  async #standBy(controller: Member, control: PeerControl): Promise<void> {
    const { standby } = this.#init
    if (standby === undefined || controller.peerId === this.peerId) return
    await standby.keep(await control.request('secret'))
    seatController(controller.link.openPort(GROUP_PORT), controller, standby.group)
  }

  async #dialAny(addresses: readonly string[], signal: AbortSignal): Promise<PeerConnection> {
    try {
      return await dialFirst(this.#init.transport, addresses, signal, this.#clock, (connection) => connection)
    } catch (cause) {
      signal.throwIfAborted()
      throw new ServeError('ERR_NO_CONTROLLER', `the controller answers at none of ${addresses.join(', ')}`, { cause })
    }
  }

  #handlersFor(controller: Member, lead: Lead) {
    const asController = <A extends readonly unknown[]>(what: string, work: (...args: A) => unknown) => {
      return (...args: A): unknown => {
        requireRole(controller, 'controller', what)
        this.#requireObeyed(lead.epoch, what)
        return work(...args)
      }
    }
    const requests = new Map<string, (...args: never[]) => unknown>(
      Object.entries({
        lead: (epoch: unknown) => {
          requireRole(controller, 'controller', 'leading the mesh')
          return { epoch: this.#follow(lead, epoch) }
        },
        table: (push: TablePush) => {
          requireRole(controller, 'controller', 'a routing table')
          return this.#takeTable(push)
        },
        start: asController('starting a replica', (spec: ReplicaSpec, isolation: string, mark: string) =>
          this.#startReplica(spec, isolation, mark),
        ),
        adopt: asController('adopting a replica', (replicaId: string, as: AdoptedAs) => this.#room.adopt(replicaId, as)),
        stop: asController('stopping a replica', (replicaId: string, timeoutMs: number) => this.#room.stop(replicaId, timeoutMs)),
        control: asController('controlling a replica', (replicaId: string, method: keyof ReplicaControl, argument: unknown) =>
          this.#room.control(replicaId, method, argument),
        ),
      }),
    )
    const told = new Map<string, (value: never) => void>(
      Object.entries({
        peers: asController('news of peers', (delta: PeersDelta) => this.#takePeers(delta)) as (value: never) => void,
        abandon: asController('stopping a replica', (replicaId: string) => this.#room.abandon(replicaId)) as (value: never) => void,
        credential: asController('a credential', (token: string) => {
          this.#credential = token
        }) as (value: never) => void,
        bundles: asController('a list of bundles', (entries: readonly BundleListing[]) => this.#intake?.list(entries)) as (
          value: never,
        ) => void,
        controllers: asController('a list of controllers', (list: readonly ControllerAddress[]) => {
          this.#controllers = list
          if (this.#init.standby !== undefined) this.#followPeers()
        }) as (value: never) => void,
        'bundles-unlisted': asController('a list of bundles', (digests: readonly string[]) => this.#intake?.unlist(digests)) as (
          value: never,
        ) => void,
        gateway: asController('opening a gateway', (options: unknown) => {
          this.#gatewayWanted = options
        }) as (value: never) => void,
        revoked: asController('revocations', (ids: readonly string[]) => this.#takeRevoked(ids)) as (value: never) => void,
      }),
    )
    return { requests, told }
  }

  /** @returns what is obeyed here, which is a greater epoch where another leads */
  #follow(lead: Lead, epoch: unknown): Epoch {
    if (!isEpoch(epoch)) throw new ServeError('ERR_BAD_REQUEST', 'a controller says under which epoch it leads')
    if (compareEpochs(epoch, this.#obeyed) >= 0) {
      this.#obeyed = Object.freeze({ term: epoch.term, controllerId: epoch.controllerId })
      lead.epoch = this.#obeyed
    }
    return this.#obeyed
  }

  #requireObeyed(epoch: Epoch | undefined, what: string): void {
    if (epoch !== undefined && compareEpochs(epoch, this.#obeyed) >= 0) return
    const { term, controllerId } = this.#obeyed
    throw new ServeError('ERR_NO_CONTROLLER', `${what}: controller ${controllerId} leads since term ${term}`)
  }

  #startReplica(spec: ReplicaSpec, isolation: string, mark: unknown): Promise<unknown> {
    if (this.#isClosing) throw new ServeError('ERR_PEER_UNREACHABLE', `backend ${spec.backend}: this peer leaves`)
    return this.#room.start(spec, isolation, typeof mark === 'string' ? mark : '')
  }

  #takeTable(push: TablePush): { readonly taken: TableTaken; readonly epoch: Epoch } {
    const before = this.#follower.table
    const taken = compareEpochs(push.epoch, this.#obeyed) < 0 ? 'stale' : this.#follower.take(push)
    const { table } = this.#follower
    if (table !== before) this.#useTable(before, table)
    return { taken, epoch: this.#obeyed }
  }

  #useTable(before: RoutingTable, table: RoutingTable): void {
    // Versions of controllers count from the start in each epoch, those of a router only grow.
    this.router.swap(Object.freeze({ ...table, version: this.router.table.version + 1 }))
    this.#queues.follow(table)
    for (const name of before.endpoints.keys()) if (!table.endpoints.has(name)) this.#failCallsOf(name)
    this.#far.refresh()
    this.#door.refresh()
    this.#tables.emit(table)
  }

  #failCallsOf(endpoint: string): void {
    for (const queue of this.#queues.queues.values()) {
      queue.failAll(
        () =>
          new ServeError('ERR_ENDPOINT_NOT_FOUND', `endpoint ${endpoint} was deleted while the call waited`, { outcome: 'not-started' }),
        (call) => call.endpoint === endpoint && !call.shadow,
      )
    }
  }

  #takeRevoked(ids: readonly string[]): void {
    this.#revoked = new Set(ids)
    for (const { link, ticketId } of this.#links?.members ?? []) if (this.#revoked.has(ticketId)) link.close('its ticket was revoked')
  }

  /** Links to others are made when a call needs one, and kept while they are used; those that may be for passing on what goes between others are made at once. */
  #takePeers(delta: PeersDelta): void {
    const peers = applyPeers(this.#peers, delta)
    if (peers === undefined) return this.#seat?.control.tell('peers-misfit', null)
    this.#peers = peers
    this.#followPeers()
  }

  /** Lanes and links as who is there now needs them. */
  #followPeers(): void {
    const { entries } = this.#peers
    for (const { id, ready } of entries) {
      const isController = id === this.#controllerId
      const link = this.#links?.get(id)?.link ?? (isController ? this.#seat?.member.link : undefined)
      if (link !== undefined || !isController) this.#far.set(id, link, ready)
      if (!isController && this.#isKept(id)) this.#links?.want(id)
    }
    const ids = new Set(entries.map(({ id }) => id))
    this.#links?.retain((id) => ids.has(id))
    this.#far.retain((id) => ids.has(id))
  }

  /** A link to who leads stays, and those that may be for more than calls. */
  #isKept(id: string): boolean {
    const { maxRelayed = 0, standby } = this.#init
    const isFellow = standby !== undefined && this.#controllers.some((controller) => controller.id === id)
    const relays = maxRelayed > 0 || this.#peers.entries.some((entry) => entry.id === id && entry.relays === true)
    return isFellow || relays || id === this.#controllerId
  }

  /** A call waits for a link to that peer, but not for long when there are others. */
  #reachFor(id: string): void {
    const name = this.#peers.entries.find((entry) => entry.id === id)?.name ?? id
    if (this.#links?.want(id) !== true) return this.#leaveOut(id)
    this.#clock.after(COLD_MS, () => {
      // Of one that went meanwhile and is back nobody seeks a way: its next call does.
      if (this.#links?.get(id) !== undefined || this.#links?.isWanted(id) !== true) return
      const failure = this.#links.failureOf(id)
      // What a relay said is the cause.
      const { code } = [(failure as Error | undefined)?.cause, failure].find((error) => isServeError(error)) ?? {}
      this.#log.warn({ peer: id, name, code, reason: String(failure) }, 'peer.not-reached')
      this.#far.remove(id, `peer ${name} was not reached within ${COLD_MS} ms`)
    })
  }

  /** There is no place for a link to that peer: for a moment calls go elsewhere. */
  #leaveOut(id: string): void {
    const name = this.#peers.entries.find((entry) => entry.id === id)?.name ?? id
    this.#far.remove(id, `peer ${name} is one too many to be connected to (mesh.maxPeers)`)
    this.#clock.after(COLD_MS, () => this.#far.revive(id))
  }

  #openLinks(): PeerLinks {
    const { transport } = this.#init
    return new PeerLinks(
      {
        transport,
        enter: async (connection) => {
          const pass = { credential: this.#credential }
          const { member } = await enter(connection, { ...this.#common, pass }, this.#clock, this.#turns)
          const { standby } = this.#init
          if (standby !== undefined && member.roles.includes('controller')) {
            seatController(member.link.openPort(GROUP_PORT), member, standby.group)
          }
          return member
        },
        admit: async (connection) => {
          const gate: GateOptions = {
            ...this.#common,
            proof: () => this.#credential,
            isRevoked: (ticketId) => this.#revoked.has(ticketId),
            requireLeading: () => this.#requireLeading(),
            requirePlace: (peerId) => this.#links?.requirePlace(peerId),
          }
          const member = await this.#gate.admit(connection, gate)
          if (member.wants !== 'group') return member
          member.link.onPort((port) => {
            if (serveGroupPort(port, member, this.#init.standby?.group)) return
            throw new ServeError('ERR_UNSUPPORTED', `there is no port called ${port.name} for controllers`)
          })
          return undefined
        },
        addressesOf: (id) => this.#peers.entries.find((entry) => entry.id === id)?.addresses,
        maxPeers: this.#init.maxPeers ?? DEFAULT_MAX_PEERS,
        peers: () => this.#peers.entries.length,
        idleLinkMs: this.#init.idleLinkMs ?? DEFAULT_IDLE_LINK_MS,
        isKept: (id) => this.#isKept(id),
        isBusy: ({ peerId, link }) => this.#far.isBusy(peerId) || this.#door.isBusy(link),
        onIdle: ({ peerId }) => this.#far.unlink(peerId),
        onGivenUp: (id) => this.#leaveOut(id),
        onUnlinked: (id) => {
          this.#far.revive(id)
          // What was called since waits for a link.
          if (this.#far.isBusy(id)) this.#reachFor(id)
        },
        relaysTo: (id) => this.#relaysTo(id),
        serve: (member) => member.link.onPort((port) => this.#gate.hold(member, () => this.#takePort(port, member))),
        onLink: (member) => {
          const ready = this.#peers.entries.find((entry) => entry.id === member.peerId)?.ready
          if (ready !== undefined) this.#far.set(member.peerId, member.link, ready)
        },
        onGone: ({ peerId, card }, reason) => {
          this.#far.remove(peerId, `peer ${card.name} is out of reach (${reason})`)
          if (this.#links?.isWanted(peerId) !== true) this.#far.revive(peerId)
          // Who leads as well is reached by that connection then.
          if (peerId === this.#controllerId && this.#seat !== undefined) this.#followPeers()
        },
      },
      this.#clock,
      this.#random,
      this.#log,
    )
  }

  /** The controller, then others that said they would. */
  #relaysTo(peerId: string): readonly Member[] {
    const others = (this.#links?.direct ?? []).filter((member) => member.card.relays === true && member.peerId !== peerId)
    return this.#seat === undefined ? others : [this.#seat.member, ...others]
  }

  /** A peer that looks for who leads is told who that is. */
  #requireLeading(): never {
    const { term, controllerId } = this.#obeyed
    const who = term === 0 ? 'nobody that it knows does' : `controller ${controllerId} does, since term ${term}`
    throw new ServeError('ERR_NO_CONTROLLER', `peer ${this.peerId} does not lead the mesh; ${who}`)
  }

  #takePort(port: VirtualPort, member: Member): void {
    if (serveGroupPort(port, member, this.#init.standby?.group)) return
    if (this.#relay.takePort(port, member) || this.#links?.takePort(port, member.peerId) || this.#links?.takeIdle(port, member)) return
    if (this.#door.serve(port, member)) return
    const intake = this.#intake
    if (intake !== undefined && serveBundlePort(port, member, { store: intake.store, isListed: (digest) => intake.isListed(digest) }))
      return
    throw new ServeError('ERR_UNSUPPORTED', `there is no port called ${port.name} on this peer`)
  }

  /** Peers before the controller, so that not all of many peers fetch from it. */
  async #bundleSources(holders: readonly string[]): Promise<BundleSource[]> {
    const known = holders.filter((id) => id !== this.#controllerId && this.#peers.entries.some((entry) => entry.id === id))
    const sources: BundleSource[] = []
    for (const id of known.slice(0, MAX_HOLDERS_ASKED)) {
      const member = await this.#links?.reach(id, COLD_MS)
      if (member !== undefined && !member.link.isGone) sources.push({ peerId: id, link: member.link })
    }
    const seat = this.#seat
    return seat === undefined ? sources : [...sources, { peerId: seat.member.peerId, link: seat.member.link }]
  }

  /** Once a second, while there is something to tell: the controller scales by the load of all. */
  #tellLoad(control: PeerControl, before: Readonly<Record<string, number>> = {}): void {
    if (this.#seat?.control !== control || this.#isClosing || !this.#mayCall) return
    const { load } = this.#queues
    if (Object.keys(load).length > 0 || Object.keys(before).length > 0) control.tell('load', load)
    this.#stopLoad = this.#clock.after(LOAD_MS, () => this.#tellLoad(control, load))
  }

  #tellInventory(): void {
    if (this.#isTelling || !this.#mayHost) return
    this.#isTelling = true
    this.#turns.soon(() => {
      this.#isTelling = false
      this.#seat?.control.tell('inventory', this.#room.ready)
    })
  }
}
