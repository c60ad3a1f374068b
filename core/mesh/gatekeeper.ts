import { type Clock, isServeError, type Logger, ServeError, type Turns } from '../base/index.ts'
import { admit, type GateOptions, isSilence, type Member, turnAway } from './admission.ts'
import { BAN_MOST_MS, BanList } from './ban-list.ts'
import type { PeerConnection } from './peer-transport.ts'
import { isRoleError } from './roles.ts'
import { type WaitingCounts, WaitingRoom } from './waiting-room.ts'

/** Requests beyond its roles after which a member is shut out. */
export const MAX_STRIKES = 3
/** Members kept in mind, present ones and those of before. */
const MAX_KNOWN = 1_000
/** Refusals that are logged in a minute; the next line tells how many were not. */
const LOGGED_PER_MINUTE = 20

/** Refusals that speak against who was refused. An old ticket or credential does not: somebody was given it. */
const FAULTS: ReadonlySet<string> = new Set([
  'ERR_TICKET_INVALID',
  'ERR_TICKET_USED',
  'ERR_FORBIDDEN',
  'ERR_BAD_REQUEST',
  'ERR_PROTOCOL_VERSION',
])

/** For metrics. */
export interface GateCounts extends WaitingCounts {
  /** Connections that were not let in, by code. */
  readonly refused: ReadonlyMap<string, number>
  /** Bans that have begun. */
  readonly bans: number
  /** Requests and calls of members that their tickets do not allow. */
  readonly forbidden: number
}

/**
 * Stands before admission: lets few in at a time, and does not hear those that were refused again and again, by the peer id that the transport has proven
 * and by the address. An id costs a stranger nothing, so the address counts too, but for peers that were members before. A member that asks for what its
 * roles do not allow is shut out by its id.
 */
export class Gatekeeper {
  readonly #room: WaitingRoom
  readonly #maxAdmissions: number
  readonly #peers: BanList
  readonly #hosts: BanList
  readonly #strikes = new Map<string, number>()
  readonly #known = new Set<string>()
  readonly #refused = new Map<string, number>()
  readonly #clock: Clock
  readonly #turns: Turns
  readonly #log: Logger
  #bans = 0
  #forbidden = 0
  #minute = { sinceMs: 0, logged: 0, unlogged: 0 }

  /** @param maxAdmissions connections that may be in admission at once */
  constructor(maxAdmissions: number, clock: Clock, turns: Turns, log: Logger) {
    this.#room = new WaitingRoom(maxAdmissions, clock)
    this.#maxAdmissions = maxAdmissions
    this.#peers = new BanList(clock)
    this.#hosts = new BanList(clock)
    this.#clock = clock
    this.#turns = turns
    this.#log = log
  }

  get counts(): GateCounts {
    return { ...this.#room.counts, refused: this.#refused, bans: this.#bans, forbidden: this.#forbidden }
  }

  /** As `admit` does; `ERR_BACK_PRESSURE` for who is not heard now. What it rejects with is logged and counted. */
  async admit(connection: PeerConnection, options: GateOptions): Promise<Member> {
    const { peerId, host } = connection
    const leftMs = Math.max(this.#peers.leftMs(peerId), host === undefined || this.#known.has(peerId) ? 0 : this.#hosts.leftMs(host))
    if (leftMs > 0) {
      const why = `too many attempts were refused; try again in ${Math.ceil(leftMs / 1000)} s`
      throw this.#count(turnAway(connection, new ServeError('ERR_BACK_PRESSURE', why), options, this.#clock, this.#turns))
    }
    let isDisplaced = false
    const place = this.#room.enter(host ?? connection.via, () => {
      isDisplaced = true
      connection.channel.abort('others wait for admission')
    })
    if (place === undefined) {
      connection.channel.abort('too many connections wait for admission')
      throw this.#count(new ServeError('ERR_BACK_PRESSURE', `${this.#maxAdmissions} connections wait for admission (mesh.maxAdmissions)`))
    }
    try {
      const member = await admit(connection, { ...options, onHello: () => place.speak() }, this.#clock, this.#turns)
      this.#remember(member.peerId)
      if (host !== undefined) this.#hosts.forgive(host)
      return member
    } catch (error) {
      if (isDisplaced) throw this.#count(new ServeError('ERR_BACK_PRESSURE', 'it said nothing, and others waited for admission'))
      this.#noteRefusal(connection, this.#count(error as ServeError))
      throw error
    } finally {
      place.leave()
    }
  }

  /** Does what a member asks for. What its roles do not allow is counted; at the third time its link is closed, and it is not heard for a while. */
  hold<T>(member: Member, work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (isRoleError(error)) this.strike(member, error.message)
      throw error
    }
  }

  /** The same for news of a member, by topic; news that its roles do not allow are dropped. */
  holdAll(member: Member, told: ReadonlyMap<string, (value: never) => void>): ReadonlyMap<string, (value: never) => void> {
    const held = (work: (value: never) => void) => (value: never) => {
      try {
        this.hold(member, () => work(value))
      } catch (error) {
        if (!isRoleError(error)) throw error
      }
    }
    return new Map([...told].map(([topic, work]) => [topic, held(work)]))
  }

  /** Counts what a member may not do and may not know yet; it is held against nobody. */
  noteForbidden(): void {
    this.#forbidden++
  }

  strike({ peerId, card, link }: Member, reason: string): void {
    this.#forbidden++
    const strikes = (this.#strikes.get(peerId) ?? 0) + 1
    this.#strikes.delete(peerId)
    this.#strikes.set(peerId, strikes)
    for (const oldest of this.#strikes.keys()) if (this.#strikes.size > MAX_KNOWN) this.#strikes.delete(oldest)
    this.#log.warn({ peer: peerId, name: card.name, strikes, reason }, 'peer.forbidden')
    if (strikes < MAX_STRIKES) return
    this.#strikes.delete(peerId)
    this.#peers.ban(peerId, BAN_MOST_MS)
    this.#noteBan({ peer: peerId, banMs: BAN_MOST_MS })
    link.close('it asked for what its ticket does not allow')
  }

  #remember(peerId: string): void {
    this.#peers.forgive(peerId)
    this.#known.delete(peerId)
    this.#known.add(peerId)
    for (const oldest of this.#known) if (this.#known.size > MAX_KNOWN) this.#known.delete(oldest)
  }

  #count(error: ServeError): ServeError {
    const { code } = error
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1)
    return error
  }

  #noteRefusal({ peerId, host }: PeerConnection, error: ServeError): void {
    this.#logRefusal(peerId, error)
    if (!(isServeError(error) && FAULTS.has(error.code)) && !isSilence(error)) return
    const peerMs = this.#peers.noteFailure(peerId)
    const hostMs = host === undefined ? 0 : this.#hosts.noteFailure(host)
    if (peerMs + hostMs === 0) return
    this.#noteBan({ ...(peerMs > 0 && { peer: peerId }), ...(hostMs > 0 && { host }), banMs: Math.max(peerMs, hostMs) })
  }

  #noteBan(fields: object): void {
    this.#bans++
    this.#log.warn(fields, 'peer.banned')
  }

  #logRefusal(peer: string, { code, message }: ServeError): void {
    const nowMs = this.#clock.nowMs()
    if (nowMs - this.#minute.sinceMs >= 60_000) this.#minute = { sinceMs: nowMs, logged: 0, unlogged: this.#minute.unlogged }
    if (this.#minute.logged >= LOGGED_PER_MINUTE) {
      this.#minute.unlogged++
      return
    }
    const { unlogged } = this.#minute
    this.#minute.logged++
    this.#minute.unlogged = 0
    this.#log.warn({ peer, code, reason: message, ...(unlogged > 0 && { unlogged }) }, 'peer.refused')
  }
}

/** Together with what waits before the gate. */
export function withWaiting(counts: GateCounts, before: WaitingCounts | undefined): GateCounts {
  if (before === undefined) return counts
  return { ...counts, waiting: counts.waiting + before.waiting, displaced: counts.displaced + before.displaced }
}
