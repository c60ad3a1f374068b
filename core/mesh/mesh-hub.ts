import { type Clock, type Logger, ServeError, type Stop, type Turns } from '../base/index.ts'
import { type Controller, type EditConflict, type ServeEvent, takeInEdits } from '../controller/index.ts'
import { emptyRoutingTable, type Resources, type RoutingTable, resolveResources } from '../model/index.ts'
import type { BlobRef, HostedReplica, ReplicaEnd, ReplicaHost, ReplicaSpec } from '../replica/index.ts'
import type { BackendQueue } from '../router/index.ts'
import type { Member, PeerCard } from './admission.ts'
import { Adoption, type Orphan } from './adoption.ts'
import type { MeshAuthority } from './authority.ts'
import { CREDENTIAL_MS } from './authority.ts'
import type { BundleDesk } from './bundle-desk.ts'
import type { BundleRefusal } from './bundle-intake.ts'
import type { TravellingParts } from './bundle-parts.ts'
import { fetchBundle, serveBundlePort } from './bundle-transfer.ts'
import type { ControllerGroup, GroupEvent } from './controller-group.ts'
import { type GateCounts, Gatekeeper, withWaiting } from './gatekeeper.ts'
import { serveGroupPort } from './group-port.ts'
import { viewOf } from './member-view.ts'
import { MeshLedger } from './mesh-ledger.ts'
import type { ControllerAddress } from './mesh-peer.ts'
import type { MessageCodec } from './message-codec.ts'
import { CONTROL_PORT, INSTANCE_PORT, type OpenPeerControl, type PeerControl } from './peer-control.ts'
import { DEFAULT_MAX_PEERS } from './peer-links.ts'
import { type PeerEntry, PeerList } from './peer-list.ts'
import type { PeerConnection, PeerTransport } from './peer-transport.ts'
import { DEFAULT_MAX_RELAYED, Relay, type RelayCounts } from './relay.ts'
import { nodeGone, RemoteHost } from './remote-host.ts'
import { markText } from './replica-mark.ts'
import { type MeshRole, requireRole } from './roles.ts'
import { BackendDoor, type BackendsHere } from './serve-backends.ts'
import { type TableTaken, toPush } from './stamped-table.ts'
import { startElsewhere } from './start-elsewhere.ts'
import { isSameView } from './table-delta.ts'
import type { Grant, TicketOptions, VerifySigned } from './ticket.ts'
import { compareEpochs, type Epoch } from './versioned-map.ts'
import type { VirtualPort } from './virtual-port.ts'
import { DEFAULT_MAX_ADMISSIONS } from './waiting-room.ts'

/** Peers asked for a bundle that the controller has lost. */
const MAX_ASKED = 5
/** How long a replica that nobody wants may finish what it was given, in milliseconds. */
const DRAIN_MS = 20_000
/** Keys of the state under which the addresses of controllers are. */
export const CONTROLLER = 'controller/'
/** Kinds of keys from which a controller has made what runs, or what it goes by. */
const MADE_FROM = ['backend/', 'endpoint/', 'deployed', 'ticket/'] as const
/** How long edits of other controllers are gathered before they are taken in, and how long until what failed of that is tried again, in milliseconds. */
const TAKE_IN_MS = 200
const TAKE_IN_AGAIN_MS = 5_000
/** What is added to the patience with an orphan, in milliseconds, for what it takes to want it. */
const SETTLE_MS = 5_000

/** A peer as `status` shows it. */
export interface PeerStatus {
  readonly name: string
  readonly runtime: 'node' | 'browser'
  readonly roles: readonly string[]
  readonly rttMs: number
  /** Placed there: ready, starting or draining. */
  readonly replicas: number
  readonly resources: Resources
  /** URL of its gateway, when it has one. */
  readonly http?: string
}

/** What a node does for its mesh, for metrics. */
export interface MeshCounts {
  /** Peers that are connected. */
  readonly peers: number
  /** Peers that were turned away because there were too many. */
  readonly turnedAway: number
  /** Links to others that were closed because they carried nothing. */
  readonly closedIdle: number
  readonly relayed: RelayCounts
}

/** What happens to peers, for `client.watch()`. */
export type PeerEvent = Extract<ServeEvent, { readonly kind: 'peer' | 'bundle' | 'conflict' }>

/** What goes with a member that has a client. */
export interface MemberAccess {
  /** Backends of which it has replicas, or some that start. */
  hosted(): ReadonlySet<string>
  /** It has asked for what its roles do not allow. */
  strike(reason: string): void
}

/** Serves a peer's own client. */
export type OnInstancePort = (port: VirtualPort, member: Member, access: MemberAccess) => void

/** The controller as the hub needs it. */
export interface HubController {
  readonly parts: Controller['parts']
  readonly table: RoutingTable
  readonly queues: ReadonlyMap<string, BackendQueue>
  moveReplica(tag: string, replicaId: string, reason: string, must: boolean): Promise<void>
  wake(tag: string): void
}

export interface MeshHubInit {
  readonly transport: PeerTransport
  readonly authority: MeshAuthority
  /** This node. */
  readonly card: Omit<PeerCard, 'addresses'>
  readonly codec: MessageCodec
  readonly maxMessageBytes?: number | undefined
  /** Connections between peers that this node passes on. @default 64 */
  readonly maxRelayed?: number | undefined
  /** Peers that may be connected at once. @default 120 */
  readonly maxPeers?: number | undefined
  /** Connections that may be in admission at once. @default 50 */
  readonly maxAdmissions?: number | undefined
  /** Options of the gateway that peers with the role open; plain data. @default none */
  readonly gateway?: unknown
  readonly verify: VerifySigned
  readonly openControl: OpenPeerControl
  /** Milliseconds since 1970. */
  readonly epochMs: () => number
  /** Bundles and assets for the peers. @default code is sent as it is, for peers that have the same files */
  readonly bundles?: BundleDesk | undefined
  /** Under which this controller leads; durable before, and greater than any before on the same storage. @default the first of a mesh that is new */
  readonly epoch?: Epoch | undefined
  /** A peer obeys a greater epoch: somebody else leads. */
  readonly onGreater?: ((epoch: Epoch) => void) | undefined
  /** True when the mesh had peers before this process: what they may still run is started anew only when they do not come back soon. @default false */
  readonly isReturning?: boolean | undefined
  /** Those who keep the state; other controllers join it here. @default this one is alone for ever */
  readonly group?: ControllerGroup | undefined
  /** The key of the mesh, for members with the role `controller`. */
  readonly secret?: (() => unknown) | undefined
  /** The peer on whose node this controller has risen: what runs here is that one's. @default this node hosts replicas of its own */
  readonly lodgesWith?: LodgingPeer | undefined
}

/** The peer on whose node a controller has risen. */
export interface LodgingPeer extends BackendsHere {
  /** Takes a member that means the peer: between any two there is one link. */
  meet(member: Member, connection: PeerConnection): void
}

interface Peer {
  readonly member: Member
  readonly control: PeerControl
  readonly ends: Map<string, (end: ReplicaEnd) => void>
  readonly hosts: Map<string, RemoteHost>
  ready: Readonly<Record<string, number>>
  /** Calls that began there and are not done, by backend. */
  load: Readonly<Record<string, number>>
  /** What it has of the table, as far as it said so, and under which epoch it was given it. */
  table: RoutingTable
  tableEpoch: Epoch
  /** What it may know, and of what that was worked out. */
  seen: { readonly whole: RoutingTable; readonly hostedTags: string; readonly view: RoutingTable } | undefined
  /** Who is there, as far as it may know; for one that may not call everything. */
  readonly list: PeerList
  /** Version of the list that it has. */
  heard: number
  isLeaving: boolean
  /** Aborted when it leaves or is gone: what starts there starts elsewhere. */
  readonly going: AbortController
  /** URL of its gateway, when it has one. */
  http?: string
  /** What it hears of the table, one after the other. */
  pushing: Promise<void>
  /** Resolves when it has agreed to be led. */
  led: Promise<void>
}

/**
 * The controller's end of the mesh: lets peers in, gives them the routing table and word of each other, places replicas on them and brings those of a
 * peer that goes elsewhere. The router needs none of it: without this hub peers go on with the table and the links they have.
 */
export class MeshHub {
  readonly ledger: MeshLedger = new MeshLedger()
  readonly #init: MeshHubInit
  #epoch: Epoch
  readonly #adoption: Adoption
  readonly #clock: Clock
  readonly #turns: Turns
  readonly #log: Logger
  readonly #peers = new Map<string, Peer>()
  /** All that were let in, peers or not. */
  readonly #members = new Set<Member>()
  #toldControllers = ''
  readonly #door: BackendDoor
  readonly #relay: Relay
  readonly #gate: Gatekeeper
  /** Who is there, for those who may call everything. */
  readonly #everyone = new PeerList()
  #proof = ''
  #controller: HubController | undefined
  #onEvent: (event: PeerEvent) => void = () => {}
  #onInstancePort: OnInstancePort = () => {
    throw new ServeError('ERR_UNSUPPORTED', 'this instance takes no clients through the mesh')
  }
  #isClosed = false
  #turnedAway = 0
  #gatewayUrl: string | undefined
  #isTelling = false
  #isEvening = false
  #stopTakingIn: Stop | undefined
  readonly #stops: Stop[] = []

  constructor(init: MeshHubInit, clock: Clock, turns: Turns, log: Logger) {
    this.#init = init
    this.#clock = clock
    this.#turns = turns
    this.#log = log
    const { card, transport, maxRelayed = DEFAULT_MAX_RELAYED, maxAdmissions = DEFAULT_MAX_ADMISSIONS } = init
    const table = (): RoutingTable => this.#controller?.table ?? emptyRoutingTable()
    const queues = (): ReadonlyMap<string, BackendQueue> => this.#controller?.queues ?? new Map()
    this.#gate = new Gatekeeper(maxAdmissions, clock, turns, log)
    this.#door = new BackendDoor(init.lodgesWith ?? { table, queues }, this.#gate, clock, turns)
    this.#relay = new Relay({ maxRelayed, linkTo: (id) => this.#peers.get(id)?.member.link })
    this.#epoch = Object.freeze(init.epoch ?? { term: 1, controllerId: transport.peerId })
    this.#adoption = new Adoption(
      {
        markOf: (spec, isolation) => this.#markOf(spec, isolation),
        moveTo: (replicaId, peerId) => this.ledger.moveTo(replicaId, peerId),
        placeAnew: (replicaId) => this.ledger.placeAnew(replicaId),
        adopt: (orphan, isolation, spec, signal) => this.#adopt(orphan, isolation, spec, signal),
        stop: ({ peerId, replicaId }) => this.#stopOrphan(peerId, replicaId),
        move: async (backend, replicaId) =>
          this.#controller?.moveReplica(backend, replicaId, 'one that runs already takes its place', false),
        patienceMs: (backend) => this.#patienceMs(backend),
      },
      clock,
      log,
    )
    this.#setSelf(card)
  }

  /** In the ledger. One that lodges with a peer has files of its own, and no place for replicas: on its node they are the peer's. */
  get #selfId(): string {
    return this.#init.lodgesWith === undefined ? this.peerId : `${this.peerId}/controller`
  }

  #setSelf(card: Omit<PeerCard, 'addresses'>): void {
    const takesReplicas = this.#init.lodgesWith === undefined
    this.ledger.setNode({ ...toNode(this.#selfId, card, undefined), isSelf: true, takesReplicas })
  }

  /** Hosts that start a replica where the ledger has placed it; the local ones for this node. */
  hostsOver(local: ReadonlyMap<string, ReplicaHost>): Map<string, ReplicaHost> {
    const ids = [...local.keys()]
    this.#setSelf({ ...this.#init.card, isolations: [...ids, 'inline'] })
    return new Map([...local].map(([isolation, host]) => [isolation, this.#placedHost(isolation, host)]))
  }

  /** Opens the door. `onInstancePort` serves a peer's own client. */
  async open(controller: HubController, onEvent: (event: PeerEvent) => void, onInstancePort: OnInstancePort): Promise<void> {
    this.#controller = controller
    this.#onEvent = onEvent
    this.#onInstancePort = onInstancePort
    await this.#prove()
    if (this.#init.isReturning === true) void this.#gather()
    this.#noteController(this.peerId, this.#init.transport.addresses)
    this.#stops.push(this.#init.transport.onConnection((connection) => void this.#greet(connection)))
  }

  /** Until it is over, peers keep what they know of each other: not all of them are back. */
  async #gather(): Promise<void> {
    this.ledger.isPatient = true
    await this.#adoption.gather()
    this.ledger.isPatient = false
    this.#tellPeers()
  }

  /** What of a backend travels, with the digests by which peers know it. Rejects with what cannot travel. */
  async prepare(tag: string, parts: TravellingParts): Promise<TravellingParts> {
    return (await this.#init.bundles?.prepare(tag, parts)) ?? parts
  }

  /** The routing table or what is ready here has changed. */
  noteChange(): void {
    if (this.#isTelling || this.#isClosed) return
    this.#isTelling = true
    this.#turns.soon(() => {
      this.#isTelling = false
      this.#door.refresh()
      for (const peer of this.#peers.values()) this.#pushTable(peer)
      this.#tellPeers()
      this.#tellControllers()
      this.#unlistBundles()
    })
  }

  /** Resolves when every peer that is connected now has the table of now. */
  async whenInForce(): Promise<void> {
    await Promise.all([...this.#peers.values()].map((peer) => this.#pushTable(peer)))
  }

  /** Calls for a backend that began at peers. */
  loadElsewhere(tag: string): number {
    let load = 0
    for (const peer of this.#peers.values()) {
      const told = peer.load[tag]
      if (typeof told === 'number' && told > 0) load += told
    }
    return load
  }

  createTicket(options?: TicketOptions): Promise<string> {
    if (this.#init.group === undefined && options?.roles?.includes('controller') === true) {
      throw new ServeError('ERR_UNSUPPORTED', 'createTicket: a controller without storage takes no others beside it; start it with storage')
    }
    const others = this.#controllers.filter(({ id }) => id !== this.peerId).flatMap(({ addresses }) => addresses)
    return this.#init.authority.createTicket(options, [...this.#init.transport.addresses, ...others])
  }

  /** Peers that came by the ticket are sent away at once. */
  async revokeTicket(ticket: string): Promise<void> {
    const ticketId = await this.#init.authority.revoke(ticket)
    for (const { control, member } of [...this.#peers.values()]) {
      control.tell('revoked', this.#init.authority.revoked)
      if (member.ticketId !== ticketId) continue
      if (member.roles.includes('controller')) this.#noteController(member.peerId, [])
      member.link.close('its ticket was revoked')
    }
  }

  /** This node has a gateway: whoever asks for the status sees where. */
  noteGateway(url: string): void {
    this.#gatewayUrl = url
  }

  /** Peers that are connected, by id; and this node, once it has a gateway. */
  get peers(): Readonly<Record<string, PeerStatus>> {
    const { name, runtime, resources } = this.#init.card
    const http = this.#gatewayUrl
    const self = {
      name,
      runtime,
      roles: ['controller', 'replica', 'caller', 'gateway'],
      rttMs: 0,
      resources,
      replicas: this.ledger.on(this.#selfId).length,
    }
    return {
      ...(http !== undefined && { [this.peerId]: { ...self, http } }),
      ...this.#others,
    }
  }

  get #others(): Readonly<Record<string, PeerStatus>> {
    return Object.fromEntries(
      [...this.#peers].map(([id, { member, http }]) => {
        const { card, link, roles } = member
        const replicas = this.ledger.on(id).length
        const status = { name: card.name, runtime: card.runtime, roles, rttMs: round(link.rttMs ?? 0), resources: card.resources, replicas }
        return [id, http === undefined ? status : { ...status, http }]
      }),
    )
  }

  /** What this node does for its mesh. */
  get counts(): MeshCounts {
    return { peers: this.#peers.size, turnedAway: this.#turnedAway, closedIdle: 0, relayed: this.#relay.counts }
  }

  /** Conflicts that controllers have told each other of. */
  get told(): { readonly conflicts?: readonly EditConflict[] } {
    const conflicts = this.#init.group?.conflicts ?? []
    return conflicts.length > 0 ? { conflicts } : {}
  }

  /** Who was not let in; for metrics. */
  get gateCounts(): GateCounts {
    return withWaiting(this.#gate.counts, this.#init.transport.waiting)
  }

  /** Version of the routing table that peers should have. */
  get tableVersion(): number {
    return this.#controller?.table.version ?? 0
  }

  get peerId(): string {
    return this.#init.transport.peerId
  }

  /** Under which this controller leads, or has led. */
  get epoch(): Epoch {
    return this.#epoch
  }

  async close(): Promise<void> {
    this.stepDown('the controller stops')
    for (const stop of this.#stops.splice(0)) stop()
    for (const { link } of [...this.#members]) link.close('the controller stops')
    await this.#init.transport.close()
    // Where it lodges they are the peer's.
    if (this.#init.lodgesWith === undefined) await this.#init.bundles?.store.close()
  }

  /** What the group says of itself: who leads, what has changed, what was lost. */
  onGroupEvent(event: GroupEvent): void {
    if (event.kind === 'role' && event.role === 'acting' && !this.#isClosed) this.#leadOn(event.leader)
    else if (event.kind === 'role' && compareEpochs(event.leader, this.epoch) > 0) {
      this.stepDown('another controller leads')
      // What runs in this process cannot be handed to a controller that would rise here anew.
      if (this.#init.lodgesWith === undefined) this.#init.group?.resign()
    }
    if (event.kind === 'change') {
      this.#tellControllers()
      if (event.keys.some((key) => this.#isForeign(key))) this.#takeInSoon(TAKE_IN_MS)
    }
    if (event.kind === 'conflict' && !this.#isClosed) this.#onEvent(event)
  }

  #isForeign(key: string): boolean {
    const version = this.#init.group?.map.get(key)?.version
    return version !== undefined && version.controllerId !== this.peerId && MADE_FROM.some((kind) => key.startsWith(kind))
  }

  #takeInSoon(delayMs: number): void {
    if (this.#isClosed || this.#stopTakingIn !== undefined) return
    this.#stopTakingIn = this.#clock.after(delayMs, () => {
      this.#stopTakingIn = undefined
      this.#takeIn().catch((error: unknown) => {
        if (this.#isClosed) return
        this.#log.error({ reason: String(error) }, 'edit.not-taken-in')
        this.#takeInSoon(TAKE_IN_AGAIN_MS)
      })
    })
  }

  /** What others have edited, on the other side of a partition or before they ended, becomes part of what is led from here. */
  async #takeIn(): Promise<void> {
    const { group, authority } = this.#init
    const controller = this.#controller
    if (this.#isClosed || group === undefined || controller === undefined) return
    // What was kept is not read yet, by which it is read as a whole.
    if (controller.table.version === 0) return this.#takeInSoon(TAKE_IN_MS)
    const revokedBefore = authority.revoked.length
    authority.takeIn(group.map.values)
    for (const { control, member } of authority.revoked.length > revokedBefore ? [...this.#peers.values()] : []) {
      control.tell('revoked', authority.revoked)
      if (authority.isRevoked(member.ticketId)) member.link.close('its ticket was revoked')
    }
    await takeInEdits(controller.parts)
    this.noteChange()
  }

  /** Leads on, under a greater epoch: peers hear of it and get the whole table anew. What they run, and their links, stay as they are. */
  #leadOn(epoch: Epoch): void {
    if (compareEpochs(epoch, this.#epoch) <= 0) return
    this.#epoch = epoch
    for (const peer of this.#peers.values()) {
      peer.led = this.#lead(peer)
      peer.led.catch(() => undefined)
    }
    this.noteChange()
  }

  /** Leads nobody any more, at once. Replicas elsewhere run on, for whoever leads next; other controllers may still have the state from here. */
  stepDown(reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#stopTakingIn?.()
    this.#adoption.close()
    for (const { link, wants } of [...this.#members]) if (wants !== 'group') link.close(reason)
  }

  /** Proves this side to others; made anew before it runs out. */
  async #prove(): Promise<void> {
    const roles: MeshRole[] = ['controller', 'replica', 'caller', 'gateway']
    this.#proof = (await this.#init.authority.issue(this.peerId, '', { roles, trusted: true })).token
    if (this.#isClosed) return
    this.#stops.push(this.#clock.after(CREDENTIAL_MS / 2, () => void this.#renew()))
  }

  async #renew(): Promise<void> {
    await this.#prove()
    for (const { member, control } of this.#peers.values()) {
      control.tell('credential', (await this.#init.authority.issue(member.peerId, member.ticketId, member)).token)
    }
  }

  async #greet(connection: PeerConnection): Promise<void> {
    const { authority, verify, epochMs, codec, maxMessageBytes } = this.#init
    try {
      const member = await this.#gate.admit(connection, {
        mesh: authority.publicKey,
        card: () => this.#card,
        proof: () => this.#proof,
        isRevoked: (ticketId) => authority.isRevoked(ticketId),
        requireRoom: (peerId) => this.#requireRoom(peerId),
        redeem: (ticket, peerId, roles) => authority.redeem(ticket, peerId, roles),
        renew: (claims) => authority.renew(claims),
        requireLeading: () => this.#requireLeading(),
        linkOptions: { codec, ...(maxMessageBytes !== undefined && { maxMessageBytes }) },
        verify,
        epochMs,
      })
      const { lodgesWith } = this.#init
      if (member.wants === undefined && lodgesWith !== undefined) lodgesWith.meet(member, connection)
      else this.#welcome(member)
    } catch {
      // The gate has said so.
    }
  }

  #requireLeading(): void {
    if (!this.#isClosed) return
    const { term, controllerId } = this.#init.group?.leader ?? this.epoch
    throw new ServeError('ERR_NO_CONTROLLER', `this controller leads no longer; controller ${controllerId} does, since term ${term}`)
  }

  #requireRoom(peerId: string): void {
    const { maxPeers = DEFAULT_MAX_PEERS } = this.#init
    if (this.#peers.size < maxPeers || this.#peers.has(peerId)) return
    this.#turnedAway++
    throw new ServeError('ERR_BACK_PRESSURE', `${this.#peers.size} peers are connected, the limit is ${maxPeers} (mesh.maxPeers)`)
  }

  get #card(): PeerCard {
    return { ...this.#init.card, addresses: this.#init.transport.addresses }
  }

  #welcome(member: Member): void {
    const { link } = member
    // Taken back while it was let in.
    if (this.#init.authority.isRevoked(member.ticketId)) return link.close('its ticket was revoked')
    if (this.#isClosed && member.wants !== 'group') return link.close('the controller leads no longer')
    this.#members.add(member)
    void link.whenGone.then(() => this.#members.delete(member))
    link.onPort((port) =>
      this.#gate.hold(member, () => {
        if (serveGroupPort(port, member, this.#init.group)) return
        if (member.wants === 'group') throw new ServeError('ERR_UNSUPPORTED', `there is no port called ${port.name} for controllers`)
        const controller = this.#controller
        if (controller === undefined) throw new ServeError('ERR_NO_CONTROLLER', 'the controller is not ready')
        if (port.name === CONTROL_PORT) return this.#seat(member, port)
        if (port.name === INSTANCE_PORT) return this.#onInstancePort(port, member, this.#accessOf(member))
        if (this.#relay.takePort(port, member)) return
        if (this.#door.serve(port, member)) return
        const { bundles } = this.#init
        if (
          bundles !== undefined &&
          serveBundlePort(port, member, { store: bundles.store, isListed: (digest) => bundles.isListed(digest) })
        )
          return
        throw new ServeError('ERR_UNSUPPORTED', `there is no port called ${port.name}`)
      }),
    )
  }

  /** The member has opened its control port: from now on it is a peer. */
  #seat(member: Member, port: VirtualPort): void {
    const id = member.peerId
    this.#peers.get(id)?.member.link.abort('the same peer has connected anew')
    const requests = new Map<string, (...args: never[]) => unknown>(
      Object.entries({
        enter: (report: { readonly replicas?: unknown }) => this.#enter(peer, report),
        leave: () => this.#letLeave(peer),
        secret: () => {
          requireRole(member, 'controller', 'having the key of the mesh')
          return this.#init.secret?.()
        },
      }),
    )
    const told = new Map<string, (value: never) => void>(
      Object.entries({
        inventory: (ready: Readonly<Record<string, number>>) => {
          requireRole(member, 'replica', 'offering replicas')
          peer.ready = this.#believe(member.peerId, ready)
          this.noteChange()
        },
        load: (load: Readonly<Record<string, number>>) => {
          requireRole(member, 'caller', 'telling a load')
          const { backends } = this.#viewFor(peer)
          peer.load = Object.fromEntries(Object.entries(load ?? {}).filter(([tag]) => backends.has(tag)))
        },
        'peers-misfit': () => {
          requireRole(member, 'caller', 'asking who is there')
          peer.heard = 0
          this.#tellPeers()
        },
        'gateway-open': (url: string) => {
          requireRole(member, 'gateway', 'opening a gateway')
          peer.http = String(url).slice(0, 256)
        },
        starved: (tag: string) => {
          requireRole(member, 'caller', 'waking a backend')
          if (this.#viewFor(peer).backends.has(tag)) this.#controller?.wake(tag)
        },
        gone: ({ replicaId, end }: { readonly replicaId: string; readonly end: ReplicaEnd }) => {
          requireRole(member, 'replica', 'ending a replica')
          peer.ends.get(replicaId)?.(end)
          this.#adoption.forget(id, replicaId)
        },
        'bundle-refused': ({ digest, from, reason }: BundleRefusal) => {
          requireRole(member, 'replica', 'refusing a bundle')
          this.#log.error({ peer: member.peerId, digest, from, reason }, 'bundle.refused')
          this.#onEvent({ kind: 'bundle', state: 'refused', peerId: member.peerId, name: member.card.name, digest, from, reason })
        },
      }),
    )
    const control = this.#init.openControl(port, { requests, told: this.#gate.holdAll(member, told) })
    const peer: Peer = {
      member,
      control,
      ends: new Map(),
      hosts: new Map(),
      ready: {},
      load: {},
      table: emptyRoutingTable(),
      tableEpoch: this.#epoch,
      seen: undefined,
      list: new PeerList(),
      heard: 0,
      isLeaving: false,
      going: new AbortController(),
      pushing: Promise.resolve(),
      led: Promise.resolve(),
    }
    peer.led = this.#lead(peer)
    peer.led.catch(() => undefined)
    for (const isolation of member.card.isolations) {
      peer.hosts.set(isolation, new RemoteHost({ id, name: member.card.name, link: member.link, control }, isolation, peer.ends))
    }
    this.#peers.set(id, peer)
    void member.link.whenGone.then((end) => this.#onGone(peer, end.reason, end.orderly))
  }

  /** The first word to a peer. One that obeys a greater epoch is not led from here. */
  async #lead({ member, control }: Peer): Promise<void> {
    const { epoch } = (await control.request('lead', this.epoch)) as { readonly epoch: Epoch }
    if (compareEpochs(epoch, this.epoch) <= 0) return
    this.#init.onGreater?.(epoch)
    member.link.close('another controller leads')
    throw new ServeError('ERR_NO_CONTROLLER', `controller ${epoch.controllerId} leads since term ${epoch.term}, this one was left behind`)
  }

  /** What a peer says it has ready, as far as it was given or brought: a claim can only lower it. */
  #believe(peerId: string, claimed: unknown): Readonly<Record<string, number>> {
    const given: Record<string, number> = { ...this.#adoption.countOn(peerId) }
    for (const { backend } of this.ledger.on(peerId)) given[backend] = (given[backend] ?? 0) + 1
    const ready: Record<string, number> = {}
    for (const [tag, count] of Object.entries(given)) {
      const said = (claimed as Record<string, unknown> | null | undefined)?.[tag]
      if (typeof said === 'number' && said > 0) ready[tag] = Math.min(count, Math.floor(said))
    }
    return ready
  }

  /** First word of a peer: what it runs, from before this controller or since the connection to it was lost. */
  async #enter(peer: Peer, { replicas }: { readonly replicas?: unknown }): Promise<void> {
    const { member } = peer
    await peer.led
    await this.#pushTable(peer)
    // It may have gone meanwhile, or have come anew.
    if (this.#peers.get(member.peerId) !== peer) throw new ServeError('ERR_PEER_UNREACHABLE', `peer ${member.peerId} went while it entered`)
    peer.control.tell('revoked', this.#init.authority.revoked)
    peer.control.tell('controllers', this.#controllers)
    if (member.roles.includes('controller')) this.#noteController(member.peerId, member.card.addresses)
    if (this.#init.gateway !== undefined && member.roles.includes('gateway')) peer.control.tell('gateway', this.#init.gateway)
    peer.control.tell('bundles', this.#init.bundles?.listed(member.peerId) ?? [])
    // One that leaves before it has entered is given nothing.
    if (member.roles.includes('replica') && !peer.isLeaving) {
      this.ledger.setNode(toNode(member.peerId, member.card, member))
      void this.#adoption.offer(member.peerId, replicas).then(() => {
        // Only who comes with nothing is a place that was not there before.
        if (this.ledger.on(member.peerId).length === 0) void this.#evenOut()
      })
    }
    this.#tellPeers()
    this.#log.info({ peer: member.peerId, name: member.card.name, roles: member.roles }, 'peer.joined')
    this.#onEvent({ kind: 'peer', peerId: member.peerId, name: member.card.name, state: 'joined' })
  }

  async #letLeave(peer: Peer): Promise<void> {
    const { member } = peer
    if (this.#peers.get(member.peerId) !== peer) return
    peer.isLeaving = true
    const reason = `peer ${member.card.name} leaves`
    this.ledger.setNode({ ...toNode(member.peerId, member.card, member), takesReplicas: false })
    const moves = this.ledger.on(member.peerId).map(({ backend, replicaId }) => {
      return this.#controller?.moveReplica(backend, replicaId, reason, true)
    })
    peer.going.abort(new ServeError('ERR_PEER_UNREACHABLE', reason))
    await Promise.allSettled(moves)
  }

  #onGone(peer: Peer, reason: string, orderly: boolean): void {
    const { member, control } = peer
    const { name } = member.card
    control.end(() => new ServeError('ERR_PEER_UNREACHABLE', `peer ${name} is out of reach (${reason})`, { outcome: 'started-unknown' }))
    const isCurrent = this.#peers.get(member.peerId) === peer
    if (isCurrent) {
      this.#peers.delete(member.peerId)
      this.ledger.removeNode(member.peerId)
      this.#adoption.peerGone(member.peerId)
      this.#init.bundles?.forgetPeer(member.peerId)
    }
    peer.going.abort(new ServeError('ERR_PEER_UNREACHABLE', `peer ${name} is out of reach (${reason})`))
    for (const end of [...peer.ends.values()]) end(nodeGone(name, reason))
    if (!isCurrent || this.#isClosed) return
    const state = orderly && peer.isLeaving ? 'left' : 'lost'
    this.#log.info({ peer: member.peerId, name, reason, state }, 'peer.gone')
    this.#onEvent({ kind: 'peer', peerId: member.peerId, name, state, reason })
    this.#tellPeers()
  }

  /** Gives a peer the table of now, or what it lacks of it; one push after the other. */
  #pushTable(peer: Peer): Promise<void> {
    peer.pushing = peer.pushing.then(() => this.#bringUpToDate(peer)).catch(() => undefined)
    return peer.pushing
  }

  async #bringUpToDate(peer: Peer): Promise<void> {
    await peer.led
    const { epoch: now } = this
    const table = this.#viewFor(peer)
    if (peer.member.link.isGone || (isSameView(peer.table, table) && peer.tableEpoch === now)) return
    const push = async (from: RoutingTable): Promise<TableTaken> => {
      const answer = await peer.control.request('table', toPush({ epoch: peer.tableEpoch, table: from }, now, table))
      const { taken, epoch } = answer as { readonly taken: TableTaken; readonly epoch: Epoch }
      if (taken === 'stale') this.#init.onGreater?.(epoch)
      return taken
    }
    if ((await push(peer.table)) === 'misfit') await push(emptyRoutingTable())
    peer.table = table
    peer.tableEpoch = now
  }

  #accessOf(member: Member): MemberAccess {
    return { hosted: () => this.#hostedOn(member), strike: (reason) => this.#gate.strike(member, reason) }
  }

  #hostedOn({ peerId }: Member): ReadonlySet<string> {
    return new Set([...this.ledger.on(peerId).map(({ backend }) => backend), ...Object.keys(this.#adoption.countOn(peerId))])
  }

  #viewFor(peer: Peer): RoutingTable {
    const whole = this.#controller?.table ?? emptyRoutingTable()
    const hosted = this.#hostedOn(peer.member)
    const hostedTags = [...hosted].join()
    if (peer.seen?.whole !== whole || peer.seen.hostedTags !== hostedTags) {
      peer.seen = { whole, hostedTags, view: viewOf(whole, peer.member, hosted) }
    }
    return peer.seen.view
  }

  /** Gives callers what they lack of who has what. Others need not know. */
  #tellPeers(): void {
    if (this.#adoption.isGathering) return
    const entries = this.#entries()
    this.#everyone.update(visibleIn(entries, this.#controller?.table.backends))
    for (const [id, peer] of this.#peers) {
      const { roles, endpoints } = peer.member
      if (!roles.includes('caller')) continue
      // Of one that may not call everything nobody else has the same view.
      if (endpoints !== undefined) peer.list.update(visibleIn(entries, this.#viewFor(peer).backends))
      const delta = (endpoints === undefined ? this.#everyone : peer.list).since(peer.heard, id)
      if (delta === undefined) continue
      peer.heard = delta.to
      peer.control.tell('peers', delta)
    }
  }

  /** Who may lead, as the state has it. */
  get #controllers(): readonly ControllerAddress[] {
    const list: ControllerAddress[] = []
    for (const { key, value } of this.#init.group?.map.entries() ?? []) {
      if (key.startsWith(CONTROLLER) && value !== undefined) list.push({ id: key.slice(CONTROLLER.length), addresses: value as string[] })
    }
    return list
  }

  /** Keeps where a controller can be dialled, for all to know when it leads. */
  #noteController(id: string, addresses: readonly string[]): void {
    const { group } = this.#init
    const key = CONTROLLER + id
    if (group === undefined || String(group.map.get(key)?.value ?? '') === String(addresses)) return
    group.edit([addresses.length === 0 ? { key } : { key, value: [...addresses] }]).then(
      () => this.#tellControllers(),
      (error: unknown) => this.#log.warn({ controller: id, reason: String(error) }, 'controller.not-noted'),
    )
  }

  #tellControllers(): void {
    const list = this.#controllers
    const text = JSON.stringify(list)
    if (text === this.#toldControllers) return
    this.#toldControllers = text
    for (const { control } of this.#peers.values()) control.tell('controllers', list)
  }

  #entries(): PeerEntry[] {
    const here: Record<string, number> = {}
    for (const [tag, queue] of this.#controller?.queues ?? []) if (queue.readyHere > 0) here[tag] = queue.readyHere
    const self = { id: this.peerId, name: this.#init.card.name, addresses: this.#init.transport.addresses, ready: here }
    const others = [...this.#peers].map(([id, { member, ready }]) => ({
      id,
      name: member.card.name,
      addresses: member.card.addresses,
      ready,
      ...(member.card.relays === true && { relays: true }),
    }))
    return this.#init.lodgesWith === undefined ? [self, ...others] : others
  }

  /** Moves surplus replicas to peers that have fewer, one after the other; a new one is ready before the old one goes. */
  async #evenOut(): Promise<void> {
    if (this.#isEvening || this.#adoption.isGathering) return
    this.#isEvening = true
    try {
      for (let move = this.ledger.nextMove(); move !== undefined && !this.#isClosed; move = this.ledger.nextMove()) {
        await this.#controller?.moveReplica(move.backend, move.replicaId, 'spread over the peers', false)
        if (this.ledger.nextMove()?.replicaId === move.replicaId) return
      }
    } finally {
      this.#isEvening = false
    }
  }

  #placedHost(isolation: string, local: ReplicaHost): ReplicaHost {
    const startPlaced = async (spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> => {
      const nodeId = this.ledger.nodeOf(spec.replicaId) ?? this.#selfId
      if (nodeId === this.#selfId) return local.start(spec, signal)
      const { peer, host } = this.#hostOn(nodeId, isolation, spec)
      const whole = await this.#listFor(peer, spec)
      const hosted = await host.start(whole, signal, await this.#markOf(whole, isolation))
      this.#init.bundles?.noteHolder(whole, nodeId)
      return hosted
    }
    const seams = {
      nodeOf: (replicaId: string) => this.ledger.nodeOf(replicaId),
      whileStaying: (nodeId: string) => this.#peers.get(nodeId)?.going.signal,
      placeAnew: (replicaId: string) => this.ledger.placeAnew(replicaId),
      start: startPlaced,
    }
    return {
      name: local.name,
      start: (spec, signal) => this.#adoption.start(isolation, spec, signal, (attempt) => startElsewhere(spec, attempt, seams)),
    }
  }

  #hostOn(nodeId: string, isolation: string, spec: ReplicaSpec): { readonly peer: Peer; readonly host: RemoteHost } {
    const peer = this.#peers.get(nodeId)
    const host = peer?.hosts.get(isolation)
    if (peer !== undefined && host !== undefined) return { peer, host }
    throw new ServeError('ERR_PEER_UNREACHABLE', `backend ${spec.backend}: the peer chosen for ${spec.replicaId} has gone`)
  }

  /** What the replica needs is listed before the peer is asked to start it: both take one port, which keeps the order. */
  async #listFor({ control, member: { peerId } }: Peer, spec: ReplicaSpec): Promise<ReplicaSpec> {
    const { bundles } = this.#init
    if (bundles === undefined) return spec
    const whole = await bundles.complete(spec)
    control.tell('bundles', await bundles.list(whole, peerId, (blob) => this.#fetchFromPeers(blob, bundles)))
    return whole
  }

  async #adopt({ peerId, replicaId }: Orphan, isolation: string, spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> {
    const { peer, host } = this.#hostOn(peerId, isolation, spec)
    const hosted = await host.adopt(replicaId, spec, signal)
    // It runs, whatever becomes of this: the next one may need what it was made of.
    const listing = this.#listFor(peer, spec).then((whole) => this.#init.bundles?.noteHolder(whole, peerId))
    listing.catch((error: unknown) => this.#log.warn({ backend: spec.backend, reason: String(error) }, 'bundle.not-listed'))
    return hosted
  }

  #stopOrphan(peerId: string, replicaId: string): void {
    this.#log.info({ peer: peerId, replica: replicaId }, 'replica.not-wanted')
    this.#peers
      .get(peerId)
      ?.control.request('stop', replicaId, DRAIN_MS)
      .catch(() => undefined)
  }

  /** What scales by load starts small when its controller does, and wants the rest a moment later. */
  #patienceMs(backend: string): number {
    return SETTLE_MS + (this.#controller?.table.backends.get(backend)?.config.autoscaling?.upscaleDelayMs ?? 0)
  }

  /** Tells what a peer runs for that spec; undefined for what no peer could run. */
  async #markOf(spec: ReplicaSpec, isolation: string): Promise<string | undefined> {
    if (spec.code.kind !== 'module' && spec.code.kind !== 'source') return undefined
    const { bundles } = this.#init
    if (bundles === undefined) return markText(spec, isolation)
    const whole = await bundles.complete(spec).catch(() => undefined)
    return whole === undefined ? undefined : bundles.store.digestOf(new TextEncoder().encode(markText(whole, isolation)))
  }

  /** For a controller that came back, or took over: its peers may have what it has lost. */
  async #fetchFromPeers(blob: BlobRef, { store }: BundleDesk): Promise<boolean> {
    const hosting = [...this.#peers.values()].filter(({ member }) => member.roles.includes('replica')).slice(0, MAX_ASKED)
    for (const { member, control } of hosting) {
      control.tell('bundles', [{ digest: blob.digest, holders: [] }])
      try {
        await store.accept(blob, fetchBundle(member.link, blob, this.#clock))
        return true
      } catch (error) {
        const reason = String(error)
        this.#log.warn({ digest: blob.digest, name: blob.name, from: member.peerId, reason }, 'bundle.fetch-failed')
      }
    }
    return false
  }

  /** Backends that are gone, and have no replica that starts, list nothing. */
  #unlistBundles(): void {
    const { bundles } = this.#init
    if (bundles === undefined) return
    for (const tag of bundles.backends) {
      if (this.#controller?.queues.has(tag) !== true && !this.ledger.hasReplicaOf(tag)) bundles.drop(tag)
    }
    const unlisted = bundles.takeUnlisted()
    if (unlisted.length === 0) return
    for (const { control } of this.#peers.values()) control.tell('bundles-unlisted', unlisted)
  }
}

/** @param grant undefined for this node */
function toNode(id: string, card: Omit<PeerCard, 'addresses'>, grant: Grant | undefined) {
  return {
    id,
    isSelf: false,
    machine: card.machine,
    runtime: card.runtime,
    labels: card.labels,
    // What it says of its runtime can only take trust away.
    isTrusted: grant?.trusted !== false && card.runtime === 'node',
    isolations: card.isolations,
    onlyBackends: card.onlyBackends,
    takesReplicas: true,
    maxReplicas: grant?.maxReplicas,
    offered: resolveResources(card.resources),
  }
}

/** Entries with the replicas of those backends alone. */
function visibleIn(entries: readonly PeerEntry[], backends: ReadonlyMap<string, unknown> | undefined): readonly PeerEntry[] {
  return entries.map((entry) => {
    const ready = Object.entries(entry.ready).filter(([tag]) => backends?.has(tag) === true)
    return { ...entry, ready: Object.fromEntries(ready) }
  })
}

const round = (ms: number): number => Math.round(ms * 1000) / 1000
