import { ERROR_FACTS, type ErrorCode } from './error-facts.ts'
import { isServeError, type Outcome, ServeError, type ServeErrorOptions, TaskError } from './errors.ts'

/** An error as plain data: structured clone and every codec lose `code`, `cause` or the class. */
export interface ErrorEnvelope {
  readonly name: string
  readonly message: string
  readonly stack?: string
  /** Set for a ServeError. */
  readonly code?: ErrorCode
  readonly outcome?: Outcome
  readonly retryAfterMs?: number
  readonly details?: Readonly<Record<string, unknown>>
  readonly cause?: ErrorEnvelope
  /** Own enumerable properties of a foreign error, as far as they are plain: strings, numbers, booleans, null and nested plain data. */
  readonly data?: Readonly<Record<string, unknown>>
}

/** Longest chain of causes that travels. */
const MAX_CAUSES = 8

/** Describes any thrown value; never throws itself. */
export function toErrorEnvelope(error: unknown, depth = 0): ErrorEnvelope {
  if (!(error instanceof Error) && !isServeError(error)) return { name: typeof error, message: describe(error) }
  const cause = error.cause === undefined || depth >= MAX_CAUSES ? undefined : toErrorEnvelope(error.cause, depth + 1)
  const base = {
    name: className(error),
    message: String(error.message),
    ...(typeof error.stack === 'string' && { stack: error.stack }),
    ...(cause !== undefined && { cause }),
  }
  if (!isServeError(error)) return { ...base, data: plainData(error) }
  return {
    ...base,
    code: error.code,
    ...(error.outcome !== undefined && { outcome: error.outcome }),
    ...(error.retryAfterMs !== undefined && { retryAfterMs: error.retryAfterMs }),
    ...(error.details !== undefined && { details: plainData(error.details) }),
  }
}

/** The other way: a ServeError or TaskError where the envelope has a known code, else an Error with the original's name, stack and data. */
export function fromErrorEnvelope(envelope: ErrorEnvelope): Error {
  const cause = envelope.cause === undefined ? undefined : fromErrorEnvelope(envelope.cause)
  if (envelope.code !== undefined && Object.hasOwn(ERROR_FACTS, envelope.code)) {
    const options: ServeErrorOptions = {
      ...(cause !== undefined && { cause }),
      ...(envelope.outcome !== undefined && { outcome: envelope.outcome }),
      ...(envelope.retryAfterMs !== undefined && { retryAfterMs: envelope.retryAfterMs }),
      ...(envelope.details !== undefined && { details: envelope.details }),
    }
    return envelope.code === 'ERR_TASK'
      ? new TaskError(envelope.message, options)
      : new ServeError(envelope.code, envelope.message, options)
  }
  const error = new Error(envelope.message, cause === undefined ? undefined : { cause })
  for (const [key, value] of Object.entries(envelope.data ?? {})) {
    Object.defineProperty(error, key, { value, enumerable: true, configurable: true, writable: true })
  }
  Object.defineProperty(error, 'name', { value: envelope.name, configurable: true, writable: true })
  if (envelope.stack !== undefined) Object.defineProperty(error, 'stack', { value: envelope.stack, configurable: true, writable: true })
  return error
}

function className(error: Error): string {
  const own = error.name
  if (typeof own === 'string' && own !== 'Error' && own !== '') return own
  return error.constructor?.name || 'Error'
}

function describe(value: unknown): string {
  try {
    return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  } catch {
    return Object.prototype.toString.call(value)
  }
}

/** Copies what can surely be cloned; a getter that throws or a value that is no plain data is left out. */
function plainData(source: object): Record<string, unknown> {
  const data: Record<string, unknown> = {}
  for (const key of Object.keys(source)) {
    if (key === 'message' || key === 'stack' || key === 'cause' || key === 'name' || key === '__proto__') continue
    try {
      data[key] = structuredClone((source as Record<string, unknown>)[key])
    } catch {
      // Functions, sockets and the like stay behind: the error matters more than its attachments.
    }
  }
  return data
}
