import { ServeError } from '../base/index.ts'
import type { CallPort } from '../replica/index.ts'
import { FIRST as FIRST_OF_MANY, MAX_FRAME_PAYLOAD, MORE } from './frame.ts'
import type { MessageCodec } from './message-codec.ts'

/** Bytes of DATA that one side may have under way on a port before the other grants more. */
export const PORT_WINDOW_BYTES = 524_288

/** Four bytes that tell the length of a message in parts. */
const TOTAL_BYTES = 4

/**
 * Ports with such a name carry bytes as they are: a message is `[Uint8Array]` of at most {@link MAX_FRAME_PAYLOAD} bytes, and whoever takes them
 * grants room by `consume`.
 */
export const BYTES_PREFIX = 'relay'

/** What a port needs of its link. */
export interface PortSeams {
  readonly codec: MessageCodec
  readonly maxMessageBytes: number
  /** Something waits to be sent. */
  readonly onQueued: (port: VirtualPort, bytes: number) => void
  /** So many bytes were taken in for good. */
  readonly grant: (port: VirtualPort, bytes: number) => void
  /** Asks for room for a message in parts; false: not now, `resumeIntake` comes when there is. */
  readonly claim: (port: VirtualPort, bytes: number) => boolean
  readonly release: (bytes: number) => void
  /** The port was closed on this side. */
  readonly onClosed: (port: VirtualPort) => void
  /** So many queued bytes will not leave. */
  readonly onDropped: (bytes: number) => void
}

/** A part of a message, ready for a frame. */
export interface Fragment {
  readonly flags: number
  /** Length of the whole message, in front of the payload of the first of several parts. */
  readonly total: number | undefined
  readonly bytes: Uint8Array
}

interface Outgoing {
  readonly bytes: Uint8Array
  at: number
}

/** A port for call frames inside a link. What is posted is encoded at once; it leaves in turn with other ports, as the other side grants room. */
export class VirtualPort implements CallPort {
  readonly id: number
  readonly name: string
  /** True for a port of bytes, which the name tells. */
  readonly isOfBytes: boolean
  /** True while the link has it in its round of those that send. */
  isInTurn = false
  readonly #seams: PortSeams
  #listener: ((message: readonly unknown[]) => void) | undefined
  readonly #early: (readonly unknown[])[] = []
  #earlyBytes = 0
  readonly #outgoing: Outgoing[] = []
  #credit = PORT_WINDOW_BYTES
  /** What the other side may still send before it is granted more. */
  #window = PORT_WINDOW_BYTES
  #ungranted = 0
  #partial: { readonly bytes: Uint8Array[]; size: number; readonly total: number; isClaimed: boolean } | undefined
  #isClosed = false
  #closeListeners: ((reason: string) => void)[] = []
  #closedBecause: string | undefined
  #onLeft: (bytes: number) => void = () => {}

  constructor(id: number, name: string, seams: PortSeams) {
    this.id = id
    this.name = name
    this.isOfBytes = name.startsWith(BYTES_PREFIX)
    this.#seams = seams
  }

  /** Throws `ERR_NOT_SERIALIZABLE` or `ERR_PAYLOAD_TOO_LARGE`; nothing was sent then. Nothing can be given away here: all is copied. */
  post(message: readonly unknown[]): void {
    if (this.#isClosed) return
    const bytes = this.isOfBytes ? (message[0] as Uint8Array) : this.#seams.codec.encode(message)
    const maxMessageBytes = this.isOfBytes ? MAX_FRAME_PAYLOAD : this.#seams.maxMessageBytes
    if (bytes.byteLength > maxMessageBytes) {
      throw new ServeError(
        'ERR_PAYLOAD_TOO_LARGE',
        `a message of ${bytes.byteLength} bytes is more than the ${maxMessageBytes} of mesh.maxMessageBytes`,
      )
    }
    this.#outgoing.push({ bytes, at: 0 })
    this.#seams.onQueued(this, bytes.byteLength)
  }

  listen(listener: (message: readonly unknown[]) => void): void {
    if (this.#early.length === 0) {
      this.#listener = listener
      return
    }
    // Not within this call: who listens is seldom ready for messages before it returns.
    queueMicrotask(() => {
      this.#listener = listener
      const early = this.#early.splice(0)
      if (!this.isOfBytes) this.#grant(this.#earlyBytes)
      this.#earlyBytes = 0
      for (const message of early) listener(message)
    })
  }

  /** For a port of bytes: so many of them were taken in, or have been passed on. */
  consume(bytes: number): void {
    this.#grant(bytes)
  }

  /** For a port of bytes: tells of what has left, or never will; it must not be answered within the call. */
  onLeft(listener: (bytes: number) => void): void {
    this.#onLeft = listener
  }

  /** As `close`, but what has not left never does. For ports of bytes, whose messages are never cut. */
  abandon(): void {
    if (!this.#isClosed) this.#dropOutgoing()
    this.close()
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#seams.onClosed(this)
    this.#tellClosed('closed here')
  }

  /** Tells once when the port is closed, from either side or with its link. */
  onClosed(listener: (reason: string) => void): void {
    if (this.#closedBecause !== undefined) listener(this.#closedBecause)
    else this.#closeListeners.push(listener)
  }

  // What the link does.

  get hasOutgoing(): boolean {
    return this.#outgoing.length > 0
  }

  /** True when the next part may leave. */
  get canSend(): boolean {
    return this.#outgoing.length > 0 && this.#credit >= this.#nextSize()
  }

  /** Where the next part stands in a message that is longer than the window; undefined when it is of a shorter one. */
  get largeAt(): 'begin' | 'midst' | undefined {
    const next = this.#outgoing[0]
    if (next === undefined || next.bytes.byteLength <= PORT_WINDOW_BYTES) return undefined
    return next.at === 0 ? 'begin' : 'midst'
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  addCredit(bytes: number): void {
    this.#credit += bytes
  }

  /** Takes the next part off the queue. Call it only when `canSend`. */
  takeFragment(): Fragment | undefined {
    const next = this.#outgoing[0]
    if (next === undefined) return undefined
    const size = this.#nextSize()
    this.#credit -= size
    const isWhole = next.bytes.byteLength <= MAX_FRAME_PAYLOAD
    const isFirst = next.at === 0
    const taken = isFirst && !isWhole ? size - TOTAL_BYTES : size
    const bytes = next.bytes.subarray(next.at, next.at + taken)
    next.at += taken
    const isLast = next.at === next.bytes.byteLength
    if (isLast) this.#outgoing.shift()
    this.#onLeft(taken)
    const flags = (isLast ? 0 : MORE) | (isFirst && !isWhole ? FIRST_OF_MANY : 0)
    return { flags, total: isFirst && !isWhole ? next.bytes.byteLength : undefined, bytes }
  }

  /** Takes a DATA frame. Throws `ERR_BAD_REQUEST` or `ERR_PAYLOAD_TOO_LARGE`, after which the link is of no use. */
  take(flags: number, payload: Uint8Array): void {
    this.#window -= payload.byteLength
    if (this.#window < 0)
      throw new ServeError('ERR_BAD_REQUEST', `a peer sent ${-this.#window} bytes more on port ${this.name} than it was granted`)
    if (this.isOfBytes) return this.#takeBytes(flags, payload)
    if ((flags & FIRST_OF_MANY) !== 0) return this.#takeFirst(flags, payload)
    const partial = this.#partial
    if (partial === undefined) {
      if ((flags & MORE) !== 0) throw new ServeError('ERR_BAD_REQUEST', `a peer sent the middle of a message on port ${this.name}`)
      return this.#deliver(this.#seams.codec.decode(payload, false), payload.byteLength)
    }
    this.#takePart(partial, payload)
    const isLast = (flags & MORE) === 0
    if (isLast !== (partial.size === partial.total)) {
      throw new ServeError(
        'ERR_BAD_REQUEST',
        `a peer announced a message of ${partial.total} bytes on port ${this.name} and sent ${partial.size}`,
      )
    }
    if (!isLast) return this.#grantPart(partial, payload.byteLength)
    this.#partial = undefined
    if (partial.isClaimed) this.#seams.release(partial.total)
    this.#deliver(this.#seams.codec.decode(joined(partial.bytes, partial.total), true), payload.byteLength)
  }

  /** There is room for the message in parts that had to wait. */
  resumeIntake(): boolean {
    const partial = this.#partial
    if (partial === undefined || partial.isClaimed) return true
    if (!this.#seams.claim(this, partial.total)) return false
    partial.isClaimed = true
    this.#grant(partial.size)
    return true
  }

  /** Bytes held here for messages that are not whole, or that nobody listens to. */
  get heldBytes(): number {
    return this.#earlyBytes + (this.#partial?.size ?? 0)
  }

  /** The other side, or the link, closed it. */
  end(reason: string): void {
    if (this.#partial?.isClaimed) this.#seams.release(this.#partial.total)
    this.#partial = undefined
    this.#isClosed = true
    this.#dropOutgoing()
    this.#tellClosed(reason)
  }

  #dropOutgoing(): void {
    for (const { bytes, at } of this.#outgoing.splice(0)) {
      this.#seams.onDropped(bytes.byteLength - at)
      this.#onLeft(bytes.byteLength - at)
    }
  }

  #takeBytes(flags: number, payload: Uint8Array): void {
    if ((flags & (FIRST_OF_MANY | MORE)) !== 0) throw new ServeError('ERR_BAD_REQUEST', `a peer sent bytes in parts on port ${this.name}`)
    this.#deliver([payload.slice()], payload.byteLength)
  }

  #takeFirst(flags: number, payload: Uint8Array): void {
    if (this.#partial !== undefined || (flags & MORE) === 0 || payload.byteLength <= TOTAL_BYTES) {
      throw new ServeError('ERR_BAD_REQUEST', `a peer began a message on port ${this.name} in the midst of another`)
    }
    const total = new DataView(payload.buffer, payload.byteOffset, TOTAL_BYTES).getUint32(0)
    if (total > this.#seams.maxMessageBytes) {
      throw new ServeError(
        'ERR_PAYLOAD_TOO_LARGE',
        `a peer announced a message of ${total} bytes, the limit is ${this.#seams.maxMessageBytes} (mesh.maxMessageBytes)`,
      )
    }
    const partial = { bytes: [], size: 0, total, isClaimed: this.#seams.claim(this, total) }
    this.#partial = partial
    this.#takePart(partial, payload.subarray(TOTAL_BYTES))
    this.#grantPart(partial, payload.byteLength)
  }

  #takePart(partial: { readonly bytes: Uint8Array[]; size: number; readonly total: number }, part: Uint8Array): void {
    partial.size += part.byteLength
    if (part.byteLength === 0 || partial.size > partial.total) {
      throw new ServeError(
        'ERR_BAD_REQUEST',
        `a peer announced a message of ${partial.total} bytes on port ${this.name} and sent ${partial.size}`,
      )
    }
    partial.bytes.push(part.slice())
  }

  #grantPart(partial: { readonly isClaimed: boolean }, bytes: number): void {
    if (partial.isClaimed) this.#grant(bytes)
  }

  #deliver(message: readonly unknown[], lastBytes: number): void {
    if (this.#isClosed) return
    if (this.#listener !== undefined) {
      if (!this.isOfBytes) this.#grant(lastBytes)
      this.#listener(message)
      return
    }
    // Nobody listens yet: it waits, and the other side gets no more room than its first window.
    this.#early.push(message)
    this.#earlyBytes += lastBytes
  }

  #grant(bytes: number): void {
    this.#ungranted += bytes
    if (this.#ungranted < PORT_WINDOW_BYTES / 2 || this.#isClosed) return
    const granted = this.#ungranted
    this.#ungranted = 0
    this.#window += granted
    this.#seams.grant(this, granted)
  }

  #nextSize(): number {
    const next = this.#outgoing[0]
    if (next === undefined) return 0
    const left = next.bytes.byteLength - next.at + (next.at === 0 && next.bytes.byteLength > MAX_FRAME_PAYLOAD ? TOTAL_BYTES : 0)
    return Math.min(left, MAX_FRAME_PAYLOAD)
  }

  #tellClosed(reason: string): void {
    this.#closedBecause ??= reason
    for (const listener of this.#closeListeners.splice(0)) listener(reason)
  }
}

function joined(parts: readonly Uint8Array[], total: number): Uint8Array {
  const whole = new Uint8Array(total)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.byteLength
  }
  return whole
}
