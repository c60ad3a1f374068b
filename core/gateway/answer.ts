import { ServeError } from '../base/index.ts'
import { AnswerKind } from '../request/index.ts'

/** A whole answer as the gateway sends it. */
export interface WholeAnswer {
  readonly status: number
  /** Names and values in turn, the handler's own; may be added to. */
  readonly headers: string[]
  readonly body: string | Uint8Array | undefined
}

/** Statuses that must have no body. */
const BODYLESS: ReadonlySet<number> = new Set([204, 205, 304])

/** Headers about one connection, which a handler cannot speak for. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** What a replica answered, of any kind but a stream or an error. `ERR_BAD_RESPONSE` for what is no valid HTTP. */
export function toWholeAnswer(kind: number, value: unknown, isHead: boolean): WholeAnswer {
  switch (kind) {
    case AnswerKind.JSON:
      return { status: 200, headers: ['content-type', 'application/json'], body: value as string }
    case AnswerKind.TEXT:
      return { status: 200, headers: ['content-type', 'text/plain; charset=utf-8'], body: value as string }
    case AnswerKind.BYTES:
      return { status: 200, headers: ['content-type', 'application/octet-stream'], body: value as Uint8Array }
    case AnswerKind.EMPTY:
      return { status: 200, headers: [], body: undefined }
    case AnswerKind.FULL: {
      const [status, headers, body] = value as readonly [number, readonly string[], string | Uint8Array | undefined]
      const keepsLength = isHead && body === undefined
      const checked = checkedHeaders(status, headers, keepsLength)
      return { status, headers: checked, body: isBodyless(status) ? undefined : body }
    }
    default:
      throw new ServeError('ERR_BAD_RESPONSE', `the replica answered with kind ${kind}, which HTTP has no form for`, {
        outcome: 'completed',
      })
  }
}

export const isBodyless = (status: number): boolean => BODYLESS.has(status)

/** The headers that a handler set, checked: a bad one must end in an answer, not in a crash. Length and request id are the gateway's to say. */
export function checkedHeaders(status: number, headers: readonly string[], keepsLength = false): string[] {
  if (!Number.isInteger(status) || status < 200 || status > 599) throw badResponse(`status ${String(status)} is not within 200 to 599`)
  const checked: string[] = []
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = String(headers[i])
    const value = String(headers[i + 1])
    if (!HEADER_NAME.test(name)) throw badResponse(`${JSON.stringify(name)} is no name of a header`)
    if (!HEADER_VALUE.test(value)) throw badResponse(`header ${name} has a value with a line break or a character beyond latin1`)
    const lowerCase = name.toLowerCase()
    // About a connection that ends here: a handler that passes on what it fetched brings them along.
    if (HOP_BY_HOP.has(lowerCase)) continue
    if (lowerCase === 'x-serve-request-id' || (lowerCase === 'content-length' && !keepsLength)) continue
    checked.push(name, value)
  }
  return checked
}

const badResponse = (message: string): ServeError => new ServeError('ERR_BAD_RESPONSE', message, { outcome: 'completed' })
