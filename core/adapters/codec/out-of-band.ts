import { ServeError } from '../../base/index.ts'
import { bad } from './check-msgpack.ts'

/**
 * Stands in the MessagePack part for what it cannot say: an object with this one key, whose value is `[kind, content]`. A user's object that has the
 * key itself travels as a list of entries.
 */
const MARK = '\u0000shoal'

/** Kinds 0 to 10 are views on a section, by their place here; content is the number of the section. */
const VIEWS = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const
const BUFFER = 11
const DATA_VIEW = 12
/** Content: `[key, value, ...]`. */
const MAP = 13
/** Content: `[key, value, ...]` of an object with a key that MessagePack text keys must not have here. */
const ENTRIES = 14
/** Something that came before; content is its number, counted from 0 in the order in which objects are met, depth first. */
const AGAIN = 15

/** Deepest nesting that is sent; what lies deeper could not be taken at the other side. */
export const MAX_DEPTH = 128

/** Kinds of objects that structured clone refuses as well. */
const REFUSED = /^\[object (?:Promise|WeakMap|WeakSet|WeakRef|Generator|AsyncGenerator|.*Iterator|SharedArrayBuffer)\]$/

/** True when the value holds something that MessagePack cannot say by itself, or one thing twice. Throws for what cannot travel at all. */
export function needsMarks(value: unknown, depth = 0, seen: Set<object> = new Set()): boolean {
  if (typeof value === 'function' || typeof value === 'symbol') throw cannotTravel(value)
  if (typeof value !== 'object' || value === null) return false
  if (seen.has(value)) return true
  if (depth > MAX_DEPTH) throw new ServeError('ERR_NOT_SERIALIZABLE', `a value is nested deeper than ${MAX_DEPTH} levels`)
  seen.add(value)
  if (Array.isArray(value)) return anyNeedsMarks(value, depth, seen)
  if (value instanceof Date || value instanceof RegExp) return false
  if (value instanceof Set) return anyNeedsMarks(value, depth, seen)
  if (value instanceof Error) return value.cause !== undefined && needsMarks(value.cause, depth + 1, seen)
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return true
  if (value instanceof Map) {
    anyNeedsMarks(value.keys(), depth, seen)
    anyNeedsMarks(value.values(), depth, seen)
    return true
  }
  if (isOfPlatform(value)) throw cannotTravel(value)
  const prototype = Object.getPrototypeOf(value)
  const isPlain = prototype === null || prototype === Object.prototype
  const keys = Object.keys(value)
  const isOdd = keys.includes(MARK) || keys.includes('__proto__')
  return anyNeedsMarks(Object.values(value), depth, seen) || !isPlain || isOdd
}

/** Visits every child, so that one that cannot travel is found wherever it is. */
function anyNeedsMarks(children: Iterable<unknown>, depth: number, seen: Set<object>): boolean {
  let any = false
  for (const child of children) if (needsMarks(child, depth + 1, seen)) any = true
  return any
}

/** A copy with marks instead of what MessagePack cannot say; the bytes of typed arrays are added to `sections`. */
export function withMarks(value: unknown, sections: Uint8Array[], numbers: Map<object, number> = new Map()): unknown {
  if (typeof value !== 'object' || value === null) return value
  const number = numbers.get(value)
  if (number !== undefined) return { [MARK]: [AGAIN, number] }
  numbers.set(value, numbers.size)
  const visit = (child: unknown): unknown => withMarks(child, sections, numbers)
  const section = (bytes: Uint8Array): number => sections.push(bytes) - 1
  if (Array.isArray(value)) return value.map(visit)
  if (value instanceof Date || value instanceof RegExp) return value
  if (value instanceof Set) return new Set([...value].map(visit))
  if (value instanceof Error) {
    const copy = new Error(value.message, value.cause === undefined ? undefined : { cause: visit(value.cause) })
    copy.name = value.name
    return copy
  }
  if (value instanceof ArrayBuffer) return { [MARK]: [BUFFER, section(new Uint8Array(value))] }
  if (ArrayBuffer.isView(value)) {
    const kind = value instanceof DataView ? DATA_VIEW : VIEWS.findIndex((View) => value instanceof View)
    if (kind < 0) throw cannotTravel(value)
    return { [MARK]: [kind, section(new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength))] }
  }
  if (value instanceof Map) return { [MARK]: [MAP, [...value].flat().map(visit)] }
  const entries = Object.entries(value)
  if (entries.some(([key]) => key === MARK || key === '__proto__')) return { [MARK]: [ENTRIES, entries.flat().map(visit)] }
  return Object.fromEntries(entries.map(([key, child]) => [key, visit(child)]))
}

/** The other way, in place where it can be. `sections` are aligned to 8 bytes. `met` are the objects met so far, by number. */
export function withoutMarks(value: unknown, sections: readonly Uint8Array[], met: unknown[] = []): unknown {
  if (typeof value !== 'object' || value === null) return value
  const mark = (value as Record<string, unknown>)[MARK]
  if (mark !== undefined && !Array.isArray(value)) return fromMark(mark, sections, met)
  met.push(value)
  const visit = (child: unknown): unknown => withoutMarks(child, sections, met)
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = visit(value[i])
  } else if (value instanceof Set) {
    const children = [...value]
    value.clear()
    for (const child of children) value.add(visit(child))
  } else if (value instanceof Error) {
    if (value.cause !== undefined) value.cause = visit(value.cause)
  } else {
    const object = value as Record<string, unknown>
    for (const key of Object.keys(object)) object[key] = visit(object[key])
  }
  return value
}

function fromMark(mark: unknown, sections: readonly Uint8Array[], met: unknown[]): unknown {
  if (!Array.isArray(mark) || mark.length !== 2) throw bad('a mark is malformed')
  const [kind, content] = mark as [number, unknown]
  if (kind === AGAIN) {
    if (typeof content !== 'number' || !(content in met)) throw bad(`there was no object ${String(content)} before`)
    return met[content]
  }
  if (kind === MAP || kind === ENTRIES) {
    if (!Array.isArray(content) || content.length % 2 !== 0) throw bad('the entries of a mark are malformed')
    return kind === MAP ? toMap(content, sections, met) : toObject(content, sections, met)
  }
  const section = sections[content as number]
  if (section === undefined) throw bad(`there is no section ${String(content)}`)
  const made = toView(kind, section)
  met.push(made)
  return made
}

function toView(kind: number, section: Uint8Array): unknown {
  const { buffer, byteOffset, byteLength } = section
  if (kind === BUFFER) return buffer.slice(byteOffset, byteOffset + byteLength)
  if (kind === DATA_VIEW) return new DataView(buffer, byteOffset, byteLength)
  const View = VIEWS[kind]
  if (View === undefined || byteLength % View.BYTES_PER_ELEMENT !== 0) throw bad(`${byteLength} bytes are no view of kind ${String(kind)}`)
  return new View(buffer as ArrayBuffer, byteOffset, byteLength / View.BYTES_PER_ELEMENT)
}

function toMap(content: readonly unknown[], sections: readonly Uint8Array[], met: unknown[]): Map<unknown, unknown> {
  const map = new Map<unknown, unknown>()
  met.push(map)
  for (let i = 0; i < content.length; i += 2) {
    const key = withoutMarks(content[i], sections, met)
    map.set(key, withoutMarks(content[i + 1], sections, met))
  }
  return map
}

function toObject(content: readonly unknown[], sections: readonly Uint8Array[], met: unknown[]): object {
  const object = {}
  met.push(object)
  for (let i = 0; i < content.length; i += 2) {
    const key = content[i]
    if (typeof key !== 'string') throw bad('a key is no text')
    // Defined, not assigned: an own `__proto__` is data like any other, and no prototype changes.
    const child = withoutMarks(content[i + 1], sections, met)
    Object.defineProperty(object, key, { value: child, enumerable: true, configurable: true, writable: true })
  }
  return object
}

/** What keeps its content where keys do not show it, such as a Blob or a boxed number: it would arrive as an empty object. */
function isOfPlatform(value: object): boolean {
  const kind = Object.prototype.toString.call(value)
  if (kind === '[object Object]') return false
  const made = (globalThis as Record<string, unknown>)[kind.slice(8, -1)]
  return REFUSED.test(kind) || (typeof made === 'function' && value instanceof made)
}

function cannotTravel(value: unknown): ServeError {
  const what = typeof value === 'function' ? 'a function' : typeof value === 'symbol' ? 'a symbol' : Object.prototype.toString.call(value)
  return new ServeError('ERR_NOT_SERIALIZABLE', `${what} cannot travel to another peer`)
}
