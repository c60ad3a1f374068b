import { AnswerKind } from '../request/index.ts'
import type { AnswerOutbox } from './answer-outbox.ts'
import { StreamInbox } from './stream-inbox.ts'

/**
 * The producer's side of a streamed answer: pulls the iterator while the consumer has given credit, and runs its `return()` when the consumer lets
 * go. `done` resolves when the iterator has ended, whatever way.
 */
export class StreamOutbox {
  readonly #id: number
  readonly #iterator: AsyncIterator<unknown>
  readonly #outbox: AnswerOutbox
  readonly #toError: (error: unknown) => unknown
  #credit = StreamInbox.firstWindow
  #wake: (() => void) | undefined
  #cancelled = false

  /** @param toError makes what the producer threw into what its caller is told. */
  constructor(id: number, iterator: AsyncIterator<unknown>, outbox: AnswerOutbox, toError: (error: unknown) => unknown) {
    this.#id = id
    this.#iterator = iterator
    this.#outbox = outbox
    this.#toError = toError
  }

  addCredit(chunks: number): void {
    this.#credit += chunks
    this.#wakeUp()
  }

  cancel(): void {
    this.#cancelled = true
    this.#wakeUp()
    // A producer that sits in a pending `next()` hears of it at once where it can: generators queue the return behind it.
    void this.#close()
  }

  async run(): Promise<void> {
    try {
      while (!this.#cancelled) {
        if (this.#credit === 0) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
          continue
        }
        const { done, value } = await this.#iterator.next()
        if (done || this.#cancelled) break
        this.#credit--
        // A part that cannot travel has ended the stream for its consumer.
        if (!this.#outbox.add(this.#id, AnswerKind.CHUNK, value)) return await this.#close()
      }
      this.#outbox.add(this.#id, AnswerKind.END, undefined)
    } catch (error) {
      this.#outbox.addError(this.#id, this.#toError(error))
    }
  }

  #wakeUp(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  async #close(): Promise<void> {
    try {
      await this.#iterator.return?.()
    } catch {
      // Nobody reads any more; what the clean-up threw has no reader either.
    }
  }
}
