import type { Random } from '../base/index.ts'

/** What a balancer asks of a candidate. */
export interface Loaded {
  /** True while it takes more. */
  readonly hasRoom: boolean
  /** Any number that grows with what it has to do. */
  readonly load: number
}

/**
 * Power of two choices: samples two distinct candidates, returns the less loaded one that has room; on a tie the first sampled. When neither has
 * room, the least loaded of all that do, so that a free replica is never overlooked. Undefined when there is none. Source: Mitzenmacher 2001.
 * @param random uniform in [0, 1)
 */
export function chooseReplica<T extends Loaded>(candidates: readonly T[], random: Random): T | undefined {
  const count = candidates.length
  if (count < 3) {
    const [first, second] = candidates
    if (first === undefined || second === undefined) return first?.hasRoom ? first : undefined
    return random() < 0.5 ? better(first, second) : better(second, first)
  }
  const i = Math.floor(random() * count)
  const j = Math.floor(random() * (count - 1))
  const sampled = better(candidates[i] as T, candidates[j < i ? j : j + 1] as T)
  if (sampled !== undefined) return sampled
  let best: T | undefined
  for (const candidate of candidates) if (candidate.hasRoom && (best === undefined || candidate.load < best.load)) best = candidate
  return best
}

function better<T extends Loaded>(a: T, b: T): T | undefined {
  if (!a.hasRoom) return b.hasRoom ? b : undefined
  return !b.hasRoom || a.load <= b.load ? a : b
}
