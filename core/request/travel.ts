import { ServeError } from '../base/index.ts'

/** True for what may share a message with others: structured clone gives it no identity. Symbols and functions are excluded, they do not travel. */
export function isPrimitive(value: unknown): boolean {
  return value === null || (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol')
}

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

/** Rough size of a payload in bytes, for queue limits: exact for text and buffers at the top, 0 for other primitives, a guess for objects. */
export function roughSizeBytes(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 0
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength
  return roughObjectSize(value, 0)
}

function roughObjectSize(value: object, depth: number): number {
  let size = 16
  const children = Array.isArray(value) ? value : isPlainObject(value) ? Object.values(value) : []
  const counted = Math.min(children.length, 32)
  for (let i = 0; i < counted; i++) {
    const child = children[i]
    if (typeof child === 'string') size += child.length
    else if (ArrayBuffer.isView(child) || child instanceof ArrayBuffer) size += child.byteLength
    else if (typeof child === 'object' && child !== null && depth < 3) size += roughObjectSize(child, depth + 1)
    else size += 8
  }
  return counted === 0 ? size : Math.round((size * children.length) / counted)
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null
}

/** A value that refuses to travel, with the path to what holds it up. */
export function notSerializable(value: unknown, path: string, cause: unknown): ServeError {
  const culprit = uncloneablePath(value, path)
  const client = culprit.value !== undefined && isClient(culprit.value)
  return client
    ? new ServeError(
        'ERR_CLIENT_NOT_SERIALIZABLE',
        `${culprit.path} is a client, which cannot travel: call connect() there, or pass a handle in initArgs`,
        { cause, details: { path: culprit.path } },
      )
    : new ServeError('ERR_NOT_SERIALIZABLE', `${culprit.path} is ${nameOf(culprit.value)}, which cannot travel to another thread or peer`, {
        cause,
        details: { path: culprit.path },
      })
}

const CLIENT_BRAND = Symbol.for('shoal.Client')
const isClient = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[CLIENT_BRAND] === true

/** The shallowest-first place whose own content cannot be cloned. */
function uncloneablePath(value: unknown, path: string, depth: number = 0): { path: string; value: unknown } {
  if (isClient(value)) return { path, value }
  if (depth < 32 && typeof value === 'object' && value !== null) {
    for (const [key, child] of childrenOf(value)) {
      if (!clones(child)) return uncloneablePath(child, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`, depth + 1)
    }
  }
  return { path, value }
}

function childrenOf(value: object): [string, unknown][] {
  if (value instanceof Map) return [...value].map(([key, child]) => [String(key), child])
  if (value instanceof Set) return [...value].map((child, index) => [String(index), child])
  try {
    return Object.entries(value)
  } catch {
    return []
  }
}

function clones(value: unknown): boolean {
  if (typeof value === 'function' || typeof value === 'symbol') return false
  if (typeof value !== 'object' || value === null) return true
  try {
    structuredClone(value)
    return !isClient(value)
  } catch {
    return false
  }
}

function nameOf(value: unknown): string {
  const buffer = ArrayBuffer.isView(value) ? value.buffer : value
  if (buffer instanceof ArrayBuffer && (buffer as ArrayBuffer & { readonly detached?: boolean }).detached === true) {
    return 'a buffer that was moved away before (a result is moved, not copied: return a copy of what you keep)'
  }
  if (typeof value === 'function') return value.name === '' ? 'a function' : `the function ${value.name}`
  if (typeof value === 'symbol') return String(value)
  if (typeof value === 'object' && value !== null) return `a ${value.constructor?.name ?? 'object'}`
  return String(value)
}
