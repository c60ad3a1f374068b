import type { ResponseHead, StreamAnswer } from '../request/index.ts'

/** First window of a stream in chunks, and what it may grow to while the consumer keeps up. */
const FIRST_WINDOW = 32
const MAX_WINDOW = 256

/**
 * The consumer's side of a streamed answer. Chunks wait here until they are read; credit for more goes back when half of the window was taken, and
 * the window doubles when a consumer that was waiting takes all of it, so that a slow reader never holds more than it began with.
 */
export class StreamInbox implements StreamAnswer {
  readonly head: ResponseHead | undefined
  readonly #giveCredit: (chunks: number) => void
  readonly #letGo: () => void
  #chunks: unknown[] = []
  #window = FIRST_WINDOW
  #taken = 0
  #ended = false
  #error: unknown
  #waiting: { resolve(chunks: readonly unknown[] | undefined): void; reject(error: unknown): void } | undefined

  /** @param giveCredit tells the producer to go on. @param letGo tells it that nobody reads any more. */
  constructor(head: ResponseHead | undefined, giveCredit: (chunks: number) => void, letGo: () => void) {
    this.head = head
    this.#giveCredit = giveCredit
    this.#letGo = letGo
  }

  static readonly firstWindow: number = FIRST_WINDOW

  /** True while chunks wait to be read: a silent producer is not to blame then. */
  get hasUnread(): boolean {
    return this.#chunks.length > 0
  }

  read(): Promise<readonly unknown[] | undefined> {
    if (this.#chunks.length > 0) return Promise.resolve(this.#takeAll(false))
    if (this.#error !== undefined) return Promise.reject(this.#error)
    if (this.#ended) return Promise.resolve(undefined)
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
  }

  cancel(): void {
    if (this.#ended || this.#error !== undefined) return
    this.#ended = true
    this.#chunks = []
    this.#letGo()
    this.#wake()
  }

  push(chunk: unknown): void {
    if (this.#ended) return
    this.#chunks.push(chunk)
  }

  /** Wakes the reader once for all chunks of a message. */
  endOfMessage(): void {
    if (this.#chunks.length > 0) this.#wake()
  }

  end(): void {
    this.#ended = true
    this.#wake()
  }

  fail(error: unknown): void {
    if (this.#ended) return
    this.#error = error
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    this.#waiting = undefined
    if (this.#chunks.length > 0) waiting.resolve(this.#takeAll(true))
    else if (this.#error !== undefined) waiting.reject(this.#error)
    else waiting.resolve(undefined)
  }

  #takeAll(wasAwaited: boolean): readonly unknown[] {
    const chunks = this.#chunks
    this.#chunks = []
    this.#taken += chunks.length
    if (!this.#ended && this.#error === undefined && this.#taken >= this.#window / 2) {
      const growth = wasAwaited && this.#taken >= this.#window && this.#window < MAX_WINDOW ? this.#window : 0
      this.#window += growth
      this.#giveCredit(this.#taken + growth)
      this.#taken = 0
    }
    return chunks
  }
}
