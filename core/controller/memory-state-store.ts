import { ServeError } from '../base/index.ts'
import type { StateEdit, StateStore } from './state-store.ts'

/** Keeps state as long as its owner keeps it; outlives a controller, but no process. */
export class MemoryStateStore implements StateStore {
  readonly #values: Map<string, unknown>
  #closed = false

  /** @param values shared with another store of the same state, for who wants to open it again. */
  constructor(values: Map<string, unknown> = new Map()) {
    this.#values = values
  }

  async load(): Promise<ReadonlyMap<string, unknown>> {
    this.#requireOpen()
    return new Map([...this.#values].map(([key, value]) => [key, structuredClone(value)]))
  }

  async put(edits: readonly StateEdit[]): Promise<void> {
    this.#requireOpen()
    const copies = structuredClone(edits)
    for (const { key, value } of copies) {
      if (value === undefined) this.#values.delete(key)
      else this.#values.set(key, value)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #requireOpen(): void {
    if (this.#closed) throw new ServeError('ERR_STORAGE', 'the store is closed')
  }
}
