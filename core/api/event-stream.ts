import type { Stop } from '../base/index.ts'

/** Events kept for a reader that falls behind; the oldest go first. */
const MAX_BUFFERED = 1_000

/** Turns a subscription into an async iterator. It ends when the loop is left, or when `end` is called. */
export class EventStream<T> implements AsyncIterableIterator<T> {
  readonly #buffer: T[] = []
  readonly #waiting: ((result: IteratorResult<T>) => void)[] = []
  readonly #stop: Stop
  #ended = false

  constructor(subscribe: (listener: (event: T) => void) => Stop) {
    this.#stop = subscribe((event) => this.#push(event))
  }

  async next(): Promise<IteratorResult<T>> {
    const event = this.#buffer.shift()
    if (event !== undefined) return { done: false, value: event }
    if (this.#ended) return { done: true, value: undefined }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  async return(): Promise<IteratorResult<T>> {
    this.end()
    return { done: true, value: undefined }
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#stop()
    for (const resolve of this.#waiting.splice(0)) resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #push(event: T): void {
    const resolve = this.#waiting.shift()
    if (resolve !== undefined) return resolve({ done: false, value: event })
    if (this.#buffer.push(event) > MAX_BUFFERED) this.#buffer.shift()
  }
}
