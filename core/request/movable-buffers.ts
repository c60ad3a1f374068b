import { isPlainObject } from './travel.ts'

/** How deep a result is searched for buffers to move. */
const MOVE_DEPTH = 3

/**
 * The buffers of a result that can be moved instead of copied: whole ones, at the top or up to three levels inside plain objects and arrays. A
 * view on a part of a buffer stays a copy, for the rest of the buffer may belong to someone else.
 */
export function movableBuffers(value: unknown, depth: number = 0, found: ArrayBuffer[] = []): ArrayBuffer[] {
  if (typeof value !== 'object' || value === null) return found
  if (value instanceof ArrayBuffer) {
    if (!found.includes(value)) found.push(value)
  } else if (ArrayBuffer.isView(value)) {
    const buffer = value.buffer
    if (buffer instanceof ArrayBuffer && buffer.byteLength === value.byteLength && value.byteLength > 0 && !found.includes(buffer))
      found.push(buffer)
  } else if (depth < MOVE_DEPTH && (Array.isArray(value) || isPlainObject(value))) {
    for (const child of Array.isArray(value) ? (value.length > 64 ? [] : value) : Object.values(value))
      movableBuffers(child, depth + 1, found)
  }
  return found
}
