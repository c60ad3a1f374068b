import type { ResponseHead } from './frames.ts'

/** A streamed answer as its consumer pulls it. Whoever stops reading must `cancel()`, so that the producer's `finally` runs and the slot is freed. */
export interface StreamAnswer {
  /** Set when the answer was a Response. */
  readonly head?: ResponseHead | undefined
  /** Every chunk that is there, at least one; undefined at the end. Rejects with what the producer threw, or with the reason the stream broke. */
  read(): Promise<readonly unknown[] | undefined>
  /** Lets go; the producer is told. Calling it after the end does nothing. */
  cancel(): void
}
