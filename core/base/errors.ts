import { ERROR_KINDS, type ErrorCode } from './error-kinds.ts'

/**
 * What is known about a failed call: `not-started` no user code saw it, it may be sent again; `started-unknown` it may have run in whole or in
 * part; `completed` user code ran to its end (a throw is an end).
 */
export type Outcome = 'not-started' | 'started-unknown' | 'completed'

/** What a {@link ServeError} may carry beside code and message. */
export interface ServeErrorOptions {
  /** The original error. */
  readonly cause?: unknown
  /** Only of an error about a call. */
  readonly outcome?: Outcome
  /** When a retry may succeed, in milliseconds from now. */
  readonly retryAfterMs?: number
  /** Facts a program may want: the offending path, the numbers compared. Plain data. */
  readonly details?: Readonly<Record<string, unknown>>
}

const SERVE_BRAND = Symbol.for('shoal.ServeError')
const TASK_BRAND = Symbol.for('shoal.TaskError')

/**
 * Every failure that Shoal itself reports. Recognise one by `code`, through {@link isServeError}. `instanceof` holds across copies of the
 * package, threads and realms by a brand; argument errors are `TypeError` or `RangeError` as well, as the table of codes says.
 */
export class ServeError extends Error {
  readonly code: ErrorCode
  declare readonly outcome?: Outcome
  declare readonly retryAfterMs?: number
  declare readonly details?: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: ServeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    const kind = ERROR_KINDS[code]
    if (kind !== 'Error') Object.setPrototypeOf(this, ARGUMENT_PROTOTYPES[kind])
    this.code = code
    if (options.outcome !== undefined) this.outcome = options.outcome
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs
    if (options.details !== undefined) this.details = options.details
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return hasBrand(value, this === (TaskError as unknown) ? TASK_BRAND : SERVE_BRAND)
  }
}
Object.defineProperty(ServeError.prototype, 'name', { value: 'ServeError', configurable: true, writable: true })
Object.defineProperty(ServeError.prototype, SERVE_BRAND, { value: true })

/**
 * A throw in the code of a backend, seen by its caller. `cause` is an Error with the original's class name, message, stack of the replica and own
 * enumerable data. The code is always `ERR_TASK`; the replica lives on.
 */
export class TaskError extends ServeError {
  constructor(message: string, options: ServeErrorOptions = {}) {
    super('ERR_TASK', message, { outcome: 'completed', ...options })
  }
}
Object.defineProperty(TaskError.prototype, 'name', { value: 'TaskError', configurable: true, writable: true })
Object.defineProperty(TaskError.prototype, TASK_BRAND, { value: true })

/** Argument errors keep the platform's class in their prototype chain, with a ServeError's name and brand on top. */
const ARGUMENT_PROTOTYPES = Object.freeze({ TypeError: brandedPrototype(TypeError), RangeError: brandedPrototype(RangeError) })

function brandedPrototype({ name, prototype }: ErrorConstructor): object {
  return Object.create(prototype, { constructor: { value: ServeError }, name: { value: name }, [SERVE_BRAND]: { value: true } })
}

/** True for a {@link ServeError} of any copy of the package; with `code`, only for that code. */
export function isServeError(error: unknown, code?: ErrorCode): error is ServeError {
  return hasBrand(error, SERVE_BRAND) && (code === undefined || (error as ServeError).code === code)
}

function hasBrand(value: unknown, brand: symbol): boolean {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[brand] === true
}

/** The same error with another outcome. */
export function withOutcome(error: ServeError, outcome: Outcome): ServeError {
  const { code, message, cause, retryAfterMs, details } = error
  return new ServeError(code, message, {
    cause,
    outcome,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(details !== undefined && { details }),
  })
}
