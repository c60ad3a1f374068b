import { ServeError } from '../base/index.ts'

/** Bytes of a body that may be on their way or lie unread in the replica. */
export const BODY_WINDOW_BYTES: number = 1024 * 1024

/**
 * The replica's end of a body that streams in. Nothing comes before somebody reads; then a window's worth may be under way, and credit for more goes
 * back when half of it was taken. Read whole it is kept and can be read again; read as a stream it can be read once.
 */
export class StreamedBody {
  readonly #giveCredit: (bytes: number) => void
  #parts: Uint8Array[] = []
  #takenBytes = 0
  #hasBegun = false
  #ended = false
  #error: unknown
  #waiting: { resolve(part: Uint8Array | undefined): void; reject(error: unknown): void } | undefined
  #whole: Promise<Uint8Array> | undefined
  #stream: ReadableStream<Uint8Array> | undefined
  #isStreaming = false

  /** @param giveCredit tells the sender how many more bytes may leave. */
  constructor(giveCredit: (bytes: number) => void) {
    this.#giveCredit = giveCredit
  }

  /** True when it is being read as a stream, and so cannot be read again. */
  get isStreaming(): boolean {
    return this.#isStreaming
  }

  push(part: Uint8Array): void {
    if (this.#ended) return
    const waiting = this.#waiting
    if (waiting === undefined) {
      this.#parts.push(part)
      return
    }
    this.#waiting = undefined
    this.#take(part)
    waiting.resolve(part)
  }

  /** No more comes; with an error because the rest is lost. What lies here is read first. */
  end(error?: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    const waiting = this.#waiting
    this.#waiting = undefined
    if (error === undefined) waiting?.resolve(undefined)
    else waiting?.reject(error)
  }

  /** Nobody may read any more: drops what lies here and fails every read. */
  fail(error: unknown): void {
    if (this.#ended && this.#parts.length === 0) return
    this.#parts = []
    this.#ended = false
    this.end(error)
  }

  /** All bytes, kept: reads the body on the first call. `ERR_BODY_STREAMED` while it is read as a stream. */
  whole(): Promise<Uint8Array> {
    if (this.#whole === undefined) {
      if (this.#isStreaming) {
        const message = 'the body is read through request.body and cannot be read again; read it whole first, by bytes() or text()'
        return Promise.reject(new ServeError('ERR_BODY_STREAMED', message))
      }
      this.#whole = this.#collect()
      // Whoever asked hears of a failure from the promise it was given.
      this.#whole.catch(() => undefined)
    }
    return this.#whole
  }

  /** The parts as they come. The same stream until the body was read whole, a new one of the kept bytes after. */
  stream(): ReadableStream<Uint8Array> {
    if (this.#whole !== undefined) return this.copy()
    this.#stream ??= lazyStream(
      () => {
        if (this.#whole !== undefined && !this.#isStreaming) return this.#whole
        this.#isStreaming = true
        return this.#read()
      },
      () => this.#whole !== undefined && !this.#isStreaming,
    )
    return this.#stream
  }

  /** A stream of its own that keeps the bytes when it is read, so that others can read them too. */
  copy(): ReadableStream<Uint8Array> {
    return lazyStream(
      () => this.whole(),
      () => true,
    )
  }

  async #collect(): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    let bytes = 0
    for (let part = await this.#read(); part !== undefined; part = await this.#read()) {
      parts.push(part)
      bytes += part.byteLength
    }
    const whole = new Uint8Array(bytes)
    let at = 0
    for (const part of parts) {
      whole.set(part, at)
      at += part.byteLength
    }
    return whole
  }

  #read(): Promise<Uint8Array | undefined> {
    const part = this.#parts.shift()
    if (part !== undefined) {
      this.#take(part)
      return Promise.resolve(part)
    }
    if (this.#error !== undefined) return Promise.reject(this.#error)
    if (this.#ended) return Promise.resolve(undefined)
    if (!this.#hasBegun) {
      this.#hasBegun = true
      this.#giveCredit(BODY_WINDOW_BYTES)
    }
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
  }

  #take(part: Uint8Array): void {
    this.#takenBytes += part.byteLength
    if (this.#ended || this.#takenBytes < BODY_WINDOW_BYTES / 2) return
    this.#giveCredit(this.#takenBytes)
    this.#takenBytes = 0
  }
}

/** A stream that asks for a part only when it is read. @param isLast asked after a part: whether it was the only one */
function lazyStream(next: () => Promise<Uint8Array | undefined>, isLast: () => boolean): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const part = await next()
          if (part !== undefined && part.byteLength > 0) controller.enqueue(part)
          if (part === undefined || isLast()) controller.close()
        } catch (error) {
          controller.error(error)
        }
      },
    },
    { highWaterMark: 0 },
  )
}
