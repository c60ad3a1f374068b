import { ServeError } from '../base/index.ts'
import { isPlainObject, notSerializable } from '../request/index.ts'
import { type LivingArgument, TO_LIVING } from './living-argument.ts'

export const MARK = '\u0000shoal'
const MAX_DEPTH = 1_000

/** Replaces handles and assets, however deep in plain objects and arrays, by marks; the rest stays. `ERR_NOT_SERIALIZABLE` for what cannot travel. */
export function encodeInitArgs(backend: string, initArgs: readonly unknown[]): readonly unknown[] {
  const encoded = initArgs.map((value) => mapParts(value, toMark))
  encoded.forEach((value, index) => {
    try {
      structuredClone(value)
    } catch (cause) {
      throw notSerializable(value, `backend ${backend}: initArgs[${index}]`, cause)
    }
  })
  return encoded
}

/** A copy with every part replaced that `replace` has something for; what holds no such part comes back itself, with all it shares and all its cycles. */
export function mapParts(value: unknown, replace: (part: object) => unknown): unknown {
  if (!holdsPart(value, replace, new Set(), 0)) return value
  const copies = new Map<unknown, unknown>()
  const copy = (part: unknown): unknown => {
    if (typeof part !== 'object' && typeof part !== 'function') return part
    if (part === null) return part
    if (copies.has(part)) return copies.get(part)
    const replaced = replace(part)
    if (replaced !== undefined || !(Array.isArray(part) || isPlainObject(part))) return replaced ?? part
    const made: Record<string, unknown> = Array.isArray(part)
      ? (new Array(part.length) as never)
      : (Object.create(Object.getPrototypeOf(part) as object | null) as Record<string, unknown>)
    copies.set(part, made)
    for (const [key, child] of Object.entries(part)) {
      Object.defineProperty(made, key, { value: copy(child), writable: true, enumerable: true, configurable: true })
    }
    return made
  }
  return copy(value)
}

function holdsPart(value: unknown, replace: (part: object) => unknown, seen: Set<unknown>, depth: number): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) return false
  if (depth > MAX_DEPTH) throw new ServeError('ERR_NOT_SERIALIZABLE', `initArgs are nested deeper than ${MAX_DEPTH} levels`)
  if (replace(value) !== undefined) return true
  seen.add(value)
  if (!Array.isArray(value) && !isPlainObject(value)) return false
  return Object.values(value).some((child) => holdsPart(child, replace, seen, depth + 1))
}

function toMark(part: object): unknown {
  const toLiving = (part as { [TO_LIVING]?: () => LivingArgument })[TO_LIVING]
  if (typeof toLiving !== 'function') return undefined
  const { mark, data } = toLiving.call(part)
  return { [MARK]: mark, data }
}
