import type { Turns } from '../base/index.ts'
import { FRAME_HEAD_BYTES, writeFrameHead } from './frame.ts'
import type { ByteChannel } from './peer-transport.ts'
import type { Fragment, VirtualPort } from './virtual-port.ts'

/** Bytes that leave in one write. Small frames of a turn share one; the cipher works per write. */
const WRITE_BYTES = 131_072
/** Small frames that may wait for a peer that asks and does not read. */
const MAX_URGENT = 10_000
/**
 * Ports that may be in the midst of a message longer than their window. More would have more under way than a stream of the transport takes at once, and
 * small frames would wait behind it.
 */
const MAX_LARGE = 1
/** Four bytes that tell the length of a message in parts. */
const TOTAL_BYTES = 4

export interface FrameOutboxInit {
  readonly channel: ByteChannel
  /** Bytes of messages that may wait for a peer that does not read. */
  readonly maxWaitingBytes: number
  /** The other side does not read; nothing more is sent. */
  readonly onStuck: (reason: string) => void
  /** A port that was closed has sent its last. */
  readonly onLastSent: (port: VirtualPort) => void
}

interface Piece {
  readonly port: VirtualPort | undefined
  readonly fragment: Fragment | undefined
  readonly bytes: Uint8Array
}

/**
 * The order in which a link sends: small frames first, then a part of each port in turn, so that a large message holds up its own port alone, and others
 * longer than a window. What comes in one turn leaves as one write, and no more than the channel takes.
 */
export class FrameOutbox {
  readonly #init: FrameOutboxInit
  readonly #turns: Turns
  #urgent: Uint8Array[] = []
  /** Ports with something to send, in turn. */
  #sending: VirtualPort[] = []
  /** Ports in the midst of a message longer than their window, and of those the ones that have sent nothing of it since the last `tick`. */
  readonly #large = new Set<VirtualPort>()
  readonly #heldUp = new Set<VirtualPort>()
  #waitingBytes = 0
  #armed = false
  #isClosed = false

  constructor(init: FrameOutboxInit, turns: Turns) {
    this.#init = init
    this.#turns = turns
  }

  /** A frame that goes before messages. */
  add(frame: Uint8Array): void {
    if (this.#isClosed) return
    this.#urgent.push(frame)
    if (this.#urgent.length > MAX_URGENT) return this.#init.onStuck(`the other side has not read ${this.#urgent.length} small frames`)
    this.#schedule()
  }

  /** A port has so many more bytes to send, or may send what it has. */
  queue(port: VirtualPort, bytes = 0): void {
    if (this.#isClosed) return
    this.#waitingBytes += bytes
    if (this.#waitingBytes > this.#init.maxWaitingBytes) {
      return this.#init.onStuck(`the other side has not read ${this.#waitingBytes} bytes`)
    }
    if (!port.isInTurn) {
      port.isInTurn = true
      this.#sending.push(port)
    }
    this.#schedule()
  }

  /** So many queued bytes will not leave. */
  drop(bytes: number): void {
    this.#waitingBytes -= bytes
  }

  /** Sends what waits. @param isLast also when the channel would rather wait */
  flush(isLast = false): void {
    const { channel } = this.#init
    while (!this.#isClosed && (isLast || channel.isWritable)) {
      const bytes = this.#gather()
      if (bytes === undefined) return
      channel.send(bytes)
    }
  }

  /** Called once a second: a long message that the other side does not take holds up no other one for longer. */
  tick(): void {
    for (const port of this.#large) {
      if (this.#heldUp.has(port)) this.#large.delete(port)
      else this.#heldUp.add(port)
    }
    if (this.#sending.length > 0) this.#schedule()
  }

  /** A port sends nothing more. */
  forget(port: VirtualPort): void {
    if (this.#large.delete(port) && this.#sending.length > 0) this.#schedule()
    this.#heldUp.delete(port)
  }

  /** Nothing leaves any more. */
  close(): void {
    this.#isClosed = true
    this.#urgent = []
    this.#sending = []
  }

  #schedule(): void {
    if (this.#armed) return
    this.#armed = true
    this.#turns.soon(() => {
      this.#armed = false
      this.flush()
    })
  }

  /** One buffer of frames, up to {@link WRITE_BYTES} or a little more. */
  #gather(): Uint8Array | undefined {
    const pieces: Piece[] = this.#urgent.splice(0).map((bytes) => ({ port: undefined, fragment: undefined, bytes }))
    let size = pieces.reduce((sum, { bytes }) => sum + bytes.byteLength, 0)
    while (this.#sending.length > 0 && size < WRITE_BYTES) {
      const added = this.#takeRound(pieces, WRITE_BYTES - size)
      if (added === 0) break
      size += added
    }
    return size === 0 ? undefined : flatten(pieces, size)
  }

  /** A part of each port in turn, as long as there is room. @returns bytes added */
  #takeRound(pieces: Piece[], room: number): number {
    let size = 0
    const again: VirtualPort[] = []
    for (const port of this.#sending) {
      if (size >= room || (port.largeAt === 'begin' && this.#large.size >= MAX_LARGE)) {
        again.push(port)
        continue
      }
      const fragment = port.canSend ? port.takeFragment() : undefined
      if (fragment !== undefined) {
        this.#heldUp.delete(port)
        if (port.largeAt === 'midst') this.#large.add(port)
        else this.#large.delete(port)
        pieces.push({ port, fragment, bytes: fragment.bytes })
        size += FRAME_HEAD_BYTES + (fragment.total === undefined ? 0 : TOTAL_BYTES) + fragment.bytes.byteLength
        this.#waitingBytes -= fragment.bytes.byteLength
      }
      port.isInTurn = port.canSend
      if (port.isInTurn) again.push(port)
      else if (port.isClosed && !port.hasOutgoing) this.#init.onLastSent(port)
    }
    this.#sending = again
    return size
  }
}

function flatten(pieces: readonly Piece[], size: number): Uint8Array {
  const flat = new Uint8Array(size)
  const view = new DataView(flat.buffer)
  let at = 0
  for (const { port, fragment, bytes } of pieces) {
    if (port !== undefined && fragment !== undefined) {
      const { flags, total } = fragment
      writeFrameHead(view, at, flags, port.id, bytes.byteLength + (total === undefined ? 0 : TOTAL_BYTES))
      at += FRAME_HEAD_BYTES
      if (total !== undefined) {
        view.setUint32(at, total)
        at += TOTAL_BYTES
      }
    }
    flat.set(bytes, at)
    at += bytes.byteLength
  }
  return flat
}
