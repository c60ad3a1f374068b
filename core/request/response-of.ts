import { bytesOf } from './bytes.ts'
import type { ResponseHead } from './frames.ts'

/** Statuses whose answers have no body. */
export const BODYLESS: ReadonlySet<number> = new Set([101, 103, 204, 205, 304])

/** A FULL answer as the `Response` that a handle's caller receives. */
export function responseOf(full: readonly [status: number, headers: readonly string[], body: string | Uint8Array | undefined]): Response {
  const [status, flat, body] = full
  return new Response(BODYLESS.has(status) ? null : typeof body === 'string' ? bytesOf(body) : (body ?? null), {
    status,
    headers: headersOf(flat),
  })
}

/** A streamed `Response`: the head of the answer and a body that pulls chunk by chunk. */
export function streamedResponse(head: ResponseHead, body: ReadableStream<Uint8Array>): Response {
  return new Response(body, { status: head[0], headers: headersOf(head[1]) })
}

function headersOf(flat: readonly string[]): Headers {
  const headers = new Headers()
  for (let i = 0; i + 1 < flat.length; i += 2) headers.append(flat[i] as string, flat[i + 1] as string)
  return headers
}
