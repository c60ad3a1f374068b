import { ServeError } from '../base/index.ts'
import type { ByteChannel, ChannelReader } from './peer-transport.ts'

/** What the two ends of a channel say to each other first, in a network without keys: their ids, in clear, after their length in one byte. */
export function exchangeIds(
  channel: ByteChannel,
  ownId: string,
  signal: AbortSignal,
): Promise<{ readonly otherId: string; readonly channel: ByteChannel }> {
  return new Promise((resolve, reject) => {
    let heard = new Uint8Array(0)
    const fail = (): void => {
      channel.abort('the two ends could not agree')
      reject(signal.reason ?? new ServeError('ERR_PEER_UNREACHABLE', 'the channel ended before the other side said its id'))
    }
    signal.addEventListener('abort', fail, { once: true })
    channel.listen({
      onBytes(bytes) {
        heard = Uint8Array.from([...heard, ...bytes])
        const length = heard[0] ?? 0
        if (heard.byteLength <= length) return
        signal.removeEventListener('abort', fail)
        const otherId = new TextDecoder().decode(heard.subarray(1, 1 + length))
        resolve({ otherId, channel: new HandedChannel(channel, heard.slice(1 + length)) })
      },
      onDrain() {},
      onEnd: fail,
    })
    const id = new TextEncoder().encode(ownId)
    channel.send(Uint8Array.from([id.byteLength, ...id]))
  })
}

/** A channel of which something was read already. */
class HandedChannel implements ByteChannel {
  readonly #channel: ByteChannel
  #rest: Uint8Array
  #reader: ChannelReader | undefined
  #isPaused = false
  #ended: { readonly error: ServeError | undefined } | undefined

  constructor(channel: ByteChannel, rest: Uint8Array) {
    this.#channel = channel
    this.#rest = rest
    // What follows waits for whoever listens next.
    channel.pause()
    channel.listen({
      onBytes: (bytes) => this.#reader?.onBytes(bytes),
      onDrain: () => this.#reader?.onDrain(),
      onEnd: (error) => {
        this.#ended = { error }
        this.#apply()
      },
    })
  }

  get isWritable(): boolean {
    return this.#channel.isWritable
  }

  send(bytes: Uint8Array): boolean {
    return this.#channel.send(bytes)
  }

  listen(reader: ChannelReader): void {
    this.#reader = reader
    queueMicrotask(() => this.#apply())
  }

  pause(): void {
    this.#isPaused = true
    this.#channel.pause()
  }

  resume(): void {
    this.#isPaused = false
    queueMicrotask(() => this.#apply())
  }

  close(): void {
    this.#channel.close()
  }

  abort(reason: string): void {
    this.#channel.abort(reason)
  }

  #apply(): void {
    const reader = this.#reader
    if (reader === undefined || (this.#isPaused && this.#rest.byteLength > 0)) return
    const rest = this.#rest
    this.#rest = new Uint8Array(0)
    if (rest.byteLength > 0) reader.onBytes(rest)
    const ended = this.#ended
    this.#ended = undefined
    if (ended !== undefined) reader.onEnd(ended.error)
    if (!this.#isPaused) this.#channel.resume()
  }
}
