import { lnOfUnit, unitOfShardKey } from './shard-key.ts'
import type { TrafficPolicy } from './traffic-policy.ts'

/**
 * Chooses by chance: the first backend, by tag, whose cumulative weight exceeds the draw. When that one is not ready, the place of the draw
 * within its share is a fresh draw over the ready ones: it yields its share in proportion to their weights, and the requests of the others stay
 * where they are. Returns undefined when no backend with a weight is ready; one of weight 0 is never chosen. Allocates nothing.
 *
 * @param draw uniform in [0, 1)
 * @param isReady true for a backend that can take the request, or be woken for it
 */
export function chooseBackend(policy: TrafficPolicy, draw: number, isReady: (tag: string) => boolean): string | undefined {
  const { entries } = policy
  let total = 0
  for (let i = 0; i < entries.length; i++) total += entries[i]?.weight ?? 0
  let rest = draw * total
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]
    if (entry === undefined || entry.weight === 0) continue
    if (rest < entry.weight) return isReady(entry.backend) ? entry.backend : chooseReady(policy, rest / entry.weight, isReady)
    rest -= entry.weight
  }
  // Subtraction has rounded the draw past the last share.
  return chooseReady(policy, draw, isReady)
}

function chooseReady(policy: TrafficPolicy, draw: number, isReady: (tag: string) => boolean): string | undefined {
  const { entries } = policy
  let total = 0
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]
    if (entry !== undefined && entry.weight > 0 && isReady(entry.backend)) total += entry.weight
  }
  let rest = draw * total
  let last: string | undefined
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]
    if (entry === undefined || entry.weight === 0 || !isReady(entry.backend)) continue
    if (rest < entry.weight) return entry.backend
    rest -= entry.weight
    last = entry.backend
  }
  return last
}

/**
 * Chooses by shard key: weighted rendezvous hashing. Each backend scores `-weight / ln(u)`, u in (0, 1) from key and tag; the highest score wins.
 * So a key keeps its backend while the traffic stands, on every node; a change of weights moves only the keys whose winner changes, and a
 * backend that is not ready yields its keys to the others in proportion. Returns undefined when no backend with a weight is ready.
 * Sources: Thaler and Ravishankar 1998; weights by Schindelhauer and Schomaker 2005 (logarithmic method). Allocates nothing.
 */
export function chooseByShardKey(policy: TrafficPolicy, key: string, isReady: (tag: string) => boolean): string | undefined {
  const { entries } = policy
  let best: string | undefined
  let bestScore = 0
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]
    if (entry === undefined || entry.weight === 0 || !isReady(entry.backend)) continue
    const score = -entry.weight / lnOfUnit(unitOfShardKey(key, entry.backend))
    if (score > bestScore) {
      best = entry.backend
      bestScore = score
    }
  }
  return best
}

const NONE: readonly string[] = Object.freeze([])

/**
 * Tags of the shadows that get a copy of a request: those whose proportion exceeds the draw. One draw for all of them, so the sets are nested:
 * the 10 % is part of the 50 %. Allocates only when there is a copy to send.
 *
 * @param draw uniform in [0, 1); of a keyed request its `drawOfShardKey`
 */
export function shadowsFor(policy: TrafficPolicy, draw: number): readonly string[] {
  const { shadows } = policy
  let tags: string[] | undefined
  for (let i = 0; i < shadows.length; i++) {
    const shadow = shadows[i]
    if (shadow === undefined || draw >= shadow.proportion) continue
    if (tags === undefined) tags = []
    tags.push(shadow.backend)
  }
  return tags ?? NONE
}
