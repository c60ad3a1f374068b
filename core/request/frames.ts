/**
 * What travels on a call port, both ways, as flat arrays (source of the shape: coalesced postMessage, measured two to eight times the rate of a
 * message per call).
 *
 * To the replica: `[id, msLeft, meta, data, id, msLeft, meta, data, ...]`, or one of the signals below, told apart by a negative first slot.
 * A negative `msLeft` says that the call must not share a batch.
 * From the replica: `[serviceUs, id, kind, value, id, kind, value, ...]`, where `serviceUs` is the running mean of the time a call takes.
 *
 * What may share a message: primitives only. An object or a buffer goes as its own message, because structured clone keeps identity inside a
 * message and one caller could change another's data.
 */
export const SLOTS_PER_CALL = 4
export const SLOTS_PER_ANSWER = 3

/** `[CANCEL, id]`: the caller let go; the replica drops the call or aborts its signal, and answers all the same. */
export const CANCEL = -1
/** `[CREDIT, id, chunks, id, chunks, ...]`: the consumers of these streams are ready for so many more chunks. */
export const CREDIT = -2

/** `[BODY, id, part]`: the next bytes of a body that streams in, moved. */
export const BODY = -3
/** `[BODY_END, id, envelope?]`: the body has ended; with an ErrorEnvelope because the rest will not come. */
export const BODY_END = -4

/** In the data slot of a call that came by HTTP: the body streams in, when the handler reads it. */
export const STREAMED: null = null

/** The kinds of answer. JSON, TEXT, BYTES, EMPTY and FULL are made only for calls that came by HTTP; a handle gets VALUE, FULL or a stream. */
export const AnswerKind = Object.freeze({
  /** Any cloneable value. */
  VALUE: 0,
  /** An ErrorEnvelope. Also ends an open stream. */
  ERROR: 1,
  /** Text of compact JSON. */
  JSON: 2,
  /** Text for `text/plain; charset=utf-8`. */
  TEXT: 3,
  /** A Uint8Array for `application/octet-stream`. */
  BYTES: 4,
  /** Nothing: an empty 200. */
  EMPTY: 5,
  /** A Response: `[status, [name, value, ...], body]`, body a string, a Uint8Array or undefined. */
  FULL: 6,
  /** A stream opens: undefined, or `[status, [name, value, ...]]` when the answer was a Response. Its chunks follow. */
  STREAM: 7,
  /** One part of an open stream. */
  CHUNK: 8,
  /** The stream ended well. */
  END: 9,
  /**
   * User code is about to see so many calls, of this id and those that follow. Sent only where memory cannot be shared; elsewhere a flag is set. No end
   * of a call.
   */
  STARTED: 10,
  /** The handler reads: so many more bytes of the body may leave. No end of the call. */
  BODY_CREDIT: 11,
} as const)
export type AnswerKind = (typeof AnswerKind)[keyof typeof AnswerKind]

/** `[status, [name, value, ...]]` of an answer that is a Response. */
export type ResponseHead = readonly [status: number, headers: readonly string[]]

/**
 * What is not default about a call, in one slot.
 * - `0`: default method, no headers, no args, by handle.
 * - a string that begins with `H` or `R`: an HTTP head, see `encodeHttpHead`.
 * - a string that begins with `{`: a {@link HandleMeta} as JSON.
 * - an object: a {@link HandleMeta} whose args JSON would change. Goes as its own message.
 */
export type CallMeta = 0 | string | HandleMeta

/** The options of a handle call that the handler may ask for. Short keys: they travel with every such call. */
export interface HandleMeta {
  /** Endpoint; only on the way from a replica to its host. */
  readonly e?: string | undefined
  /** Name of the method to call. */
  readonly m?: string | undefined
  /** HTTP method. */
  readonly v?: string | undefined
  /** HTTP headers, as pairs. */
  readonly h?: readonly (readonly [string, string])[] | undefined
  /** Arguments: what a query string is over HTTP. */
  readonly a?: Readonly<Record<string, unknown>> | undefined
  /** Only on the way from a replica to its host: the head of a Request that was passed to a handle. */
  readonly r?: string | undefined
  /** Only on the way from a replica to its host: shard key. */
  readonly k?: string | undefined
  /** Only on the way from a replica to its host: milliseconds left for the call. */
  readonly t?: number | undefined
  /** Only on the way from a replica to its host: whether it may be run twice. */
  readonly i?: boolean | undefined
  /** Only on the way from a replica to its host: how far the call may travel. */
  readonly w?: 'node' | 'mesh' | undefined
}
