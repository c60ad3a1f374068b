import { ServeError } from '../base/index.ts'
import type { Member } from './admission.ts'
import type { Link } from './link.ts'
import { requireRole } from './roles.ts'
import type { VirtualPort } from './virtual-port.ts'

/** Asks for a way to another peer, whose id follows. */
export const RELAY_PORT = 'relay:'
/** The other end of it, at that peer; the id of who asked follows. */
export const RELAYED_PORT = 'relayed:'

/** Connections that a controller passes on at once. Each may hold a megabyte of it: two windows of a port. */
export const DEFAULT_MAX_RELAYED = 64
/** Share of them that one peer may have asked for. */
const SHARE_OF_ONE = 0.25

export interface RelayOptions {
  /** Connections passed on at once; 0: none. */
  readonly maxRelayed: number
  /** The link to a peer, when there is one. */
  readonly linkTo: (peerId: string) => Link | undefined
}

/** What a relay has done, for metrics. */
export interface RelayCounts {
  /** Connections passed on now. */
  readonly open: number
  /** Bytes taken from one side and not yet sent to the other. */
  readonly heldBytes: number
  readonly passedBytes: number
  readonly refused: number
}

/**
 * Passes bytes on between two peers that have no link of their own. It reads none of them, and what it holds is bounded: one side is granted room as the
 * other side takes.
 */
export class Relay {
  readonly #options: RelayOptions
  /** Connections by who asked for them. */
  readonly #open = new Map<string, number>()
  #heldBytes = 0
  #passedBytes = 0
  #refused = 0

  constructor(options: RelayOptions) {
    this.#options = options
  }

  get counts(): RelayCounts {
    let open = 0
    for (const count of this.#open.values()) open += count
    return { open, heldBytes: this.#heldBytes, passedBytes: this.#passedBytes, refused: this.#refused }
  }

  /** Takes a port that asks for a way; `ERR_BACK_PRESSURE`, `ERR_FORBIDDEN`, `ERR_PEER_UNREACHABLE`, `ERR_UNSUPPORTED`. False for a port of another kind. */
  takePort(port: VirtualPort, member: Member): boolean {
    if (!port.name.startsWith(RELAY_PORT)) return false
    try {
      this.#pass(port, member, port.name.slice(RELAY_PORT.length))
    } catch (error) {
      this.#refused++
      throw error
    }
    return true
  }

  #pass(port: VirtualPort, member: Member, targetId: string): void {
    const { peerId } = member
    const { maxRelayed, linkTo } = this.#options
    requireRole(member, 'caller', 'reaching another peer')
    if (maxRelayed === 0) throw new ServeError('ERR_UNSUPPORTED', 'this peer passes no connections on (mesh.maxRelayed)')
    const mine = this.#open.get(peerId) ?? 0
    const { open } = this.counts
    const most = Math.max(1, Math.floor(maxRelayed * SHARE_OF_ONE))
    if (open >= maxRelayed || mine >= most) {
      const why = open >= maxRelayed ? `${open}, the limit is ${maxRelayed}` : `${mine} of one peer, the limit is ${most}`
      throw new ServeError('ERR_BACK_PRESSURE', `connections passed on: ${why} (mesh.maxRelayed)`)
    }
    const target = targetId === peerId ? undefined : linkTo(targetId)
    if (target === undefined) throw new ServeError('ERR_PEER_UNREACHABLE', `peer ${targetId} is not connected here`)
    const onward = target.openPort(RELAYED_PORT + peerId)
    this.#open.set(peerId, mine + 1)
    // The place is free again when both ports are closed and nothing of them is held.
    let held = 0
    let isClosed = false
    let isOver = false
    const note = (bytes: number): void => {
      held += bytes
      this.#heldBytes += bytes
      if (held > 0 || !isClosed || isOver) return
      isOver = true
      this.#forget(peerId)
    }
    this.#join(port, onward, note)
    this.#join(onward, port, note)
    port.onClosed(() => {
      isClosed = true
      note(0)
    })
  }

  /** One direction. Room is granted to the sender once the bytes have left for the other side. */
  #join(from: VirtualPort, to: VirtualPort, note: (bytes: number) => void): void {
    to.onLeft((bytes) => {
      note(-bytes)
      from.consume(bytes)
    })
    from.listen(([piece]) => {
      if (to.isClosed) return
      const { byteLength } = piece as Uint8Array
      this.#passedBytes += byteLength
      note(byteLength)
      to.post([piece])
    })
    from.onClosed(() => to.close())
  }

  #forget(peerId: string): void {
    const left = (this.#open.get(peerId) ?? 1) - 1
    if (left === 0) this.#open.delete(peerId)
    else this.#open.set(peerId, left)
  }
}
