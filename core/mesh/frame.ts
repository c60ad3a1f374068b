import { ServeError } from '../base/index.ts'

/** The first byte of every frame. Another one means another protocol. */
export const FRAME_VERSION = 1

/** Version, flags, channel (four bytes) and length of the payload (four bytes); numbers with the greatest byte first. */
export const FRAME_HEAD_BYTES = 10

/** Longest payload of one frame in bytes. Longer messages travel in several. */
export const MAX_FRAME_PAYLOAD = 65_536

/** The kind of a frame, in the low four bits of its flags. */
export const FrameKind = Object.freeze({
  /** A message of a channel, or a part of one. */
  DATA: 0,
  /** A channel opens; the payload is its name. */
  OPEN: 1,
  /** A channel closes; the payload is a reason. */
  CLOSE: 2,
  /** Room for so many more bytes of DATA on a channel; the payload is a number of four bytes. */
  CREDIT: 3,
  /** Channel 0: asks for an echo of its payload. */
  PING: 4,
  /** Channel 0: the echo. */
  PONG: 5,
  /** Channel 0: who are you. Nothing else is taken until both sides have agreed. */
  ADMIT: 6,
  /** Channel 0: the sender goes; the payload is a reason. An end without it is a broken connection. */
  BYE: 7,
} as const)
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind]

/** DATA: the message goes on in the next DATA frame of the channel. */
export const MORE = 0x10
/** DATA: the first part of several; its payload begins with the length of the whole message, four bytes. */
export const FIRST = 0x20

const KIND_MASK = 0x0f
const KNOWN_FLAGS = KIND_MASK | MORE | FIRST
const LAST_KIND = FrameKind.BYE

/** Writes the head of a frame. */
export function writeFrameHead(view: DataView, at: number, flags: number, channel: number, length: number): void {
  view.setUint8(at, FRAME_VERSION)
  view.setUint8(at + 1, flags)
  view.setUint32(at + 2, channel)
  view.setUint32(at + 6, length)
}

/** One frame as bytes. */
export function encodeFrame(flags: number, channel: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEAD_BYTES + payload.byteLength)
  writeFrameHead(new DataView(bytes.buffer), 0, flags, channel, payload.byteLength)
  bytes.set(payload, FRAME_HEAD_BYTES)
  return bytes
}

export type OnFrame = (flags: number, channel: number, payload: Uint8Array) => void

/**
 * Cuts bytes into frames, however they were torn, and holds one unfinished frame at most. A frame is refused by its head, before its payload is
 * gathered. Payloads are looked at in place where they lie in one piece, and hold for the length of the call.
 */
export class FrameReader {
  readonly #onFrame: OnFrame
  readonly #head = new Uint8Array(FRAME_HEAD_BYTES)
  readonly #headView = new DataView(this.#head.buffer)
  #headSize = 0
  #payload: Uint8Array | undefined
  #payloadSize = 0

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame
  }

  /** Bytes held of a frame that is not whole. */
  get heldBytes(): number {
    return this.#headSize + (this.#payload?.byteLength ?? 0)
  }

  /** Throws `ERR_PROTOCOL_VERSION`, `ERR_PAYLOAD_TOO_LARGE` or `ERR_BAD_REQUEST`; the stream is of no use then. */
  push(bytes: Uint8Array): void {
    let at = 0
    while (at < bytes.byteLength) {
      if (this.#payload !== undefined) {
        at = this.#gather(this.#payload, bytes, at)
        continue
      }
      at = this.#takeHead(bytes, at)
      if (this.#headSize < FRAME_HEAD_BYTES) return
      const length = this.#checkHead()
      if (at + length <= bytes.byteLength) {
        this.#headSize = 0
        this.#onFrame(this.#headView.getUint8(1), this.#headView.getUint32(2), bytes.subarray(at, at + length))
        at += length
      } else {
        this.#payload = new Uint8Array(length)
        this.#payloadSize = 0
      }
    }
  }

  #takeHead(bytes: Uint8Array, at: number): number {
    const taken = Math.min(FRAME_HEAD_BYTES - this.#headSize, bytes.byteLength - at)
    for (let i = 0; i < taken; i++) this.#head[this.#headSize + i] = bytes[at + i] as number
    this.#headSize += taken
    return at + taken
  }

  #gather(payload: Uint8Array, bytes: Uint8Array, at: number): number {
    const end = Math.min(bytes.byteLength, at + payload.byteLength - this.#payloadSize)
    payload.set(bytes.subarray(at, end), this.#payloadSize)
    this.#payloadSize += end - at
    if (this.#payloadSize === payload.byteLength) {
      this.#payload = undefined
      this.#headSize = 0
      this.#onFrame(this.#headView.getUint8(1), this.#headView.getUint32(2), payload)
    }
    return end
  }

  /** @returns the length of the payload */
  #checkHead(): number {
    const version = this.#headView.getUint8(0)
    const flags = this.#headView.getUint8(1)
    const length = this.#headView.getUint32(6)
    if (version !== FRAME_VERSION) {
      throw new ServeError('ERR_PROTOCOL_VERSION', `a peer sent a frame of version ${version}, this one speaks ${FRAME_VERSION}`)
    }
    const kind = flags & KIND_MASK
    const isOdd = kind > LAST_KIND || (flags & ~KNOWN_FLAGS) !== 0 || (kind !== FrameKind.DATA && (flags & (MORE | FIRST)) !== 0)
    if (isOdd) throw new ServeError('ERR_BAD_REQUEST', `a peer sent a frame with flags 0x${flags.toString(16)}`)
    if (length > MAX_FRAME_PAYLOAD) {
      throw new ServeError('ERR_PAYLOAD_TOO_LARGE', `a peer announced a frame of ${length} bytes, the limit is ${MAX_FRAME_PAYLOAD}`)
    }
    return length
  }
}

/** The kind of a frame. */
export function kindOf(flags: number): FrameKind {
  return (flags & KIND_MASK) as FrameKind
}
