import { asBytes, bytesOf, textOf } from '../request/index.ts'

/** How the parts of a stream are written: one buffer or text for all parts that came together. */
export interface StreamForm {
  readonly contentType: string
  encode(chunks: readonly unknown[]): string | Uint8Array
}

/** The form of a stream: events where they were asked for; else by the first part: text, bytes, or lines of JSON. */
export function streamForm(accept: string | undefined, firstChunk: unknown): StreamForm {
  if (accept?.includes('text/event-stream')) return EVENTS
  if (typeof firstChunk === 'string') return TEXT
  return asBytes(firstChunk) === undefined ? JSON_LINES : BYTES
}

/** Texts and bytes as they are, other values as JSON and a line break. */
function encodePlain(chunks: readonly unknown[]): string | Uint8Array {
  if (chunks.length === 1) return plainPart(chunks[0])
  const parts = chunks.map(plainPart)
  return parts.every((part) => typeof part === 'string') ? parts.join('') : joinBytes(parts)
}

const plainPart = (chunk: unknown): string | Uint8Array => (typeof chunk === 'string' ? chunk : (asBytes(chunk) ?? `${toJson(chunk)}\n`))

const toJson = (value: unknown): string => JSON.stringify(value) ?? 'null'

function joinBytes(parts: readonly (string | Uint8Array)[]): Uint8Array {
  const pieces = parts.map((part) => (typeof part === 'string' ? bytesOf(part) : part))
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

/** One server-sent event; every line of the data gets a field of its own. */
export function toEvent(data: string, name?: string): string {
  const lines = data.split(/\r\n|\r|\n/)
  return `${name === undefined ? '' : `event: ${name}\n`}${lines.map((line) => `data: ${line}\n`).join('')}\n`
}

function eventData(chunk: unknown): string {
  if (typeof chunk === 'string') return chunk
  const bytes = asBytes(chunk)
  return bytes === undefined ? toJson(chunk) : textOf(bytes)
}

const TEXT: StreamForm = { contentType: 'text/plain; charset=utf-8', encode: encodePlain }
const BYTES: StreamForm = { contentType: 'application/octet-stream', encode: encodePlain }
const JSON_LINES: StreamForm = { contentType: 'application/x-ndjson', encode: encodePlain }
/** For a `Response` that says its own type: what it gives is written as it is. */
export const AS_GIVEN: StreamForm = BYTES
export const EVENTS: StreamForm = {
  contentType: 'text/event-stream',
  encode: (chunks) => chunks.map((chunk) => toEvent(eventData(chunk))).join(''),
}
