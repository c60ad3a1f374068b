import type { IncomingMessage } from 'node:http'
import { ServeError } from '../core/base/index.ts'

/** Bytes that are taken off the socket while nobody reads them. */
const HELD_BYTES = 256 * 1024

/** A large request body on a socket: flows while it is read, stands still meanwhile, and is emptied in the end so that the connection can go on. */
export class IncomingBody {
  readonly #request: IncomingMessage
  readonly #limitBytes: number
  readonly #onFirstRead: () => void
  #chunks: Buffer[] = []
  #heldBytes = 0
  #totalBytes = 0
  #isFlowing = false
  #isDiscarded = false
  #hasEnded = false
  #error: ServeError | undefined
  #wake: (() => void) | undefined

  /** @param limitBytes how much is dropped at most, once nobody reads any more */
  constructor(request: IncomingMessage, limitBytes: number, onFirstRead: () => void) {
    this.#request = request
    this.#limitBytes = limitBytes
    this.#onFirstRead = onFirstRead
    request.pause()
    request.on('end', this.#onEnd).on('close', this.#onClose)
  }

  /** What has come since the last call; undefined at the end. Rejects with `ERR_CANCELLED` when the client went away before. */
  async next(): Promise<Uint8Array | undefined> {
    if (this.#heldBytes === 0 && !this.#hasEnded) {
      this.#flow()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    if (this.#heldBytes > 0) return this.#takeAll()
    if (this.#error !== undefined) throw this.#error
    return undefined
  }

  /** Nobody reads any more: what still comes is dropped; a client that sends more than it may is cut off. */
  discard(): void {
    if (this.#isDiscarded) return
    this.#isDiscarded = true
    this.#chunks = []
    this.#heldBytes = 0
    if (this.#hasEnded) return
    if (!this.#isFlowing) this.#request.on('data', this.#onData)
    this.#request.resume()
  }

  #flow(): void {
    if (this.#isFlowing) {
      this.#request.resume()
      return
    }
    this.#isFlowing = true
    this.#onFirstRead()
    this.#request.on('data', this.#onData).resume()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#totalBytes += chunk.length
    if (this.#isDiscarded) {
      if (this.#totalBytes > this.#limitBytes) this.#cutOff()
      return
    }
    this.#chunks.push(chunk)
    this.#heldBytes += chunk.length
    if (this.#heldBytes >= HELD_BYTES) this.#request.pause()
    this.#wakeUp()
  }

  #cutOff(): void {
    this.#request.off('data', this.#onData)
    this.#request.socket.destroySoon()
  }

  readonly #onEnd = (): void => {
    this.#hasEnded = true
    this.#wakeUp()
  }

  readonly #onClose = (): void => {
    if (!this.#hasEnded) this.#error = new ServeError('ERR_CANCELLED', 'the client went away before it had sent the whole body')
    this.#onEnd()
  }

  #takeAll(): Uint8Array {
    const chunks = this.#chunks
    this.#chunks = []
    this.#heldBytes = 0
    return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
  }

  #wakeUp(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}
