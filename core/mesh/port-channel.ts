import { ServeError } from '../base/index.ts'
import { MAX_FRAME_PAYLOAD } from './frame.ts'
import type { ByteChannel, ChannelReader } from './peer-transport.ts'
import type { VirtualPort } from './virtual-port.ts'

/** Bytes that may wait here for the other side before `send` returns false. */
const MOST_WAITING_BYTES = 262_144

/** Says that the sender has ended the channel in order; a port that closes without it was broken off. */
const END = new Uint8Array(0)

/** A port of bytes as a channel, so that a link can run over another one. Room is granted as the reader takes bytes, never before. */
export class PortChannel implements ByteChannel {
  readonly #port: VirtualPort
  #reader: ChannelReader | undefined
  /** Came and was not read; an empty piece is the end. */
  #unread: Uint8Array[] = []
  #waitingBytes = 0
  #needsDrain = false
  #isPaused = false
  /** Set once nothing more comes: the error with which it ended, or null for an end in order. */
  #ended: ServeError | null | undefined
  #toldEnd = false

  /** @param port freshly opened, by either side */
  constructor(port: VirtualPort) {
    this.#port = port
    port.onLeft((bytes) => this.#onLeft(bytes))
    port.onClosed((reason) => this.#end(new ServeError('ERR_PEER_UNREACHABLE', `the relayed connection ended: ${reason}`)))
    port.listen(([bytes]) => this.#take(bytes as Uint8Array))
  }

  get isWritable(): boolean {
    return !this.#needsDrain
  }

  send(bytes: Uint8Array): boolean {
    if (this.#ended !== undefined) return this.isWritable
    for (let at = 0; at < bytes.byteLength; at += MAX_FRAME_PAYLOAD) this.#port.post([bytes.subarray(at, at + MAX_FRAME_PAYLOAD)])
    this.#waitingBytes += bytes.byteLength
    if (this.#waitingBytes > MOST_WAITING_BYTES) this.#needsDrain = true
    return this.isWritable
  }

  listen(reader: ChannelReader): void {
    this.#reader = reader
    queueMicrotask(() => this.#deliver())
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    queueMicrotask(() => this.#deliver())
  }

  close(): void {
    if (this.#ended !== undefined) return
    this.#port.post([END])
    this.#letGo(() => this.#port.close())
  }

  abort(_reason: string): void {
    if (this.#ended !== undefined) return
    this.#letGo(() => this.#port.abandon())
  }

  /** Who lets go reads no more. */
  #letGo(release: () => void): void {
    this.#unread = []
    this.#ended = null
    release()
    queueMicrotask(() => this.#deliver())
  }

  #take(bytes: Uint8Array): void {
    if (this.#ended !== undefined) return
    this.#unread.push(bytes)
    this.#deliver()
  }

  #deliver(): void {
    const reader = this.#reader
    while (!this.#isPaused && reader !== undefined) {
      const bytes = this.#unread.shift()
      if (bytes === undefined) break
      if (bytes.byteLength === 0) {
        this.#ended ??= null
        this.#unread = []
        this.#port.close()
        break
      }
      this.#port.consume(bytes.byteLength)
      reader.onBytes(bytes)
    }
    if (this.#ended === undefined || this.#toldEnd || reader === undefined || this.#unread.length > 0) return
    this.#toldEnd = true
    reader.onEnd(this.#ended ?? undefined)
  }

  /** The port was closed, which an end in order tells before. */
  #end(failure: ServeError): void {
    if (this.#ended !== undefined || this.#unread.at(-1)?.byteLength === 0) return
    this.#ended = failure
    queueMicrotask(() => this.#deliver())
  }

  #onLeft(bytes: number): void {
    this.#waitingBytes -= bytes
    if (!this.#needsDrain || this.#waitingBytes > MOST_WAITING_BYTES / 2) return
    this.#needsDrain = false
    queueMicrotask(() => {
      if (this.#ended === undefined && this.isWritable) this.#reader?.onDrain()
    })
  }
}
