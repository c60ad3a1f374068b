import { isServeError, ServeError } from '../base/index.ts'
import { isRecord } from './field-rules.ts'

/** Deepest nesting that is followed one call per level. */
const MAX_DEPTH = 1_000

/**
 * A structured clone whose plain objects and arrays are frozen to the bottom; buffers, Maps and Sets inside stay as they are. Throws
 * `ERR_NOT_SERIALIZABLE` naming the path of what cannot be cloned, with `path` as its first part.
 */
export function cloneFrozen(value: unknown, path: string): unknown {
  try {
    return deepFreeze(structuredClone(value))
  } catch (error) {
    if (isServeError(error)) throw error
    const culprit = pathOfCulprit(value, path, new Set()) ?? path
    throw new ServeError('ERR_NOT_SERIALIZABLE', `${culprit} cannot be cloned: ${(error as Error).message}`, {
      cause: error,
      details: { path: culprit },
    })
  }
}

/** With a stack of its own: data may be nested deeper than calls. */
function deepFreeze(root: unknown): unknown {
  const pending: unknown[] = [root]
  while (pending.length > 0) {
    const value = pending.pop()
    if (!(Array.isArray(value) || isRecord(value)) || Object.isFrozen(value)) continue
    Object.freeze(value)
    for (const member of Object.values(value)) pending.push(member)
  }
  return root
}

/** First member that a clone refuses by its kind, as deep as is worth a look. */
function pathOfCulprit(value: unknown, path: string, seen: Set<unknown>, depth = 0): string | undefined {
  if (typeof value === 'function' || typeof value === 'symbol') return path
  if (typeof value !== 'object' || value === null || seen.has(value) || depth > MAX_DEPTH) return undefined
  seen.add(value)
  if (!Array.isArray(value) && !isRecord(value)) return isCloneable(value) ? undefined : path
  for (const [key, member] of Object.entries(value)) {
    const culprit = pathOfCulprit(member, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`, seen, depth + 1)
    if (culprit !== undefined) return culprit
  }
  return undefined
}

function isCloneable(value: object): boolean {
  try {
    structuredClone(value)
    return true
  } catch {
    return false
  }
}

/**
 * True when two values are the same data: plain objects (in any order of keys) and arrays by their members, Maps and Sets in their order, dates
 * and buffers by content, all else by `Object.is`. What is nested deeper than 1,000 levels counts as different.
 */
export function sameData(a: unknown, b: unknown): boolean {
  return same(a, b, new Map(), 0)
}

/** `open` holds the pairs under comparison: met again, a pair closes a cycle. */
function same(a: unknown, b: unknown, open: Map<object, object>, depth: number): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || depth > MAX_DEPTH) return false
  if (open.get(a) === b) return true
  open.set(a, b)
  if (Array.isArray(a)) return Array.isArray(b) && sameSequence(a, b, open, depth)
  if (isRecord(a)) return isRecord(b) && sameRecord(a, b, open, depth)
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false
  if (a instanceof Map || a instanceof Set) return sameSequence([...a], [...(b as Iterable<unknown>)], open, depth)
  if (a instanceof ArrayBuffer) return sameBytes(new Uint8Array(a), new Uint8Array(b as ArrayBuffer))
  if (ArrayBuffer.isView(a)) return sameBytes(bytesOf(a), bytesOf(b as ArrayBufferView))
  const primitive: unknown = a.valueOf()
  return typeof primitive !== 'object' && Object.is(primitive, b.valueOf())
}

type Named = Readonly<Record<string, unknown>>

function sameRecord(a: Named, b: Named, open: Map<object, object>, depth: number): boolean {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key], open, depth + 1))
}

function sameSequence(a: readonly unknown[], b: readonly unknown[], open: Map<object, object>, depth: number): boolean {
  return a.length === b.length && a.every((member, i) => same(member, b[i], open, depth + 1))
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}
