import { isRecord } from './field-rules.ts'

/** Deepest nesting that is followed one call per level. */
const MAX_DEPTH = 1_000

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
