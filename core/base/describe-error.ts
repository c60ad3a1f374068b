import type { ErrorEnvelope } from './error-envelope.ts'
import { isServeError } from './errors.ts'

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
