import { isPlainObject } from './travel.ts'

/** How deep a result is searched for buffers to move. */
const MOVE_DEPTH = 3
/** A longer list is not searched. */
const MOVE_LENGTH = 64

/**
 * The buffers of a result that can be moved instead of copied: whole ones, at the top or up to three levels inside plain objects and arrays. A
 * view on a part of a buffer stays a copy, for the rest of the buffer may belong to someone else.
 */
export function movableBuffers(value: unknown): ArrayBuffer[] {
  const found: ArrayBuffer[] = []
  if (typeof value === 'object' && value !== null) search(value, 0, found)
  return found
}

function search(value: object, depth: number, found: ArrayBuffer[]): void {
  if (Array.isArray(value)) {
    if (depth === MOVE_DEPTH || value.length > MOVE_LENGTH) return
    for (const child of value) if (typeof child === 'object' && child !== null) search(child, depth + 1, found)
  } else if (isPlainObject(value)) {
    if (depth === MOVE_DEPTH) return
    for (const key of Object.keys(value)) {
      const child = value[key]
      if (typeof child === 'object' && child !== null) search(child, depth + 1, found)
    }
  } else {
    const buffer = ArrayBuffer.isView(value) ? value.buffer : value
    if (!(buffer instanceof ArrayBuffer) || found.includes(buffer)) return
    if (buffer === value || ((value as ArrayBufferView).byteLength === buffer.byteLength && buffer.byteLength > 0)) found.push(buffer)
  }
}
