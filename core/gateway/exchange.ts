import type { ServeError } from '../base/index.ts'
import type { RawBody } from '../request/index.ts'
import type { Upload } from '../service/index.ts'

/**
 * One HTTP request and the way to its answer: all that the gateway knows of a transport. Either `respond` is called, once, or `open` and then
 * `write`s and `end` or `abort`. After the client is gone all of them do nothing.
 */
export interface Exchange {
  /** As it came: upper-case by custom only. */
  readonly method: string
  /** What stood on the request line: path and query, or an absolute URL. */
  readonly target: string
  readonly scheme: 'http' | 'https'
  /** Names and values in turn, as they came; no line breaks in them. */
  readonly rawHeaders: readonly string[]
  /** Length of the body where the transport knows it better than the headers: 0 without one, -1 when it is unknown. */
  readonly bodyBytes: number | undefined
  /** Host and port where whoever hands in the request is trusted to say them; the check of the `Host` header is left out then. */
  readonly authority: string | undefined
  /** The `Access-Control-Allow-Origin` that a middleware outside has already set. */
  readonly allowedOrigin: string | undefined
  /** True when the client is a process of this machine, as far as the transport can tell. */
  isLocal(): boolean
  /**
   * Reads the whole body if it is small, else opens it; only called for a request that has one. Never called back once the client is gone. What of
   * an open body is not read when the answer is complete, the exchange throws away.
   */
  readBody(limits: BodyLimits, done: BodyReader): void
  /** A whole answer. `content-length` is added here; it is among the headers only for a HEAD request whose length the handler gave. */
  respond(status: number, headers: string[], body: string | Uint8Array | undefined): void
  /** The head of an answer in parts. */
  open(status: number, headers: string[]): void
  /** One part. A promise asks the writer to wait for it: the client has to catch up. It resolves as well when the client goes away. */
  write(chunk: string | Uint8Array): Promise<void> | undefined
  end(): void
  /** Breaks an answer off after what was written, so that the client cannot take it for a whole one. */
  abort(): void
  /** Told once, if the client goes away before the answer is complete. */
  onGone(listener: GoneListener): void
}

export interface BodyLimits {
  /** Length as the request tells it; -1 when unknown. No more than `maxBytes`. */
  readonly knownBytes: number
  /** Up to here a body is read whole. No more than `maxBytes`. */
  readonly bufferBytes: number
  readonly maxBytes: number
}

/** Takes a body, whole or to be streamed in, or the reason why there is none: `ERR_PAYLOAD_TOO_LARGE`, `ERR_BAD_REQUEST`. */
export type BodyReader = (error: ServeError | undefined, body: RawBody, upload?: Upload) => void

export interface GoneListener {
  gone(): void
}
