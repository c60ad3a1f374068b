/** How batches are made. */
export interface BatchLimits {
  /** Most items of a batch. 1 or more. */
  readonly maxBatchSize: number
  /** Longest wait of a batch's first item for a full batch, in milliseconds. 0 takes what is there. */
  readonly batchWaitTimeoutMs: number
}

/** What {@link Batcher.take} found: a batch, or how long to wait before it is worth asking again. */
export type Taken<T> = { readonly items: T[]; readonly waitMs: 0 } | { readonly items: undefined; readonly waitMs: number }

interface Lane<T> {
  readonly items: T[]
  readonly atMs: number[]
}

/**
 * Collects items and gives them out in batches, each of one method, first come first served between the methods. It holds no timer: whoever owns
 * it asks when it is free to run a batch and is told how long the oldest item still waits for company.
 */
export class Batcher<T> {
  #limits: BatchLimits
  /** Insertion order of the keys is the order in which their first items came. */
  readonly #lanes = new Map<string, Lane<T>>()
  #size = 0

  constructor(limits: BatchLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#size
  }

  /** New limits count from the next batch on. */
  configure(limits: BatchLimits): void {
    this.#limits = limits
  }

  /** @param arrivedAtMs when the item came, on the clock that `take` is asked with. */
  add(method: string, item: T, arrivedAtMs: number): void {
    let lane = this.#lanes.get(method)
    if (lane === undefined) {
      lane = { items: [], atMs: [] }
      this.#lanes.set(method, lane)
    }
    lane.items.push(item)
    lane.atMs.push(arrivedAtMs)
    this.#size++
  }

  /** The next batch that is full or has waited long enough; else the milliseconds until one will have, Infinity when nothing waits. */
  take(nowMs: number): Taken<T> {
    const { maxBatchSize, batchWaitTimeoutMs } = this.#limits
    let waitMs = Number.POSITIVE_INFINITY
    for (const [method, lane] of this.#lanes) {
      const leftMs = batchWaitTimeoutMs === 0 ? 0 : (lane.atMs[0] ?? nowMs) + batchWaitTimeoutMs - nowMs
      if (lane.items.length >= maxBatchSize || leftMs <= 0) return { items: this.#cut(method, lane, maxBatchSize), waitMs: 0 }
      waitMs = Math.min(waitMs, leftMs)
    }
    return { items: undefined, waitMs }
  }

  /** Takes an item out wherever it waits; false when it is not here. */
  remove(matches: (item: T) => boolean): T | undefined {
    for (const [method, lane] of this.#lanes) {
      const index = lane.items.findIndex(matches)
      if (index === -1) continue
      const [item] = lane.items.splice(index, 1)
      lane.atMs.splice(index, 1)
      this.#size--
      if (lane.items.length === 0) this.#lanes.delete(method)
      return item
    }
    return undefined
  }

  #cut(method: string, lane: Lane<T>, count: number): T[] {
    const items = lane.items.splice(0, count)
    lane.atMs.splice(0, count)
    this.#size -= items.length
    this.#lanes.delete(method)
    // What is left goes to the end, so that one busy method does not keep the others waiting.
    if (lane.items.length > 0) this.#lanes.set(method, lane)
    return items
  }
}
