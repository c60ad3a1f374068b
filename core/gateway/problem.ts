import { ERROR_TABLE, type ServeError } from '../base/index.ts'

/** How errors are shown. */
export interface ProblemOptions {
  readonly requestId: string
  readonly exposeStacks: boolean
  /** Status of `ERR_BACK_PRESSURE`. */
  readonly overloadStatus: number
}

/** An error ready to be answered with. */
export interface Problem {
  readonly status: number
  /** Names and values in turn; the request id is not among them. */
  readonly headers: string[]
  /** RFC 9457 problem details as JSON. */
  readonly body: string
}

/** An error as `application/problem+json`. `details.allow` becomes the `Allow` header. */
export function toProblem(error: ServeError, { requestId, exposeStacks, overloadStatus }: ProblemOptions): Problem {
  const entry = ERROR_TABLE[error.code] ?? ERROR_TABLE.ERR_TASK
  const status = error.code === 'ERR_BACK_PRESSURE' ? overloadStatus : entry.httpStatus
  const headers = ['content-type', 'application/problem+json', 'x-content-type-options', 'nosniff']
  if (error.outcome !== undefined) headers.push('x-serve-outcome', error.outcome)
  if (entry.retryable && (status === 503 || status === 429)) headers.push('retry-after', String(retryAfterSeconds(error.retryAfterMs)))
  const allow = error.details?.allow
  if (typeof allow === 'string') headers.push('allow', allow)
  const body = JSON.stringify({
    type: 'about:blank',
    title: entry.sentence,
    status,
    detail: String(error.message),
    code: error.code,
    requestId,
    ...(error.outcome !== undefined && { outcome: error.outcome }),
    ...(exposeStacks && { stack: stackOf(error) }),
  })
  return { status, headers, body }
}

/** Whole seconds, rounded up, at least 1. */
function retryAfterSeconds(retryAfterMs: number | undefined): number {
  return Math.max(1, Math.ceil((Number.isFinite(retryAfterMs) ? (retryAfterMs as number) : 0) / 1_000))
}

/** The stack of the code that threw, where it came along. */
function stackOf(error: ServeError): string {
  const { cause } = error
  return cause instanceof Error && typeof cause.stack === 'string' ? cause.stack : String(error.stack)
}
