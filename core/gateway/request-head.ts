import { ServeError } from '../base/index.ts'
import { isNamed } from '../request/index.ts'

/** Longest deadline a caller may ask for, in milliseconds. */
const MAX_TIMEOUT_MS = 600_000

/** What the gateway itself reads of the headers, found in one pass; a header object would cost more than the whole lookup of the route. */
export interface RequestHead {
  readonly host: string | undefined
  /** Of the body; 0 without one, -1 when it comes in chunks of unknown sum. */
  readonly bodyBytes: number
  readonly callMethod: string
  readonly shardKey: string | undefined
  readonly timeoutMs: number | undefined
  /** The headers for the handler: without the `x-serve-*` that only the gateway may set. */
  readonly rawHeaders: readonly string[]
}

/** Reads a head. `ERR_BAD_REQUEST` for two `Host` headers or a timeout that is no positive integer. */
export function readHead(rawHeaders: readonly string[]): RequestHead {
  let host: string | undefined
  let bodyBytes = 0
  let callMethod = ''
  let shardKey: string | undefined
  let timeoutMs: number | undefined
  let dropped: number[] | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    const value = rawHeaders[i + 1] as string
    if ((name.charCodeAt(0) | 0x20) === 0x78) {
      // An x-; the lengths below belong to other letters.
      if (name.length <= 8 || name.slice(0, 8).toLowerCase() !== 'x-serve-') continue
      const ours = name.slice(8).toLowerCase()
      if (ours === 'call-method') callMethod = value
      else if (ours === 'shard-key') shardKey = value === '' ? undefined : value
      else if (ours === 'timeout-ms') timeoutMs = toTimeoutMs(value)
      else {
        dropped ??= []
        dropped.push(i)
      }
    } else if (name.length === 4) {
      if (!isNamed(name, 'host')) continue
      if (host !== undefined) throw new ServeError('ERR_BAD_REQUEST', 'the request has two Host headers')
      host = value
    } else if (name.length === 14) {
      if (bodyBytes !== -1 && isNamed(name, 'content-length')) bodyBytes = Number(value)
    } else if (name.length === 17) {
      if (isNamed(name, 'transfer-encoding')) bodyBytes = -1
    }
  }
  return { host, bodyBytes, callMethod, shardKey, timeoutMs, rawHeaders: dropped === undefined ? rawHeaders : without(rawHeaders, dropped) }
}

function without(rawHeaders: readonly string[], places: readonly number[]): string[] {
  return rawHeaders.filter((_, i) => !places.includes(i - (i % 2)))
}

function toTimeoutMs(value: string): number {
  if (!/^[1-9]\d{0,11}$/.test(value)) {
    throw new ServeError('ERR_BAD_REQUEST', `X-SERVE-TIMEOUT-MS is ${JSON.stringify(value)}; it must be a positive integer`)
  }
  return Math.min(Number(value), MAX_TIMEOUT_MS)
}
