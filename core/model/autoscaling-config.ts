import { ServeError } from '../base/index.ts'
import { DELAY_MS, type FieldRules, integerFrom, PERIOD_MS, POSITIVE, readFields } from './field-rules.ts'

/** Bounds and pace of a backend that follows its load. Fields and algorithm after Ray Serve's autoscaler, the panic after Knative's. */
export interface AutoscalingConfig {
  /** Fewest replicas; 0 lets an idle backend go to sleep. Integer of 0 or more. @default 1 */
  readonly minReplicas?: number | undefined
  /** Most replicas. Integer of 1 or more, not below `minReplicas`. Required. */
  readonly maxReplicas?: number | undefined
  /** Queued and running requests per replica to aim at. Above 0. @default 2 */
  readonly targetOngoingRequests?: number | undefined
  /** How long the need must stay higher before replicas are added, in milliseconds. 0 or more. @default 3_000 */
  readonly upscaleDelayMs?: number | undefined
  /** How long the need must stay lower before replicas are taken away, in milliseconds. 0 or more. @default 60_000 */
  readonly downscaleDelayMs?: number | undefined
  /** The same for the step from one replica to none, in milliseconds. 0 or more. @default `downscaleDelayMs` */
  readonly downscaleToZeroDelayMs?: number | undefined
  /** Window over which the load is averaged, in milliseconds. Above 0. @default 30_000 */
  readonly lookBackMs?: number | undefined
  /** Share of the missing replicas that one step adds; above 1 overshoots. Above 0. @default 1 */
  readonly upscalingFactor?: number | undefined
  /** Share of the surplus replicas that one step takes away. Above 0. @default 1 */
  readonly downscalingFactor?: number | undefined
  /** Panic, which scales up at once and never down, begins when the need of the short window is this many times what is ready. Above 0. @default 2 */
  readonly panicThreshold?: number | undefined
  /** The short window, in milliseconds. Above 0. @default 6_000 */
  readonly panicWindowMs?: number | undefined
}

/** {@link AutoscalingConfig} with its defaults. `downscaleToZeroDelayMs` stays as given, see {@link downscaleToZeroDelayMsOf}. */
export interface ResolvedAutoscaling {
  readonly minReplicas: number
  readonly maxReplicas: number
  readonly targetOngoingRequests: number
  readonly upscaleDelayMs: number
  readonly downscaleDelayMs: number
  readonly downscaleToZeroDelayMs: number | undefined
  readonly lookBackMs: number
  readonly upscalingFactor: number
  readonly downscalingFactor: number
  readonly panicThreshold: number
  readonly panicWindowMs: number
}

const RULES: FieldRules<AutoscalingConfig> = Object.freeze({
  minReplicas: integerFrom(0),
  maxReplicas: integerFrom(1),
  targetOngoingRequests: POSITIVE,
  upscaleDelayMs: DELAY_MS,
  downscaleDelayMs: DELAY_MS,
  downscaleToZeroDelayMs: DELAY_MS,
  lookBackMs: PERIOD_MS,
  upscalingFactor: POSITIVE,
  downscalingFactor: POSITIVE,
  panicThreshold: POSITIVE,
  panicWindowMs: PERIOD_MS,
})

/** Of an autoscaling block. `maxReplicas` has none: how far a backend may grow is for its owner to say. */
export const AUTOSCALING_DEFAULTS = Object.freeze({
  minReplicas: 1,
  targetOngoingRequests: 2,
  upscaleDelayMs: 3_000,
  downscaleDelayMs: 60_000,
  downscaleToZeroDelayMs: undefined,
  lookBackMs: 30_000,
  upscalingFactor: 1,
  downscalingFactor: 1,
  panicThreshold: 2,
  panicWindowMs: 6_000,
} satisfies Omit<ResolvedAutoscaling, 'maxReplicas'>)

/** Checks an autoscaling block; with `base` only the fields given replace. Throws as {@link readFields}. */
export function resolveAutoscaling(given: unknown, base?: ResolvedAutoscaling): ResolvedAutoscaling {
  const subject = 'backend config'
  const fields = readFields<AutoscalingConfig>(subject, given, RULES, 'autoscaling.')
  const previous = base ?? AUTOSCALING_DEFAULTS
  const minReplicas = fields.minReplicas ?? previous.minReplicas
  const maxReplicas = fields.maxReplicas ?? base?.maxReplicas
  if (maxReplicas === undefined) {
    throw new ServeError('ERR_INVALID_CONFIG', `${subject}: autoscaling.maxReplicas is missing; give the most replicas there may be`, {
      details: { field: 'autoscaling.maxReplicas' },
    })
  }
  if (minReplicas > maxReplicas) {
    throw new ServeError(
      'ERR_INVALID_CONFIG',
      `${subject}: autoscaling.minReplicas ${minReplicas} is above autoscaling.maxReplicas ${maxReplicas}`,
      { details: { field: 'autoscaling.minReplicas', minReplicas, maxReplicas } },
    )
  }
  return Object.freeze({ ...previous, ...fields, minReplicas, maxReplicas })
}

/** The delay in force for the step from one replica to none, in milliseconds. */
export function downscaleToZeroDelayMsOf(autoscaling: ResolvedAutoscaling): number {
  return autoscaling.downscaleToZeroDelayMs ?? autoscaling.downscaleDelayMs
}
