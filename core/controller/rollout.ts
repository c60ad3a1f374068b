import { type Clock, nearestName, ServeError, sleep } from '../base/index.ts'
import { isRecord, type TrafficPolicy } from '../model/index.ts'
import type { BackendQueue } from '../router/index.ts'
import { countsSince, quantileMs } from '../service/index.ts'

/** When a canary is rolled back. */
export interface RolloutGuard {
  /** Largest share of failed requests, 0..1. @default 0.01 */
  readonly errorRate?: number
  /** Largest p99 of the canary, as a multiple of that of the rest in the same step. Above 0. @default 1.5 */
  readonly p99Ratio?: number
  /** Requests that the canary must have answered in a step before it is judged; the step lasts longer when fewer came. @default 50 */
  readonly minRequests?: number
}

export interface RolloutOptions {
  /** Shares of the canary, each greater than the one before, up to 1. @default [0.05, 0.25, 1] */
  readonly steps?: readonly number[]
  /** How long a step lasts at least, in milliseconds. Above 0. @default 60_000 */
  readonly intervalMs?: number
  readonly guard?: RolloutGuard
}

/** How a roll-out ended. */
export interface RolloutResult {
  readonly state: 'completed' | 'rolled-back'
  /** The last share that was tried. */
  readonly share: number
  /** Of a roll-back: what was seen. */
  readonly reason?: string
}

/** What one backend did within a step. */
export interface StepObservation {
  readonly requests: number
  readonly failed: number
  readonly p99Ms: number
}

interface ResolvedRollout {
  readonly steps: readonly number[]
  readonly intervalMs: number
  readonly guard: Required<RolloutGuard>
}

const DEFAULTS: ResolvedRollout = Object.freeze({
  steps: [0.05, 0.25, 1],
  intervalMs: 60_000,
  guard: Object.freeze({ errorRate: 0.01, p99Ratio: 1.5, minRequests: 50 }),
})

/** Fills in and checks. `ERR_INVALID_CONFIG` names the field. */
export function resolveRollout(given: RolloutOptions = {}): ResolvedRollout {
  checkKeys('rollout', given, Object.keys(DEFAULTS))
  checkKeys('rollout: guard', given.guard ?? {}, Object.keys(DEFAULTS.guard))
  const steps = given.steps ?? DEFAULTS.steps
  const isRising = steps.length > 0 && steps.every((share, index) => share > (steps[index - 1] ?? 0) && share <= 1)
  if (!Array.isArray(steps) || !isRising) throw invalid(`steps must be rising shares above 0 and up to 1, got ${JSON.stringify(steps)}`)
  const intervalMs = given.intervalMs ?? DEFAULTS.intervalMs
  if (!(intervalMs > 0)) throw invalid(`intervalMs must be above 0, got ${String(intervalMs)}`)
  const guard = { ...DEFAULTS.guard, ...given.guard }
  if (!(guard.errorRate >= 0 && guard.errorRate <= 1)) throw invalid(`guard.errorRate must lie within 0..1, got ${String(guard.errorRate)}`)
  if (!(guard.p99Ratio > 0)) throw invalid(`guard.p99Ratio must be above 0, got ${String(guard.p99Ratio)}`)
  if (!Number.isInteger(guard.minRequests) || guard.minRequests < 0) {
    throw invalid(`guard.minRequests must be an integer of 0 or more, got ${String(guard.minRequests)}`)
  }
  return { steps, intervalMs, guard }
}

/** What these queues do from now on. */
export function observe(queues: readonly BackendQueue[]): () => StepObservation {
  const starts = queues.map(({ counters, latency }) => ({
    succeeded: counters.succeeded,
    failed: counters.failed,
    latency: latency.snapshot(),
  }))
  return () => {
    let requests = 0
    let failed = 0
    let p99Ms = 0
    queues.forEach(({ counters, latency }, index) => {
      const start = starts[index] ?? { succeeded: 0, failed: 0, latency: new Float64Array(0) }
      failed += counters.failed - start.failed
      requests += counters.succeeded - start.succeeded + counters.failed - start.failed
      p99Ms = Math.max(p99Ms, quantileMs(countsSince(latency.snapshot(), start.latency), 0.99))
    })
    return { requests, failed, p99Ms }
  }
}

/** Why the canary must go back, or undefined when it may go on. The rest is not asked about when it answered nothing. Pure. */
export function judgeCanary(canary: StepObservation, rest: StepObservation, guard: Required<RolloutGuard>): string | undefined {
  const errorRate = canary.requests === 0 ? 0 : canary.failed / canary.requests
  if (errorRate > guard.errorRate) {
    return `${canary.failed} of ${canary.requests} requests failed, ${(errorRate * 100).toFixed(1)} % against ${(guard.errorRate * 100).toFixed(1)} % allowed`
  }
  if (rest.requests > 0 && canary.p99Ms > rest.p99Ms * guard.p99Ratio) {
    return `p99 is ${canary.p99Ms.toFixed(1)} ms against ${rest.p99Ms.toFixed(1)} ms of the rest, more than ${guard.p99Ratio} times as much`
  }
  return undefined
}

/** Weights with the canary at `share`; the others keep their proportions to each other in what is left. Pure. */
export function weightsWithCanary(policy: TrafficPolicy, canary: string, share: number): Record<string, number> {
  const others = policy.entries.filter((entry) => entry.backend !== canary && entry.weight > 0)
  const total = others.reduce((sum, entry) => sum + entry.weight, 0)
  const weights = others.map(({ backend, weight }) => [backend, total === 0 ? 0 : (weight / total) * (1 - share)] as const)
  return Object.fromEntries([...weights, [canary, total === 0 ? 1 : share]])
}

export interface RolloutSeams {
  readonly setTraffic: (weights: Readonly<Record<string, number>>) => Promise<void>
  /** Starts to look at the canary and at the rest; the function returned tells what they did since. */
  readonly observe: () => () => { readonly canary: StepObservation; readonly rest: StepObservation }
  readonly clock: Clock
}

/** Raises the share of the canary step by step; a step that breaks the guard puts the old weights back. */
export async function runRollout(
  policy: TrafficPolicy,
  canary: string,
  options: ResolvedRollout,
  seams: RolloutSeams,
): Promise<RolloutResult> {
  const before = Object.fromEntries(policy.entries.map(({ backend, weight }) => [backend, weight]))
  for (const share of options.steps) {
    await seams.setTraffic(weightsWithCanary(policy, canary, share))
    const seen = seams.observe()
    let step = seen()
    do {
      await sleep(seams.clock, options.intervalMs)
      step = seen()
    } while (step.canary.requests < options.guard.minRequests)
    const reason = judgeCanary(step.canary, step.rest, options.guard)
    if (reason === undefined) continue
    await seams.setTraffic(before)
    return { state: 'rolled-back', share, reason }
  }
  return { state: 'completed', share: options.steps.at(-1) ?? 1 }
}

/** Checks the options, then raises the share while it looks at these queues, by tag. `ERR_INVALID_CONFIG` names the field. */
export function startRollout(
  policy: TrafficPolicy,
  canary: string,
  options: RolloutOptions,
  seams: Omit<RolloutSeams, 'observe'> & { readonly queues: ReadonlyMap<string, BackendQueue> },
): Promise<RolloutResult> {
  const resolved = resolveRollout(options)
  const others = policy.entries.map(({ backend }) => backend).filter((tag) => tag !== canary)
  const queuesOf = (tags: readonly string[]): BackendQueue[] => tags.flatMap((tag) => seams.queues.get(tag) ?? [])
  return runRollout(policy, canary, resolved, {
    ...seams,
    observe: () => {
      const ofCanary = observe(queuesOf([canary]))
      const ofRest = observe(queuesOf(others))
      return () => ({ canary: ofCanary(), rest: ofRest() })
    },
  })
}

function checkKeys(what: string, given: object, known: readonly string[]): void {
  if (!isRecord(given)) throw invalid(`${what} must be an object`)
  for (const key of Object.keys(given)) {
    if (known.includes(key)) continue
    const near = nearestName(key, known)
    throw invalid(`${what}: ${key} is unknown${near === undefined ? '' : `; did you mean ${near}`}`)
  }
}

const invalid = (message: string): ServeError => new ServeError('ERR_INVALID_CONFIG', `rollout: ${message}`)
