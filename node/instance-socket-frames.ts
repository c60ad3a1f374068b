import { Deserializer, Serializer } from 'node:v8'
import { ServeError } from '../core/base/index.ts'
import { refuseForeign } from './foreign-values.ts'

/** Largest frame in bytes, head included; more is neither sent nor taken. */
export const MAX_FRAME_BYTES: number = 64 * 1024 * 1024

/** Length of what follows the head (four bytes, the greatest first) and the channel (one byte). */
const HEAD_BYTES = 5

/**
 * One value as a frame. It carries what structured clone carries, in V8's own format; both ends are processes of one user on one machine. Throws what
 * structured clone throws, and `ERR_PAYLOAD_TOO_LARGE`.
 */
export function encodeFrame(channel: number, value: unknown): Buffer {
  refuseForeign(value)
  const serializer = new Serializer()
  serializer.writeHeader()
  serializer.writeValue(value)
  const payload = serializer.releaseBuffer()
  if (payload.length + HEAD_BYTES > MAX_FRAME_BYTES) {
    const message = `a message of ${payload.length} bytes is more than the ${MAX_FRAME_BYTES} that go through the socket of an instance; pass a path or an URL, or stream it`
    throw new ServeError('ERR_PAYLOAD_TOO_LARGE', message)
  }
  const frame = Buffer.allocUnsafe(HEAD_BYTES + payload.length)
  frame.writeUInt32BE(payload.length, 0)
  frame.writeUInt8(channel, 4)
  payload.copy(frame, HEAD_BYTES)
  return frame
}

/** Cuts a stream of bytes into frames again, however it was torn. Refuses a frame by its declared length, before it is gathered. */
export class FrameReader {
  readonly #onFrame: (channel: number, value: unknown) => void
  #chunks: Buffer[] = []
  #size = 0
  /** Bytes of the frame that is being gathered, head included; 0 while its head is not there. */
  #wanted = 0

  constructor(onFrame: (channel: number, value: unknown) => void) {
    this.#onFrame = onFrame
  }

  /** Takes bytes as they came. Throws `ERR_PAYLOAD_TOO_LARGE`, or `ERR_BAD_REQUEST` for what is no frame; the stream is of no use then. */
  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    for (;;) {
      if (this.#wanted === 0) {
        if (this.#size < HEAD_BYTES) return
        this.#wanted = HEAD_BYTES + this.#joined().readUInt32BE(0)
        if (this.#wanted > MAX_FRAME_BYTES) {
          throw new ServeError('ERR_PAYLOAD_TOO_LARGE', `a frame of ${this.#wanted} bytes was announced, the limit is ${MAX_FRAME_BYTES}`)
        }
      }
      if (this.#size < this.#wanted) return
      const bytes = this.#joined()
      const frame = bytes.subarray(0, this.#wanted)
      const rest = bytes.subarray(this.#wanted)
      this.#chunks = rest.length === 0 ? [] : [rest]
      this.#size = rest.length
      this.#wanted = 0
      this.#onFrame(frame.readUInt8(4), decode(frame.subarray(HEAD_BYTES)))
    }
  }

  #joined(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0] as Buffer
  }
}

function decode(payload: Buffer): unknown {
  try {
    const deserializer = new Deserializer(payload)
    deserializer.readHeader()
    return deserializer.readValue()
  } catch (cause) {
    throw new ServeError('ERR_BAD_REQUEST', `a frame of ${payload.length} bytes holds no value`, { cause })
  }
}
