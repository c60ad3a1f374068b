/** Marks a function that takes a list of requests. */
export const ACCEPTS_BATCH: unique symbol = Symbol.for('shoal.acceptsBatch') as never
