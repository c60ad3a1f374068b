import { type AutoscalingConfig, type ResolvedAutoscaling, resolveAutoscaling } from './autoscaling-config.ts'
import {
  ANYTHING,
  BOOLEAN,
  DELAY_MS,
  type FieldRules,
  integerFrom,
  invalidField,
  orNull,
  PERIOD_MS,
  RECORD,
  readFields,
} from './field-rules.ts'
import { cloneFrozen } from './frozen-data.ts'

/** What a user may set of a backend, at `createBackend` and, field by field, at `updateBackendConfig`. `undefined` means not given. */
export interface BackendConfig {
  /** Replicas to run; with `autoscaling` the count to begin with, which must lie within its bounds. Integer of 1 or more. @default 1 */
  readonly numReplicas?: number | undefined
  /** Most requests in one batch. Integer of 1 or more; above 1 the handler must accept batches; `null` takes it away. @default none */
  readonly maxBatchSize?: number | null | undefined
  /**
   * Longest wait for a full batch, counted from the batch's first request, in milliseconds. 0: no wait, a free replica takes what is queued.
   * @default 0
   */
  readonly batchWaitTimeoutMs?: number | undefined
  /**
   * Most requests that run in one replica at once. Integer of 1 or more; `null` goes back to the default.
   * @default 100; 2 x `maxBatchSize` when that is set
   */
  readonly maxConcurrentQueries?: number | null | undefined
  /** Most calls that wait for a slot; one more fails with `ERR_BACK_PRESSURE`. Integer of 0 or more. @default 1_000 */
  readonly maxQueuedRequests?: number | undefined
  /** Most payload that waits for a slot, in bytes. Integer of 0 or more. @default 67_108_864 (64 MiB) */
  readonly maxQueuedBytes?: number | undefined
  /** One deadline over queue, attempts and execution until the first part, in milliseconds. Above 0. @default 30_000 */
  readonly requestTimeoutMs?: number | undefined
  /** Longest silence between two parts of a streamed answer, in milliseconds. Above 0. @default 30_000 */
  readonly streamIdleTimeoutMs?: number | undefined
  /** True: a call may be run once more on another replica although it had started. @default false */
  readonly idempotent?: boolean | undefined
  /** Handed to the class's `reconfigure()` after construction and whenever it changes. Anything structured clone carries. @default none */
  readonly userConfig?: unknown
  /** Lets the number of replicas follow the load; an update gives only what changes; `null` takes it away. @default none */
  readonly autoscaling?: AutoscalingConfig | null | undefined
  /** From one `checkHealth()` of a replica to the next, in milliseconds. Above 0. @default 10_000 */
  readonly healthCheckPeriodMs?: number | undefined
  /** How long `checkHealth()` may take before it counts as a miss, in milliseconds. Above 0. @default 5_000 */
  readonly healthCheckTimeoutMs?: number | undefined
  /** How long a replica may go on with what it holds before it is stopped, in milliseconds. 0 or more. @default 20_000 */
  readonly gracefulShutdownTimeoutMs?: number | undefined
  /** How long a replica may take from its start until it is ready, in milliseconds. Above 0. @default 60_000 */
  readonly startTimeoutMs?: number | undefined
}

/**
 * {@link BackendConfig}, checked and filled. Frozen. `maxConcurrentQueries` stays as given, so that a later change of `maxBatchSize` moves only
 * the default: read it by {@link concurrencyOf}.
 */
export interface ResolvedBackendConfig {
  readonly numReplicas: number
  readonly maxBatchSize: number | undefined
  readonly batchWaitTimeoutMs: number
  readonly maxConcurrentQueries: number | undefined
  readonly maxQueuedRequests: number
  readonly maxQueuedBytes: number
  readonly requestTimeoutMs: number
  readonly streamIdleTimeoutMs: number
  readonly idempotent: boolean
  readonly userConfig: unknown
  readonly autoscaling: ResolvedAutoscaling | undefined
  readonly healthCheckPeriodMs: number
  readonly healthCheckTimeoutMs: number
  readonly gracefulShutdownTimeoutMs: number
  readonly startTimeoutMs: number
}

/** {@link ResolvedBackendConfig} as a user reads it: what is not set is missing, `maxConcurrentQueries` is the number in force. */
export interface PublicBackendConfig
  extends Omit<ResolvedBackendConfig, 'maxBatchSize' | 'maxConcurrentQueries' | 'userConfig' | 'autoscaling'> {
  readonly maxBatchSize?: number
  readonly maxConcurrentQueries: number
  readonly userConfig?: unknown
  readonly autoscaling?: PublicAutoscaling
}

/** {@link ResolvedAutoscaling} as a user reads it. */
export interface PublicAutoscaling extends Omit<ResolvedAutoscaling, 'downscaleToZeroDelayMs'> {
  readonly downscaleToZeroDelayMs?: number
}

/** Calls at once in a replica that makes no batches. */
const DEFAULT_CONCURRENCY = 100

const RULES: FieldRules<BackendConfig> = Object.freeze({
  numReplicas: integerFrom(1),
  maxBatchSize: orNull(integerFrom(1)),
  batchWaitTimeoutMs: DELAY_MS,
  maxConcurrentQueries: orNull(integerFrom(1)),
  maxQueuedRequests: integerFrom(0),
  maxQueuedBytes: integerFrom(0),
  requestTimeoutMs: PERIOD_MS,
  streamIdleTimeoutMs: PERIOD_MS,
  idempotent: BOOLEAN,
  userConfig: ANYTHING,
  autoscaling: orNull(RECORD),
  healthCheckPeriodMs: PERIOD_MS,
  healthCheckTimeoutMs: PERIOD_MS,
  gracefulShutdownTimeoutMs: DELAY_MS,
  startTimeoutMs: PERIOD_MS,
})

/** A backend for which nothing was given. */
export const BACKEND_DEFAULTS: ResolvedBackendConfig = Object.freeze({
  numReplicas: 1,
  maxBatchSize: undefined,
  batchWaitTimeoutMs: 0,
  maxConcurrentQueries: undefined,
  maxQueuedRequests: 1_000,
  maxQueuedBytes: 64 * 1024 * 1024,
  requestTimeoutMs: 30_000,
  streamIdleTimeoutMs: 30_000,
  idempotent: false,
  userConfig: undefined,
  autoscaling: undefined,
  healthCheckPeriodMs: 10_000,
  healthCheckTimeoutMs: 5_000,
  gracefulShutdownTimeoutMs: 20_000,
  startTimeoutMs: 60_000,
})

/**
 * Checks what a user gave and fills it up from `base`, the config in force, or from the defaults. `userConfig` is cloned and frozen; when it is
 * the same data as before, as `isSame` tells, the result holds the very object of `base`. A count of replicas that was not given now is moved into the bounds of
 * `autoscaling`.
 * Throws `ERR_INVALID_ARG_TYPE` (no plain object), `ERR_INVALID_CONFIG` (unknown key, type, range) or `ERR_NOT_SERIALIZABLE` (`userConfig`).
 */
export function resolveBackendConfig(
  given: unknown,
  base: ResolvedBackendConfig = BACKEND_DEFAULTS,
  isSame: (a: unknown, b: unknown) => boolean = Object.is,
): ResolvedBackendConfig {
  const fields = readFields<BackendConfig>('backend config', given, RULES)
  const autoscaling = chooseAutoscaling(fields.autoscaling, base.autoscaling)
  return Object.freeze({
    ...base,
    ...fields,
    numReplicas: chooseCount(fields.numReplicas, base.numReplicas, autoscaling),
    maxBatchSize: orNone(fields.maxBatchSize, base.maxBatchSize),
    maxConcurrentQueries: orNone(fields.maxConcurrentQueries, base.maxConcurrentQueries),
    userConfig: chooseUserConfig(fields.userConfig, base.userConfig, isSame),
    autoscaling,
  })
}

/** Requests that may run at once in one replica: as given, else 2 x `maxBatchSize`, else 100. */
export function concurrencyOf(config: ResolvedBackendConfig): number {
  if (config.maxConcurrentQueries !== undefined) return config.maxConcurrentQueries
  return config.maxBatchSize === undefined ? DEFAULT_CONCURRENCY : 2 * config.maxBatchSize
}

/** What `getBackendConfig` and `listBackends` show. Frozen, without `undefined`. */
export function toPublicConfig(config: ResolvedBackendConfig): PublicBackendConfig {
  const { maxBatchSize, userConfig, autoscaling, ...rest } = config
  return Object.freeze({
    ...rest,
    maxConcurrentQueries: concurrencyOf(config),
    ...(maxBatchSize !== undefined && { maxBatchSize }),
    ...(userConfig !== undefined && { userConfig }),
    ...(autoscaling !== undefined && { autoscaling: toPublicAutoscaling(autoscaling) }),
  })
}

function toPublicAutoscaling(autoscaling: ResolvedAutoscaling): PublicAutoscaling {
  const { downscaleToZeroDelayMs, ...rest } = autoscaling
  return Object.freeze({ ...rest, ...(downscaleToZeroDelayMs !== undefined && { downscaleToZeroDelayMs }) })
}

function orNone<T>(given: T | null | undefined, previous: T | undefined): T | undefined {
  return given === null ? undefined : (given ?? previous)
}

function chooseAutoscaling(given: unknown, previous: ResolvedAutoscaling | undefined): ResolvedAutoscaling | undefined {
  if (given === null) return undefined
  return given === undefined ? previous : resolveAutoscaling(given, previous)
}

function chooseCount(given: number | undefined, previous: number, autoscaling: ResolvedAutoscaling | undefined): number {
  if (autoscaling === undefined) return given ?? previous
  const { minReplicas, maxReplicas } = autoscaling
  if (given === undefined) return Math.max(minReplicas, Math.min(previous, maxReplicas))
  if (given >= minReplicas && given <= maxReplicas) return given
  throw invalidField('backend config', 'numReplicas', given, `within the bounds of autoscaling, ${minReplicas} to ${maxReplicas}`)
}

function chooseUserConfig(given: unknown, previous: unknown, isSame: (a: unknown, b: unknown) => boolean): unknown {
  if (given === undefined) return previous
  const userConfig = cloneFrozen(given, 'userConfig')
  return isSame(userConfig, previous) ? previous : userConfig
}
