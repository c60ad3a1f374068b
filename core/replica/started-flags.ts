/** Smallest ring of start marks; wide, for the limit may be raised while the replica stands: to half of it. */
const MIN_RING = 4_096
/** Largest one. */
const MAX_RING = 2 ** 20

/** Marks for a replica of this limit: a power of two, at least twice the calls that can be in hand, so that a free slot is always near. */
export function startedFlagsSize(maxConcurrentQueries: number): number {
  let size = MIN_RING
  while (size < maxConcurrentQueries * 2 && size < MAX_RING) size *= 2
  return size
}
