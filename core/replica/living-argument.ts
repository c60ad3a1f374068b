/** Things with a life of their own that may stand in `initArgs` travel as a mark and are made alive again in the replica. */
export interface LivingArgument {
  /** The key of the codec, `handle` or `asset`. */
  readonly mark: string
  /** Plain data. */
  readonly data: unknown
}

/** How a living argument says what it is: a method under this symbol that gives its {@link LivingArgument}. */
export const TO_LIVING: unique symbol = Symbol.for('shoal.toLivingArgument') as never
