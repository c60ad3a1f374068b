import { type ErrorCode, fromErrorEnvelope, isServeError, type ServeError } from '../base/index.ts'

/** Why a port is refused, as its CLOSE says it: the code, if there is one, stands before the words. */
export function refusalText(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return isServeError(error) ? `${error.code}: ${message}` : message
}

/** The error of which the other side has made such a text; undefined when there is no code in it, or one that is not known here. */
export function refusalIn(reason: string): ServeError | undefined {
  const [, code, message = ''] = /^(ERR_[A-Z_]+): (.*)$/s.exec(reason) ?? []
  if (code === undefined) return undefined
  const error = fromErrorEnvelope({ name: 'Error', message, code: code as ErrorCode })
  return isServeError(error) ? error : undefined
}
