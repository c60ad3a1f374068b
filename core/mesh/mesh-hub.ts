import { type Clock, type Logger, ServeError, type Stop, type Turns } from '../base/index.ts'
import type { ServeEvent } from '../controller/index.ts'
import { emptyRoutingTable, type Resources, type RoutingTable, resolveResources } from '../model/index.ts'
import type { BlobRef, HostedReplica, ReplicaEnd, ReplicaHost, ReplicaSpec } from '../replica/index.ts'
import type { BackendQueue } from '../router/index.ts'
import type { Member, PeerCard } from './admission.ts'
import type { MeshAuthority } from './authority.ts'
import { CREDENTIAL_MS } from './authority.ts'
import type { BundleDesk } from './bundle-desk.ts'
import type { BundleRefusal } from './bundle-intake.ts'
import type { TravellingParts } from './bundle-parts.ts'
import { fetchBundle, serveBundlePort } from './bundle-transfer.ts'
import { type GateCounts, Gatekeeper } from './gatekeeper.ts'
import { viewOf } from './member-view.ts'
import { MeshLedger } from './mesh-ledger.ts'
import type { MessageCodec } from './message-codec.ts'
import { CONTROL_PORT, INSTANCE_PORT, type OpenPeerControl, type PeerControl } from './peer-control.ts'
import { DEFAULT_MAX_PEERS } from './peer-links.ts'
import { type PeerEntry, PeerList } from './peer-list.ts'
import type { PeerConnection, PeerTransport } from './peer-transport.ts'
import { DEFAULT_MAX_RELAYED, Relay, type RelayCounts } from './relay.ts'
import { nodeGone, RemoteHost } from './remote-host.ts'
import { type MeshRole, requireRole } from './roles.ts'
import { BackendDoor } from './serve-backends.ts'
import { startElsewhere } from './start-elsewhere.ts'
import { diffTables, isSameView, type TableDelta } from './table-delta.ts'
import type { Grant, TicketOptions, VerifySigned } from './ticket.ts'
import type { VirtualPort } from './virtual-port.ts'

/** Peers asked for a bundle that the controller has lost. */
const MAX_ASKED = 5

/** A peer as `status` shows it. */
export interface PeerStatus {
  readonly name: string
  readonly runtime: 'node' | 'browser'
  readonly roles: readonly string[]
  readonly rttMs: number
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
  readonly relayed: RelayCounts
}

/** What happens to peers, for `client.watch()`. */
export type PeerEvent = Extract<ServeEvent, { readonly kind: 'peer' | 'bundle' }>

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
  /** Options of the gateway that peers with the role open; plain data. @default none */
  readonly gateway?: unknown
  readonly verify: VerifySigned
  readonly openControl: OpenPeerControl
  /** Milliseconds since 1970. */
  readonly epochMs: () => number
  /** Bundles and assets for the peers. @default code is sent as it is, for peers that have the same files */
  readonly bundles?: BundleDesk | undefined
}

interface Peer {
  readonly member: Member
  readonly control: PeerControl
  readonly ends: Map<string, (end: ReplicaEnd) => void>
  readonly hosts: Map<string, RemoteHost>
  ready: Readonly<Record<string, number>>
  /** Calls that began there and are not done, by backend. */
  load: Readonly<Record<string, number>>
  /** What it has of the table, as far as it said so. */
  table: RoutingTable
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
}

/**
 * The controller's end of the mesh: lets peers in, gives them the routing table and word of each other, places replicas on them and brings those of a
 * peer that goes elsewhere. The router needs none of it: without this hub peers go on with the table and the links they have.
 */
export class MeshHub {
  readonly ledger: MeshLedger = new MeshLedger()
  readonly #init: MeshHubInit
  readonly #clock: Clock
  readonly #turns: Turns
  readonly #log: Logger
  readonly #peers = new Map<string, Peer>()
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
  #isTelling = false
  #isEvening = false
  readonly #stops: Stop[] = []

  constructor(init: MeshHubInit, clock: Clock, turns: Turns, log: Logger) {
    this.#init = init
    this.#clock = clock
    this.#turns = turns
    this.#log = log
    const { card, transport, maxRelayed = DEFAULT_MAX_RELAYED } = init
    const table = (): RoutingTable => this.#controller?.table ?? emptyRoutingTable()
    const queues = (): ReadonlyMap<string, BackendQueue> => this.#controller?.queues ?? new Map()
    this.#gate = new Gatekeeper(clock, turns, log)
    this.#door = new BackendDoor({ table, queues }, clock, turns)
    this.#relay = new Relay({ maxRelayed, linkTo: (id) => this.#peers.get(id)?.member.link })
    this.ledger.setNode({ ...toNode(transport.peerId, card, undefined), isSelf: true })
  }

  /** Hosts that start a replica where the ledger has placed it; the local ones for this node. */
  hostsOver(local: ReadonlyMap<string, ReplicaHost>): Map<string, ReplicaHost> {
    const ids = [...local.keys()]
    this.ledger.setNode({
      ...toNode(this.#init.transport.peerId, { ...this.#init.card, isolations: [...ids, 'inline'] }, undefined),
      isSelf: true,
    })
    return new Map([...local].map(([isolation, host]) => [isolation, this.#placedHost(isolation, host)]))
  }

  /** Opens the door. `onInstancePort` serves a peer's own client. */
  async open(controller: HubController, onEvent: (event: PeerEvent) => void, onInstancePort: OnInstancePort): Promise<void> {
    this.#controller = controller
    this.#onEvent = onEvent
    this.#onInstancePort = onInstancePort
    await this.#prove()
    this.#stops.push(this.#init.transport.onConnection((connection) => void this.#greet(connection)))
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
    return this.#init.authority.createTicket(options, this.#init.transport.addresses)
  }

  /** Peers that came by the ticket are sent away at once. */
  async revokeTicket(ticket: string): Promise<void> {
    const ticketId = await this.#init.authority.revoke(ticket)
    for (const { control, member } of [...this.#peers.values()]) {
      control.tell('revoked', this.#init.authority.revoked)
      if (member.ticketId === ticketId) member.link.close('its ticket was revoked')
    }
  }

  /** Peers that are connected, by id. */
  get peers(): Readonly<Record<string, PeerStatus>> {
    return Object.fromEntries(
      [...this.#peers].map(([id, { member, http }]) => {
        const { card, link, roles } = member
        const status = { name: card.name, runtime: card.runtime, roles, rttMs: round(link.rttMs ?? 0), resources: card.resources }
        return [id, http === undefined ? status : { ...status, http }]
      }),
    )
  }

  /** What this node does for its mesh. */
  get counts(): MeshCounts {
    return { peers: this.#peers.size, turnedAway: this.#turnedAway, relayed: this.#relay.counts }
  }

  /** Who was not let in; for metrics. */
  get gateCounts(): GateCounts {
    return this.#gate.counts
  }

  /** Version of the routing table that peers should have. */
  get tableVersion(): number {
    return this.#controller?.table.version ?? 0
  }

  get peerId(): string {
    return this.#init.transport.peerId
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const stop of this.#stops.splice(0)) stop()
    for (const { member } of [...this.#peers.values()]) member.link.close('the controller stops')
    await this.#init.transport.close()
    await this.#init.bundles?.store.close()
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
        linkOptions: { codec, ...(maxMessageBytes !== undefined && { maxMessageBytes }) },
        verify,
        epochMs,
      })
      this.#welcome(member)
    } catch {
      // The gate has said so.
    }
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
    link.onPort((port) =>
      this.#gate.hold(member, () => {
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
        enter: (report: { readonly replicas: readonly string[] }) => this.#enter(peer, report),
        leave: () => this.#letLeave(peer),
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
      seen: undefined,
      list: new PeerList(),
      heard: 0,
      isLeaving: false,
      going: new AbortController(),
      pushing: Promise.resolve(),
    }
    for (const isolation of member.card.isolations) {
      peer.hosts.set(isolation, new RemoteHost({ id, name: member.card.name, link: member.link, control }, isolation, peer.ends))
    }
    this.#peers.set(id, peer)
    void member.link.whenGone.then((end) => this.#onGone(peer, end.reason, end.orderly))
  }

  /** What a peer says it has ready, as far as it was given: a claim can only lower it. */
  #believe(peerId: string, claimed: unknown): Readonly<Record<string, number>> {
    const given: Record<string, number> = {}
    for (const { backend } of this.ledger.on(peerId)) given[backend] = (given[backend] ?? 0) + 1
    const ready: Record<string, number> = {}
    for (const [tag, count] of Object.entries(given)) {
      const said = (claimed as Record<string, unknown> | null | undefined)?.[tag]
      if (typeof said === 'number' && said > 0) ready[tag] = Math.min(count, Math.floor(said))
    }
    return ready
  }

  /** First word of a peer: what it hosts, which after a lost connection may be what was started elsewhere since. */
  async #enter(peer: Peer, { replicas }: { readonly replicas: readonly string[] }): Promise<{ readonly stop: readonly string[] }> {
    const { member } = peer
    await this.#pushTable(peer)
    // It may have gone meanwhile, or have come anew.
    if (this.#peers.get(member.peerId) !== peer) throw new ServeError('ERR_PEER_UNREACHABLE', `peer ${member.peerId} went while it entered`)
    peer.control.tell('revoked', this.#init.authority.revoked)
    if (this.#init.gateway !== undefined && member.roles.includes('gateway')) peer.control.tell('gateway', this.#init.gateway)
    peer.control.tell('bundles', this.#init.bundles?.listed(member.peerId) ?? [])
    if (member.roles.includes('replica') && !peer.isLeaving) this.ledger.setNode(toNode(member.peerId, member.card, member))
    this.#tellPeers()
    this.#log.info({ peer: member.peerId, name: member.card.name, roles: member.roles }, 'peer.joined')
    this.#onEvent({ kind: 'peer', peerId: member.peerId, name: member.card.name, state: 'joined' })
    void this.#evenOut()
    return { stop: replicas }
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
    const table = this.#viewFor(peer)
    if (peer.member.link.isGone || isSameView(peer.table, table)) return
    let delta: TableDelta = diffTables(peer.table, table)
    if ((await peer.control.request('table', delta)) !== true) {
      delta = diffTables(emptyRoutingTable(), table)
      await peer.control.request('table', delta)
    }
    peer.table = table
  }

  #accessOf(member: Member): MemberAccess {
    return { hosted: () => this.#hostedOn(member), strike: (reason) => this.#gate.strike(member, reason) }
  }

  #hostedOn({ peerId }: Member): ReadonlySet<string> {
    return new Set(this.ledger.on(peerId).map(({ backend }) => backend))
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
    return [self, ...others]
  }

  /** Moves surplus replicas to peers that have fewer, one after the other; a new one is ready before the old one goes. */
  async #evenOut(): Promise<void> {
    if (this.#isEvening) return
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
    const start = async (spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> => {
      const nodeId = this.ledger.nodeOf(spec.replicaId) ?? this.peerId
      if (nodeId === this.peerId) return local.start(spec, signal)
      const peer = this.#peers.get(nodeId)
      const host = peer?.hosts.get(isolation)
      if (peer !== undefined && host !== undefined) return this.#startOn(peer, host, spec, signal)
      throw new ServeError('ERR_PEER_UNREACHABLE', `backend ${spec.backend}: the peer chosen for ${spec.replicaId} has gone`)
    }
    const seams = {
      nodeOf: (replicaId: string) => this.ledger.nodeOf(replicaId),
      whileStaying: (nodeId: string) => this.#peers.get(nodeId)?.going.signal,
      placeAnew: (replicaId: string) => this.ledger.placeAnew(replicaId),
      start,
    }
    return { name: local.name, start: (spec, signal) => startElsewhere(spec, signal, seams) }
  }

  /** What the replica needs is listed before the peer is asked to start it: both take one port, which keeps the order. */
  async #startOn(peer: Peer, host: RemoteHost, spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> {
    const { bundles } = this.#init
    if (bundles === undefined) return host.start(spec, signal)
    const { peerId } = peer.member
    const whole = await bundles.complete(spec)
    peer.control.tell('bundles', await bundles.list(whole, peerId, (blob) => this.#fetchFromPeers(blob, bundles)))
    const hosted = await host.start(whole, signal)
    bundles.noteHolder(whole, peerId)
    return hosted
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
