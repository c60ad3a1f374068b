import { ServeError } from '../base/index.ts'
import { describeValue, isRecord, requireName } from './field-rules.ts'
import { type KnownNames, requireBackend, type ShadowShare, type TrafficPolicy, type TrafficShare } from './traffic-policy.ts'

/** How far the sum of weights may be off 1: a sum of rounded decimals passes, a forgotten backend does not. */
const SUM_TOLERANCE = 1e-5

/** Rounding of the sum itself, so that a sum that is written as 1 plus or minus the tolerance passes. */
const SUM_ROUNDING = 1e-8

/**
 * Checks a map of weights and gives its sorted entries. Throws `ERR_INVALID_ARG_TYPE` (no plain object), `ERR_BACKEND_NOT_FOUND` (with the
 * nearest tag), `ERR_INVALID_TRAFFIC` (a weight that is no finite number of 0 or more, or a sum more than 1e-5 off 1).
 */
export function resolveTraffic(endpoint: string, weights: unknown, knownBackends: KnownNames): readonly TrafficShare[] {
  if (!isRecord(weights)) {
    const message = `endpoint ${endpoint}: traffic must be an object of backend tags and weights, got ${describeValue(weights)}`
    throw new ServeError('ERR_INVALID_ARG_TYPE', message)
  }
  const entries: TrafficShare[] = []
  let sum = 0
  for (const backend of Object.keys(weights)) {
    const weight = weights[backend]
    requireBackend(endpoint, backend, knownBackends)
    if (typeof weight !== 'number' || !Number.isFinite(weight) || weight < 0) throw invalidWeight(endpoint, backend, weight)
    entries.push(Object.freeze({ backend, weight }))
    sum += weight
  }
  if (Math.abs(sum - 1) > SUM_TOLERANCE + SUM_ROUNDING) {
    throw new ServeError('ERR_INVALID_TRAFFIC', `endpoint ${endpoint}: the weights must sum to 1, they sum to ${sum}`, {
      details: { endpoint, sum },
    })
  }
  return Object.freeze(entries.sort(byBackend))
}

/**
 * Checks a shadow. Throws `ERR_INVALID_ARG_TYPE` (tag or proportion), `ERR_INVALID_ARG_VALUE` (a proportion outside 0..1),
 * `ERR_BACKEND_NOT_FOUND`. A proportion of 0, which removes, asks for no known backend.
 */
export function resolveShadow(endpoint: string, tag: unknown, proportion: unknown, knownBackends: KnownNames): ShadowShare {
  const backend = requireName(`endpoint ${endpoint}: shadow backend`, tag)
  if (typeof proportion !== 'number') {
    const message = `endpoint ${endpoint}: proportion of shadow ${backend} must be a number from 0 to 1, got ${describeValue(proportion)}`
    throw new ServeError('ERR_INVALID_ARG_TYPE', message)
  }
  if (!(proportion >= 0 && proportion <= 1)) {
    const message = `endpoint ${endpoint}: proportion of shadow ${backend} must lie within 0..1, got ${proportion}`
    throw new ServeError('ERR_INVALID_ARG_VALUE', message, { details: { endpoint, backend, proportion } })
  }
  if (proportion > 0) requireBackend(endpoint, backend, knownBackends)
  return Object.freeze({ backend, proportion })
}

/** The policy with other traffic; its shadows stay. */
export function withTraffic(policy: TrafficPolicy, entries: readonly TrafficShare[]): TrafficPolicy {
  return Object.freeze({ entries, shadows: policy.shadows })
}

/** The policy with the shadow added or changed; a proportion of 0 removes it. */
export function withShadow(policy: TrafficPolicy, shadow: ShadowShare): TrafficPolicy {
  const shadows = policy.shadows.filter((other) => other.backend !== shadow.backend)
  if (shadow.proportion > 0) shadows.push(shadow)
  return Object.freeze({ entries: policy.entries, shadows: Object.freeze(shadows.sort(byBackend)) })
}

function invalidWeight(endpoint: string, backend: string, weight: unknown): ServeError {
  const message = `endpoint ${endpoint}: weight of ${backend} must be a finite number of 0 or more, got ${describeValue(weight)}`
  return new ServeError('ERR_INVALID_TRAFFIC', message, {
    details: { endpoint, backend, weight: typeof weight === 'number' ? weight : describeValue(weight) },
  })
}

/** By code units: the same order in every locale. */
function byBackend(a: { readonly backend: string }, b: { readonly backend: string }): number {
  return a.backend < b.backend ? -1 : a.backend > b.backend ? 1 : 0
}
