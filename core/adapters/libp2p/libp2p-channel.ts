import type { Stream, StreamCloseEvent } from '@libp2p/interface'
import { ServeError } from '../../base/index.ts'
import type { ByteChannel, ChannelReader } from '../../mesh/index.ts'
import { thinOutWindowUpdates } from './window-updates.ts'

/** How long what was sent may take to leave after `close`. */
const FLUSH_MS = 5_000

/**
 * A libp2p stream as a channel. The helpers of libp2p for back-pressure and iteration lose data or ends in some orders of events (see
 * `docs/decisions`), so this uses the events alone: it listens at once, keeps what comes while paused, pauses the stream in a job of its own, and
 * goes by `writableNeedsDrain` and the `drain` event.
 */
export class Libp2pChannel implements ByteChannel {
  readonly #stream: Stream
  readonly #onOver: () => void
  #reader: ChannelReader | undefined
  #waiting: Uint8Array[] = []
  #paused = false
  #isStreamPaused = false
  /** The other side has sent its last byte. */
  #remoteEnded = false
  #ended = false
  #failure: ServeError | undefined
  #toldEnd = false

  /** @param onOver told once when the stream is of no more use */
  constructor(stream: Stream, onOver: () => void) {
    this.#stream = stream
    this.#onOver = onOver
    thinOutWindowUpdates(stream)
    stream.addEventListener('message', (event) => {
      const { data } = event
      if (data instanceof Uint8Array) this.#take(data)
      else for (const bytes of data) this.#take(bytes)
    })
    stream.addEventListener('drain', () => {
      // The stream's own listener came first and has begun to send what it held.
      queueMicrotask(() => {
        if (!this.#ended && this.isWritable) this.#reader?.onDrain()
      })
    })
    stream.addEventListener('remoteCloseWrite', () => {
      this.#remoteEnded = true
      this.#tellEnd()
    })
    stream.addEventListener('close', (event) => this.#onClose(event as StreamCloseEvent))
    // What happened before anyone could listen.
    if (stream.remoteWriteStatus === 'closed') this.#remoteEnded = true
    if (stream.status !== 'open' && stream.status !== 'closing') this.#over(undefined)
  }

  get isWritable(): boolean {
    return !this.#stream.writableNeedsDrain
  }

  send(bytes: Uint8Array): boolean {
    if (this.#ended || this.#remoteEnded || bytes.byteLength === 0) return this.isWritable
    try {
      this.#stream.send(bytes)
    } catch (cause) {
      this.#over(new ServeError('ERR_PEER_UNREACHABLE', `the stream takes nothing any more: ${(cause as Error).message}`, { cause }))
    }
    return this.isWritable
  }

  listen(reader: ChannelReader): void {
    this.#reader = reader
    queueMicrotask(() => this.#deliver())
  }

  pause(): void {
    this.#paused = true
    this.#applyLater()
  }

  resume(): void {
    this.#paused = false
    this.#applyLater()
  }

  close(): void {
    if (this.#ended) return
    this.#waiting = []
    this.#over(undefined, () => void this.#closeGently())
  }

  abort(reason: string): void {
    if (this.#ended) return
    this.#waiting = []
    this.#over(undefined, () => {
      this.#stream.abort(new Error(reason))
      this.#onOver()
    })
  }

  /** Lets what was sent leave, and the other side read it: a connection that is closed under a stream takes its last bytes along. */
  async #closeGently(): Promise<void> {
    const stream = this.#stream
    try {
      // An encrypted stream over another one does not wait for itself.
      await untilSent(stream, AbortSignal.timeout(FLUSH_MS))
      await stream.close({ signal: AbortSignal.timeout(FLUSH_MS) })
      await untilClosed(stream, AbortSignal.timeout(FLUSH_MS))
    } catch (error) {
      stream.abort(error as Error)
    }
    this.#onOver()
  }

  #take(bytes: Uint8Array): void {
    if (this.#ended) return
    if (this.#paused || this.#reader === undefined || this.#waiting.length > 0) this.#waiting.push(bytes)
    else this.#reader.onBytes(bytes)
  }

  /** In a job of its own: a stream that is paused from within its `message` event forgets it when it is resumed. */
  #applyLater(): void {
    queueMicrotask(() => this.#deliver())
  }

  #deliver(): void {
    const reader = this.#reader
    while (!this.#paused && reader !== undefined) {
      const bytes = this.#waiting.shift()
      if (bytes === undefined) break
      reader.onBytes(bytes)
    }
    const isOpen = this.#stream.readStatus === 'readable' || this.#stream.readStatus === 'paused'
    if (isOpen && this.#paused !== this.#isStreamPaused) {
      this.#isStreamPaused = this.#paused
      if (this.#paused) this.#stream.pause()
      else this.#resume()
    }
    this.#tellEnd()
  }

  /** It throws when the connection broke meanwhile; its `close` event tells of that. */
  #resume(): void {
    try {
      this.#stream.resume()
    } catch {
      this.#isStreamPaused = false
    }
  }

  #onClose(event: StreamCloseEvent): void {
    if (this.#ended) return
    const why = event.error === undefined ? 'the connection broke' : `the connection broke: ${event.error.message}`
    const isClean = this.#remoteEnded && event.error === undefined
    this.#over(isClean ? undefined : new ServeError('ERR_PEER_UNREACHABLE', why, { cause: event.error }), this.#onOver)
  }

  #over(failure: ServeError | undefined, release: () => void = () => {}): void {
    if (this.#ended) return
    this.#ended = true
    this.#failure = failure
    release()
    this.#tellEnd()
  }

  /** Once what has come before was read. */
  #tellEnd(): void {
    const hasUnread = this.#waiting.length > 0 || (!this.#ended && (this.#stream.readBufferLength ?? 0) > 0)
    if (this.#toldEnd || this.#reader === undefined || hasUnread || !(this.#ended || (this.#remoteEnded && !this.#paused))) return
    this.#toldEnd = true
    const reader = this.#reader
    if (!this.#ended) this.close()
    queueMicrotask(() => reader.onEnd(this.#failure))
  }
}

function untilSent(stream: Stream, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stream.writeBufferLength === 0 || stream.status !== 'open') return resolve()
    for (const event of ['idle', 'close'] as const) stream.addEventListener(event, () => resolve(), { once: true })
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function untilClosed(stream: Stream, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stream.status !== 'open') resolve()
    stream.addEventListener('close', () => resolve(), { once: true })
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
