/** What V8's own serializer carries; between threads structured clone carries objects of the platform too. */
const CARRIED: ReadonlySet<string> = new Set([
  'Object',
  'Array',
  'Map',
  'Set',
  'Date',
  'RegExp',
  'Error',
  'DOMException',
  'Boolean',
  'Number',
  'String',
  'BigInt',
  'ArrayBuffer',
  'SharedArrayBuffer',
])

/**
 * Throws for a value that holds an object of the platform, such as a Blob or an URL: the serializer between processes would make a plain object of it
 * without a word, and break over a module of WebAssembly. The error has that object as `culprit`, for who looks for the path to it. Walks the value
 * once; the insides of buffers are not looked at.
 */
export function refuseForeign(value: unknown): void {
  const culprit = foreignIn(value, new Set())
  if (culprit === undefined) return
  const message = `${Object.prototype.toString.call(culprit)} cannot travel to another process`
  // Not enumerable: an error that travels takes its own data along, and this would hold it up again.
  throw Object.defineProperty(new TypeError(message), 'culprit', { value: culprit })
}

function foreignIn(value: unknown, seen: Set<object>): object | undefined {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || seen.has(value)) return undefined
  seen.add(value)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null && isForeign(value)) return value
  for (const child of partsOf(value)) {
    const culprit = typeof child === 'object' ? foreignIn(child, seen) : undefined
    if (culprit !== undefined) return culprit
  }
  return undefined
}

function isForeign(value: object): boolean {
  const tag = Object.prototype.toString.call(value).slice(8, -1)
  if (CARRIED.has(tag)) return false
  if (tag.startsWith('WebAssembly.')) return true
  const Kind = (globalThis as Record<string, unknown>)[tag]
  return typeof Kind === 'function' && value instanceof (Kind as new () => object)
}

function partsOf(value: object): Iterable<unknown> {
  if (Array.isArray(value)) return value
  if (value instanceof Map) return [...value].flat()
  if (value instanceof Set) return value
  if (value instanceof Error) return [value.cause, ...Object.values(value)]
  return Object.values(value)
}
