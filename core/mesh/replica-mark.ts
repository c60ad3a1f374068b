import type { ReplicaSpec } from '../replica/index.ts'

/**
 * What makes two replicas the same code, as text: equal for equal specs, whichever process made them and however they travelled since. Limits,
 * `userConfig` and the limits of JSON are left out: they can change while a replica runs.
 */
export function markText({ backend, code, initArgs, env, memoryLimitBytes }: ReplicaSpec, isolation: string): string {
  return sameText([backend, isolation, codeText(code), initArgs, env, memoryLimitBytes])
}

function codeText(code: ReplicaSpec['code']): unknown {
  if (code.kind !== 'module' || code.bundle === undefined) return code
  const { bundle, exportName } = code
  return [exportName, bundle.digest, bundle.files.map(({ name, digest }) => [name, digest])]
}

/** Data as text: equal for equal data, whatever the order of keys. A missing value and an undefined one are the same. */
export function sameText(value: unknown): string {
  return textOf(value, [])
}

function textOf(value: unknown, above: readonly object[]): string {
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? typeof value
  const depth = above.indexOf(value)
  if (depth >= 0) return `^${depth}`
  const path = [...above, value]
  const inner = (part: unknown): string => textOf(part, path)
  if (Array.isArray(value)) return `[${value.map(inner).join()}]`
  if (value instanceof Date) return `Date(${value.getTime()})`
  if (value instanceof RegExp) return `RegExp(${JSON.stringify(String(value))})`
  if (value instanceof Map) return `Map(${[...value].map((pair) => inner(pair)).join()})`
  if (value instanceof Set) return `Set(${[...value].map(inner).join()})`
  if (value instanceof Error) return `${value.name}(${JSON.stringify(value.message)})`
  if (value instanceof ArrayBuffer) return `ArrayBuffer(${bytesText(new Uint8Array(value))})`
  if (ArrayBuffer.isView(value)) {
    const kind = Object.prototype.toString.call(value).slice(8, -1)
    return `${kind}(${bytesText(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))})`
  }
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  fields.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${inner(field)}`).join()}}`
}

/** Length and four words that depend on every byte: FNV-1a (Fowler, Noll, Vo; public domain) from four beginnings. */
function bytesText(bytes: Uint8Array): string {
  let [a, b, c, d] = [0x811c9dc5, 0x9e3779b1, 0x85ebca6b, 0xc2b2ae35]
  for (const byte of bytes) {
    a = Math.imul(a ^ byte, 0x01000193)
    b = Math.imul(b ^ byte, 0x01000193) ^ (b >>> 15)
    c = Math.imul(c ^ byte, 0x01000193) ^ (c >>> 13)
    d = Math.imul(d ^ byte, 0x01000193) ^ (d >>> 11)
  }
  return [bytes.byteLength, ...[a, b, c, d].map((word) => (word >>> 0).toString(16))].join('.')
}
