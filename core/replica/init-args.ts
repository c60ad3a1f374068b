import { ServeError } from '../base/index.ts'
import { isPlainObject, notSerializable } from '../request/index.ts'

/** Things with a life of their own that may stand in `initArgs` travel as a mark and are made alive again in the replica. */
export interface LivingArgument {
  /** The key of the codec, `handle` or `asset`. */
  readonly mark: string
  /** Plain data. */
  readonly data: unknown
}

/** How a living argument says what it is: a method under this symbol that gives its {@link LivingArgument}. */
export const TO_LIVING: unique symbol = Symbol.for('shoal.toLivingArgument') as never

const MARK = '\u0000shoal'
const MAX_DEPTH = 16

/** Replaces handles and assets, however deep in plain objects and arrays, by marks; the rest stays. `ERR_NOT_SERIALIZABLE` for what cannot travel. */
export function encodeInitArgs(backend: string, initArgs: readonly unknown[]): readonly unknown[] {
  const encoded = initArgs.map((value) => encode(value, 0))
  encoded.forEach((value, index) => {
    try {
      structuredClone(value)
    } catch (cause) {
      throw notSerializable(value, `backend ${backend}: initArgs[${index}]`, cause)
    }
  })
  return encoded
}

/** The other way, inside the replica. `revive` knows the marks. */
export function decodeInitArgs(initArgs: readonly unknown[], revive: (argument: LivingArgument) => unknown): unknown[] {
  return initArgs.map((value) => decode(value, revive, 0))
}

function encode(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' && typeof value !== 'function') return value
  if (value === null) return value
  const toLiving = (value as { [TO_LIVING]?: () => LivingArgument })[TO_LIVING]
  if (typeof toLiving === 'function') {
    const { mark, data } = toLiving.call(value)
    return { [MARK]: mark, data }
  }
  if (depth > MAX_DEPTH) throw new ServeError('ERR_NOT_SERIALIZABLE', `initArgs are nested deeper than ${MAX_DEPTH} levels`)
  if (Array.isArray(value)) return value.map((child) => encode(child, depth + 1))
  if (isPlainObject(value)) return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, encode(child, depth + 1)]))
  return value
}

function decode(value: unknown, revive: (argument: LivingArgument) => unknown, depth: number): unknown {
  if (depth > MAX_DEPTH || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((child) => decode(child, revive, depth + 1))
  if (!isPlainObject(value)) return value
  const mark = value[MARK]
  if (typeof mark === 'string') return revive({ mark, data: value.data })
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, decode(child, revive, depth + 1)]))
}
