const END = { done: true, value: undefined } as const

/** What parts come from, several at a time. */
export interface PartSource<T> {
  /** Every part that is there, at least one; undefined at the end. */
  read(): Promise<readonly T[] | undefined>
  /** Nobody reads any more. */
  cancel(): void
}

/**
 * What comes in parts, one by one; leaving the loop early cancels the source. `onEnd` is called at the end, whatever way it came. Not a generator: that
 * waits some four microtasks for every part, and most of them are here already.
 */
export class StreamParts<T> implements AsyncIterableIterator<T, void, undefined>, PartSource<T> {
  readonly #source: PartSource<T>
  #onEnd: (() => void) | undefined
  #parts: readonly T[] = []
  #at = 0
  #reading: Promise<void> | undefined

  constructor(source: PartSource<T>, onEnd: () => void = () => {}) {
    this.#source = source
    this.#onEnd = onEnd
  }

  /** May be called again before it resolves: parts are given in the order of the calls. */
  next(): Promise<IteratorResult<T, void>> {
    const next = (): Promise<IteratorResult<T, void>> => this.next()
    if (this.#reading !== undefined) return this.#reading.then(next, next)
    if (this.#at < this.#parts.length) return Promise.resolve({ done: false, value: this.#parts[this.#at++] as T })
    if (this.#onEnd === undefined) return Promise.resolve(END)
    this.#reading = this.#fill()
    return this.#reading.then(next)
  }

  async return(): Promise<IteratorResult<T, void>> {
    this.cancel()
    return END
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async read(): Promise<readonly T[] | undefined> {
    const rest = this.#parts.slice(this.#at)
    this.#parts = []
    if (rest.length > 0) return rest
    try {
      const parts = this.#onEnd && (await this.#source.read())
      // It may have been cancelled meanwhile.
      if (parts !== undefined && this.#onEnd !== undefined) return parts
    } catch (error) {
      this.#end()
      throw error
    }
    this.#end()
    return undefined
  }

  cancel(): void {
    this.#parts = []
    if (this.#end()) this.#source.cancel()
  }

  async #fill(): Promise<void> {
    try {
      this.#parts = (await this.read()) ?? []
      this.#at = 0
    } finally {
      this.#reading = undefined
    }
  }

  /** False when it had ended before. */
  #end(): boolean {
    const onEnd = this.#onEnd
    this.#onEnd = undefined
    onEnd?.()
    return onEnd !== undefined
  }
}
