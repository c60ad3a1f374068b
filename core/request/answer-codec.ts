import { ServeError } from '../base/index.ts'
import { whyNotJson } from './body.ts'
import { asBytes, ownBytes } from './bytes.ts'
import { flatHeaders } from './flat-headers.ts'
import { AnswerKind, type ResponseHead } from './frames.ts'
import { isResponse, LightResponse } from './light-response.ts'

/** An answer ready for its slot. `kind` STREAM has an iterator of chunks as `value`, and the head of a Response beside it. */
export interface EncodedAnswer {
  readonly kind: AnswerKind
  readonly value: unknown
  readonly head?: ResponseHead
}

/**
 * What a handler returned, as an answer. `rendered` says that the caller is the gateway, which wants text, bytes or JSON; a handle gets the value.
 * Async iterables and streams become STREAM either way, a `Response` FULL, or STREAM when its body is a stream of unknown length.
 */
export function encodeAnswer(result: unknown, rendered: boolean): EncodedAnswer | Promise<EncodedAnswer> {
  if (typeof result === 'object' && result !== null) {
    if (isResponse(result)) return encodeResponse(result)
    if (result instanceof ReadableStream) return { kind: AnswerKind.STREAM, value: chunksOf(result as ReadableStream<unknown>) }
    const iterate = (result as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator]
    if (typeof iterate === 'function') return { kind: AnswerKind.STREAM, value: iterate.call(result) }
  }
  if (!rendered) return { kind: AnswerKind.VALUE, value: result }
  if (result === undefined || result === null) return { kind: AnswerKind.EMPTY, value: undefined }
  if (typeof result === 'string') return { kind: AnswerKind.TEXT, value: result }
  const bytes = asBytes(result)
  if (bytes !== undefined) return { kind: AnswerKind.BYTES, value: ownBytes(bytes) }
  const json = toJson(result)
  return json === undefined ? { kind: AnswerKind.EMPTY, value: undefined } : { kind: AnswerKind.JSON, value: json }
}

function toJson(result: unknown): string | undefined {
  try {
    return JSON.stringify(result)
  } catch (cause) {
    const why = whyNotJson(result, 'result') ?? 'result holds something'
    throw new ServeError('ERR_NOT_SERIALIZABLE', `${why}, which JSON cannot carry; call the endpoint by handle, or return text or bytes`, {
      cause,
      outcome: 'completed',
    })
  }
}

function encodeResponse(response: LightResponse | Response): EncodedAnswer | Promise<EncodedAnswer> {
  const light = LightResponse.parts(response)
  if (light !== undefined) {
    const [head, body] = light
    return { kind: AnswerKind.FULL, value: [...head, typeof body === 'object' ? ownBytes(body) : body] }
  }
  const real = LightResponse.real(response)
  const head: ResponseHead = [real.status, flatHeaders(real.headers)]
  if (real.body === null) return { kind: AnswerKind.FULL, value: [...head, undefined] }
  const length = real.headers.get('content-length')
  if (length !== null) return real.bytes().then((bytes) => ({ kind: AnswerKind.FULL, value: [...head, bytes] }))
  return { kind: AnswerKind.STREAM, value: chunksOf(real.body), head }
}

/** A reader of a stream as an iterator; `return()` cancels the stream. */
function chunksOf(stream: ReadableStream<unknown>): AsyncIterator<unknown> {
  const reader = stream.getReader()
  return {
    async next() {
      const { done, value } = await reader.read()
      return done ? { done: true, value: undefined } : { done: false, value }
    },
    async return() {
      await reader.cancel()
      return { done: true, value: undefined }
    },
  }
}
