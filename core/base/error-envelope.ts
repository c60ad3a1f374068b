import { ERROR_KINDS, type ErrorCode } from './error-kinds.ts'
import { type Outcome, ServeError, type ServeErrorOptions, TaskError } from './errors.ts'

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

/** The other way from `toErrorEnvelope`: a ServeError or TaskError where the envelope has a known code, else an Error with the original's name, stack and data. */
export function fromErrorEnvelope(envelope: ErrorEnvelope): Error {
  const cause = envelope.cause === undefined ? undefined : fromErrorEnvelope(envelope.cause)
  if (envelope.code !== undefined && Object.hasOwn(ERROR_KINDS, envelope.code)) {
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
