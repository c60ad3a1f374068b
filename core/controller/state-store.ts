/** One change of the state that is kept: a value under a key, or the end of the key where `value` is missing. Values are plain data. */
export interface StateEdit {
  readonly key: string
  readonly value?: unknown
}

/**
 * Where a controller keeps what it was told, so that an acknowledged edit outlives it. One owner at a time. Everything rejects with `ERR_STORAGE` when
 * the place cannot be read or written, and after `close`.
 */
export interface StateStore {
  /** What is kept, in the order in which the keys came. Called once, before the first `put`. */
  load(): Promise<ReadonlyMap<string, unknown>>
  /** Keeps edits, all of them or none; resolves when they would outlive a crash. Puts take effect in the order of the calls. */
  put(edits: readonly StateEdit[]): Promise<void>
  /** Finishes what was put, then lets go of the place. Calling it again does nothing. */
  close(): Promise<void>
}
