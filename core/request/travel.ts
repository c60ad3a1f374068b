import { canClone, ServeError } from '../base/index.ts'

/** True for what may share a message with others: structured clone gives it no identity. Symbols and functions are excluded, they do not travel. */
export function isPrimitive(value: unknown): boolean {
  return value === null || (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol')
}

/** Rough size of a payload in bytes, for queue limits: exact for text and buffers at the top, 0 for other primitives, a guess for objects. */
export function roughSizeBytes(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 0
  try {
    return roughObjectSize(value, 0)
  } catch {
    // A getter threw. Cloning will say so where the call can be failed with it.
    return 0
  }
}

function roughObjectSize(value: object, depth: number): number {
  const isList = Array.isArray(value)
  if (!isList && !isPlainObject(value)) return ArrayBuffer.isView(value) || value instanceof ArrayBuffer ? value.byteLength : 16
  if (depth > 3) return 8
  let size = 16
  let count = 0
  if (isList) {
    count = value.length
    for (let i = 0; i < count && i < 32; i++) size += roughChildSize(value[i], depth)
  } else {
    // A list of the values would cost more than all of the rest, and more again when the object is cloned.
    for (const key in value) if (count++ < 32) size += roughChildSize(value[key], depth)
  }
  return count > 32 ? Math.round((size * count) / 32) : size
}

const roughChildSize = (child: unknown, depth: number): number =>
  typeof child === 'string' ? child.length : typeof child === 'object' && child !== null ? roughObjectSize(child, depth + 1) : 8

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null
}

/** A value that refuses to travel, with the path to what holds it up. */
export function notSerializable(value: unknown, path: string, cause: unknown): ServeError {
  const culprit = culpritOf(value, path, cause) ?? uncloneablePath(value, path)
  const isClientItself = isClient(culprit.value)
  const why = isClientItself
    ? 'a client, which cannot travel: call connect() there, or pass a handle in initArgs'
    : isLiving(culprit.value)
      ? 'a handle, which travels in initArgs only, in plain objects and arrays'
      : `${nameOf(culprit.value)}, which cannot travel to another thread or peer`
  return new ServeError(isClientItself ? 'ERR_CLIENT_NOT_SERIALIZABLE' : 'ERR_NOT_SERIALIZABLE', `${culprit.path} is ${why}`, {
    cause,
    details: { path: culprit.path },
  })
}

const CLIENT_BRAND = Symbol.for('shoal.Client')
const isClient = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[CLIENT_BRAND] === true

const LIVING = Symbol.for('shoal.toLivingArgument')
const isLiving = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && typeof (value as Record<symbol, unknown>)[LIVING] === 'function'

/** The place of the object that whoever was to send the value has named, where it has named one. */
function culpritOf(value: unknown, path: string, cause: unknown): { path: string; value: unknown } | undefined {
  const named = (cause as { readonly culprit?: unknown } | undefined)?.culprit
  const place = named === undefined ? undefined : pathTo(value, named, path, new Set())
  return place === undefined ? undefined : { path: place, value: named }
}

function pathTo(value: unknown, wanted: unknown, path: string, seen: Set<unknown>): string | undefined {
  if (value === wanted) return path
  if (typeof value !== 'object' || value === null || seen.has(value)) return undefined
  seen.add(value)
  for (const [key, child] of childrenOf(value)) {
    const found = pathTo(child, wanted, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`, seen)
    if (found !== undefined) return found
  }
  return undefined
}

/** The shallowest-first place whose own content cannot be cloned. */
function uncloneablePath(value: unknown, path: string, depth: number = 0): { path: string; value: unknown } {
  if (isClient(value) || isLiving(value)) return { path, value }
  if (depth < 32 && typeof value === 'object' && value !== null) {
    for (const [key, child] of childrenOf(value)) {
      if (!canClone(child) || isClient(child))
        return uncloneablePath(child, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`, depth + 1)
    }
  }
  return { path, value }
}

function childrenOf(value: object): [string, unknown][] {
  if (value instanceof Map) return [...value].map(([key, child]) => [String(key), child])
  if (value instanceof Set) return [...value].map((child, index) => [String(index), child])
  return keysOf(value).map((key) => {
    try {
      return [key, (value as Record<string, unknown>)[key]]
    } catch {
      return [key, THROWING_GETTER]
    }
  })
}

/** None for a proxy that does not show them. */
function keysOf(value: object): string[] {
  try {
    return Object.keys(value)
  } catch {
    return []
  }
}

/** Stands for what a getter would not give. */
const THROWING_GETTER = (): void => {}

function nameOf(value: unknown): string {
  const buffer = ArrayBuffer.isView(value) ? value.buffer : value
  if (buffer instanceof ArrayBuffer && (buffer as ArrayBuffer & { readonly detached?: boolean }).detached === true) {
    return 'a buffer that was moved away before (a result is moved, not copied: return a copy of what you keep)'
  }
  if (value === THROWING_GETTER) return 'a getter that throws'
  if (typeof value === 'function') return value.name === '' ? 'a function' : `the function ${value.name}`
  if (typeof value === 'symbol') return String(value)
  if (typeof value === 'object' && value !== null) {
    const tag = Object.prototype.toString.call(value).slice(8, -1)
    const name = tag === 'Object' ? value.constructor?.name || 'object' : tag
    return `${/^[aeio]/i.test(name) ? 'an' : 'a'} ${name}`
  }
  return String(value)
}
