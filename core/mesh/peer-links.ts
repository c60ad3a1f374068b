import { type Clock, type Logger, type Random, ServeError, type Stop, sleep } from '../base/index.ts'
import type { Member } from './admission.ts'
import { dialFirst } from './dial-first.ts'
import type { Link } from './link.ts'
import { BACKEND_PORT } from './peer-control.ts'
import type { PeerConnection, PeerTransport } from './peer-transport.ts'
import { keepConnected, redialDelayMs } from './redial.ts'
import { RelayedWays } from './relayed-ways.ts'
import type { VirtualPort } from './virtual-port.ts'

/** Peers that a node is linked to at once. */
export const DEFAULT_MAX_PEERS = 120
/** How long a link may carry nothing before it is closed, in milliseconds. */
export const DEFAULT_IDLE_LINK_MS = 300_000
/** Who opens it has nothing under way, and sends nothing more: the other side closes the connection, or the port when it has. */
export const IDLE_PORT = 'idle'
/** How often in that time it is looked at whether links carry something. */
const LOOKS = 4
/** How long the other side may take to say whether it has something under way. */
const ANSWER_MS = 4_000
/** How long a link that another one has replaced may finish what runs on it. */
const RETIRE_MS = 30_000
/** Relays that are asked for a way to one peer before waiting. */
const MAX_RELAYS_ASKED = 3

export interface PeerLinksInit {
  readonly transport: PeerTransport
  /** Makes a member of a connection that this side has opened. */
  readonly enter: (connection: PeerConnection) => Promise<Member>
  /** Makes a member of a connection that another has opened; undefined: it is for something else. */
  readonly admit: (connection: PeerConnection) => Promise<Member | undefined>
  /** Where a peer can be dialled; undefined for one that is gone. */
  readonly addressesOf: (peerId: string) => readonly string[] | undefined
  /** How many peers the mesh has. */
  readonly peers: () => number
  /** Who may lead to a peer, the best first: links that are there already. */
  readonly relaysTo: (peerId: string) => readonly { readonly peerId: string; readonly link: Link }[]
  /** Takes the ports that the other end opens on a link, be it the one that is kept or not. */
  readonly serve: (member: Member) => void
  /** A link stands; it may take the place of another one, on which what runs is finished. */
  readonly onLink: (member: Member) => void
  /** Peers that may be linked at once. */
  readonly maxPeers: number
  /** How long a link may carry nothing, in milliseconds. */
  readonly idleLinkMs: number
  /** Whether a link to that peer stays when it carries nothing. */
  readonly isKept: (peerId: string) => boolean
  /** Whether calls are under way on a link, either way. */
  readonly isBusy: (member: Member) => boolean
  /** A link is about to be closed because it carries nothing: from now on this side sends nothing on it. It comes back by `onLink`. */
  readonly onIdle: (member: Member) => void
  /** Such a link is closed, and none is sought. */
  readonly onUnlinked: (peerId: string) => void
  /** A link that was sought in vain is sought no more, because its place was wanted. */
  readonly onGivenUp: (peerId: string) => void
  readonly onGone: (member: Member, reason: string) => void
}

/** How a link came about. */
interface Way {
  readonly member: Member
  /** The peer that passes the bytes on. */
  readonly via: string | undefined
  readonly isOutbound: boolean
  /** When it was last seen to be of use, be it that nothing came. */
  usedAtMs: number
  /** This side sends nothing more on it. */
  isClosing: boolean
}

/**
 * Links to other peers, one to each: dialled, and where that cannot be, through a peer that both are linked to. Of two links the direct one stays, then the
 * one that the lower id has dialled, so that both ends keep the same; while a link is relayed, both ends go on dialling.
 */
export class PeerLinks {
  readonly #init: PeerLinksInit
  readonly #relayed: RelayedWays
  readonly #clock: Clock
  readonly #random: Random
  readonly #log: Logger
  readonly #ways = new Map<string, Way>()
  readonly #wanted = new Map<string, AbortController>()
  readonly #failures = new Map<string, unknown>()
  readonly #stop: Stop
  #stopLook: Stop = () => {}
  #isClosed = false
  #refused = 0
  #closedIdle = 0
  /** Who waits for a link to a peer. */
  #waiting: { readonly peerId: string; readonly resolve: () => void }[] = []

  constructor(init: PeerLinksInit, clock: Clock, random: Random, log: Logger) {
    this.#init = init
    this.#clock = clock
    this.#random = random
    this.#log = log
    this.#relayed = new RelayedWays(init.transport, clock)
    this.#relayed.onConnection((connection) => void this.#greet(connection))
    this.#stop = init.transport.onConnection((connection) => void this.#greet(connection))
    this.#lookAgain()
  }

  /** The other end of a link that may be used. */
  get(peerId: string): Member | undefined {
    const way = this.#ways.get(peerId)
    return way?.isClosing === true ? undefined : way?.member
  }

  get members(): readonly Member[] {
    return [...this.#ways.values()].map(({ member }) => member)
  }

  /** Members whose bytes no other peer passes on. */
  get direct(): readonly Member[] {
    return [...this.#ways.values()].filter(({ via }) => via === undefined).map(({ member }) => member)
  }

  /** Peers that were turned away because there were too many. */
  get refused(): number {
    return this.#refused
  }

  /** Links that were closed because they carried nothing, or because their place was wanted. */
  get closedIdle(): number {
    return this.#closedIdle
  }

  /** Who passes on what goes to a peer; undefined when nobody does. */
  viaOf(peerId: string): string | undefined {
    return this.#ways.get(peerId)?.via
  }

  /**
   * From now on a link to that peer is sought and kept, until it is gone or carries nothing for long.
   * @returns false when there are too many already and all of them carry something
   */
  want(peerId: string): boolean {
    if (this.#isClosed) return false
    if (this.#wanted.has(peerId)) return true
    if (!this.#ways.has(peerId) && !this.#makeRoom()) return false
    void this.#keepLinked(peerId)
    return true
  }

  /** Whether a link to that peer is kept, and sought where there is none. */
  isWanted(peerId: string): boolean {
    return this.#wanted.has(peerId)
  }

  /** Why the last attempt to have a link to that peer failed, while one is sought. */
  failureOf(peerId: string): unknown {
    return this.#failures.get(peerId)
  }

  /** `ERR_BACK_PRESSURE` when one more cannot be linked to this node: too many are, and all of these links carry something. */
  requirePlace(peerId: string): void {
    if (this.#ways.has(peerId) || this.#wanted.has(peerId) || this.#makeRoom()) return
    this.#refused++
    const { maxPeers } = this.#init
    throw new ServeError('ERR_BACK_PRESSURE', `${this.#ways.size} peers are connected, the limit is ${maxPeers} (mesh.maxPeers)`)
  }

  /** A link to that peer, for which it waits so long at most; undefined when there is none then. */
  async reach(peerId: string, mostMs: number): Promise<Member | undefined> {
    if (this.#ways.has(peerId) || !this.want(peerId)) return this.get(peerId)
    let stopTimer: Stop = () => {}
    await new Promise<void>((resolve) => {
      stopTimer = this.#clock.after(mostMs, resolve)
      this.#waiting.push({ peerId, resolve })
    })
    stopTimer()
    this.#waiting = this.#waiting.filter((one) => one.peerId !== peerId)
    return this.get(peerId)
  }

  /** Seeks no link any more to peers that are not there. */
  retain(isThere: (peerId: string) => boolean): void {
    for (const peerId of [...this.#wanted.keys()]) if (!isThere(peerId)) this.#unwant(peerId)
  }

  /** Takes the far end of a connection that another peer passes on. False for a port of another kind. */
  takePort(port: VirtualPort, relayId: string): boolean {
    return this.#relayed.takePort(port, relayId)
  }

  /** Takes word that the other end of a link has nothing under way on it. False for a port of another kind. */
  takeIdle(port: VirtualPort, { peerId, link }: Member): boolean {
    if (port.name !== IDLE_PORT) return false
    const way = this.#ways.get(peerId)
    if (way?.member.link !== link || this.#carries(way) || this.#init.isKept(peerId)) {
      throw new ServeError('ERR_BACK_PRESSURE', 'something is under way here')
    }
    if (!way.isClosing) this.#init.onIdle(way.member)
    way.isClosing = true
    link.close('it carried nothing')
    return true
  }

  /** A member that somebody else on this node has let in. */
  meet(member: Member, connection: PeerConnection): void {
    this.#meet(member, connection)
  }

  close(reason: string): void {
    this.#isClosed = true
    this.#stop()
    this.#stopLook()
    for (const abort of this.#wanted.values()) abort.abort(new Error(reason))
    const ways = [...this.#ways.values()]
    this.#ways.clear()
    for (const { member } of ways) {
      this.#init.onGone(member, reason)
      member.link.close(reason)
    }
  }

  async #keepLinked(peerId: string): Promise<void> {
    const abort = new AbortController()
    this.#wanted.set(peerId, abort)
    const connect = async (signal: AbortSignal): Promise<void> => {
      await this.#whenUnlinked(peerId)
      signal.throwIfAborted()
      await this.#reach(peerId, signal)
      await this.#whenUnlinked(peerId)
    }
    const onFailure = (error: unknown): void => {
      this.#failures.set(peerId, error)
    }
    await keepConnected({ connect, peers: this.#init.peers, onFailure }, abort.signal, this.#clock, this.#random)
  }

  /** What seeks it ends when it next looks; one that comes back is sought anew. */
  #unwant(peerId: string): void {
    this.#wanted.get(peerId)?.abort(new Error('the peer is gone'))
    this.#wanted.delete(peerId)
    this.#failures.delete(peerId)
  }

  async #whenUnlinked(peerId: string): Promise<void> {
    for (let way = this.#ways.get(peerId); way !== undefined; way = this.#ways.get(peerId)) await way.member.link.whenGone
  }

  /** Dials, and goes through others when nobody answers. Rejects with the first failure of these, or of dialling where there are none. */
  async #reach(peerId: string, signal: AbortSignal): Promise<void> {
    try {
      return await this.#dial(this.#init.addressesOf(peerId) ?? [], signal)
    } catch (error) {
      signal.throwIfAborted()
      let refusal: unknown
      for (const relay of this.#init.relaysTo(peerId).slice(0, MAX_RELAYS_ASKED)) {
        try {
          const connection = await this.#relayed.dial(peerId, relay, signal)
          return this.#meet(await this.#init.enter(connection), connection)
        } catch (cause) {
          signal.throwIfAborted()
          refusal ??= cause
          this.#log.debug({ peer: peerId, via: relay.peerId, reason: String(cause) }, 'relay.failed')
        }
      }
      throw refusal ?? error
    }
  }

  #dial(addresses: readonly string[], signal: AbortSignal): Promise<void> {
    return dialFirst(this.#init.transport, addresses, signal, this.#clock, async (connection) => {
      this.#meet(await this.#init.enter(connection), connection)
    })
  }

  async #greet(connection: PeerConnection): Promise<void> {
    try {
      const member = await this.#init.admit(connection)
      if (member !== undefined) this.#meet(member, connection)
    } catch {
      // Whoever admits has said so.
    }
  }

  #meet(member: Member, { via, isOutbound }: PeerConnection): void {
    const { peerId, link } = member
    const way: Way = { member, via, isOutbound, usedAtMs: this.#clock.nowMs(), isClosing: false }
    const before = this.#ways.get(peerId)
    if (this.#isClosed) return link.close('the peer left')
    // The other end may have changed its mind in the same breath.
    if (link.isGone) return
    this.#init.serve(member)
    // The other end may have a call on it by now, and retires it once it has heard of the better one.
    if (before !== undefined && !before.member.link.isGone && !this.#isBetter(way, before))
      return link.closeWhenIdle('there is a better connection', RETIRE_MS)
    this.#ways.set(peerId, way)
    this.#failures.delete(peerId)
    this.#init.onLink(member)
    for (const one of this.#waiting) if (one.peerId === peerId) one.resolve()
    if (before !== undefined) this.#replace(before, way)
    void link.whenGone.then(({ reason }) => this.#onGone(way, reason))
    if (via !== undefined) void this.#seekDirect(way)
  }

  /** An end that dials again knows better than this one that the link before is of no use; any other way to the same peer goes on until it is idle. */
  #replace(before: Way, after: Way): void {
    const { link, card } = before.member
    const isSameWay = before.via === after.via && before.isOutbound === after.isOutbound
    if (isSameWay || card.incarnation !== after.member.card.incarnation) link.abort('the same peer has connected anew')
    else link.closeWhenIdle('a better connection took its place', RETIRE_MS)
  }

  #isBetter(way: Way, before: Way): boolean {
    if (before.isClosing) return true
    if (way.member.card.incarnation !== before.member.card.incarnation) return true
    const isDirect = way.via === undefined
    if (isDirect !== (before.via === undefined)) return isDirect
    const isOfLower = way.isOutbound === this.#init.transport.peerId < way.member.peerId
    return isOfLower || way.isOutbound === before.isOutbound
  }

  #onGone(way: Way, reason: string): void {
    const { peerId } = way.member
    if (this.#ways.get(peerId) !== way) return
    this.#ways.delete(peerId)
    if (!way.isClosing) return this.#init.onGone(way.member, reason)
    this.#closedIdle++
    this.#unwant(peerId)
    this.#log.debug({ peer: peerId }, 'peer.link-idle')
    this.#init.onUnlinked(peerId)
  }

  /** Looks which links carry something; those that did not for long are closed. */
  #lookAgain(): void {
    this.#stopLook = this.#clock.after(this.#init.idleLinkMs / LOOKS, () => {
      for (const way of this.#ways.values()) {
        if (this.#idleMs(way) >= this.#init.idleLinkMs && !this.#init.isKept(way.member.peerId)) this.#closeIdle(way)
      }
      this.#lookAgain()
    })
  }

  /** Whether something is under way on it, be it no call. */
  #carries({ member }: Way): boolean {
    return this.#init.isBusy(member) || member.link.openPorts.some((name) => !name.startsWith(BACKEND_PORT) && name !== IDLE_PORT)
  }

  /** How long it has carried nothing, in milliseconds. */
  #idleMs(way: Way): number {
    const nowMs = this.#clock.nowMs()
    way.usedAtMs = this.#carries(way) ? nowMs : Math.max(way.usedAtMs, way.member.link.usedAtMs)
    return nowMs - way.usedAtMs
  }

  /** Asks the other side to close it; until that has answered, what is called waits. */
  #closeIdle(way: Way): void {
    const { member } = way
    if (way.isClosing || member.link.isGone) return
    way.isClosing = true
    this.#init.onIdle(member)
    const { link, peerId } = member
    const giveUp = (): void => link.abort('the other side did not say whether the connection is of use')
    const stopTimer = this.#clock.after(ANSWER_MS, giveUp)
    try {
      link.openPort(IDLE_PORT).onClosed(() => {
        stopTimer()
        if (link.isGone || this.#ways.get(peerId) !== way) return
        way.isClosing = false
        way.usedAtMs = this.#clock.nowMs()
        this.#init.onLink(member)
      })
    } catch {
      // It has as many ports as there may be, and none of them is of use.
      giveUp()
    }
  }

  /** True when one more may be linked: a peer that is sought in vain is sought no more for it, or the link that carried nothing for longest is closed. */
  #makeRoom(): boolean {
    const { maxPeers, isKept } = this.#init
    const sought = [...this.#wanted.keys()].filter((peerId) => !this.#ways.has(peerId))
    const open = [...this.#ways.values()].filter(({ isClosing }) => !isClosing)
    if (open.length + sought.length < maxPeers) return true
    const inVain = sought.find((peerId) => this.#failures.has(peerId) && !isKept(peerId))
    if (inVain !== undefined) {
      this.#unwant(inVain)
      this.#init.onGivenUp(inVain)
      return true
    }
    const idle = open.filter((way) => !this.#carries(way) && !isKept(way.member.peerId))
    const [longest] = idle.sort((a, b) => this.#idleMs(b) - this.#idleMs(a))
    if (longest !== undefined) this.#closeIdle(longest)
    return longest !== undefined
  }

  /** Dials the peer at the other end of a relayed link until it answers or that link is no more. */
  async #seekDirect({ member, via }: Way): Promise<void> {
    const { peerId, link } = member
    this.#log.info({ peer: peerId, via }, 'peer.relayed')
    const abort = new AbortController()
    void link.whenGone.then(() => abort.abort(new Error('the relayed link is gone')))
    for (let failures = 1; !abort.signal.aborted && this.viaOf(peerId) !== undefined; failures++) {
      try {
        await sleep(this.#clock, redialDelayMs(failures, this.#random, this.#init.peers()), abort.signal)
        await this.#dial(this.#init.addressesOf(peerId) ?? member.card.addresses, abort.signal)
      } catch {
        // Until it answers, or a link stands that nobody passes on.
      }
    }
  }
}
