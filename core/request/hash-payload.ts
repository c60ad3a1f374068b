import { asBytes } from './bytes.ts'
import { isPlainObject } from './travel.ts'

/** Deepest nesting and most parts of a value that is hashed. */
const MAX_DEPTH = 32
const MAX_PARTS = 10_000

/**
 * A hash of 64 bits as text, the same for values that are alike; undefined for what is empty and for values with parts of a class of their own.
 * Two lanes of 32 bits, multiplied and folded. Not made to withstand somebody who looks for two values of one hash.
 */
export function hashPayload(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '' || asBytes(value)?.byteLength === 0) return undefined
  const hash = new Hash()
  return hash.add(value, 0) ? hash.text : undefined
}

class Hash {
  #a = 0x9e3779b9
  #b = 0x85ebca6b
  #parts = 0

  get text(): string {
    return (this.#a >>> 0).toString(36) + (this.#b >>> 0).toString(36).padStart(7, '0')
  }

  /** False when the value, or something in it, cannot be hashed. */
  add(value: unknown, depth: number): boolean {
    if (++this.#parts > MAX_PARTS || depth > MAX_DEPTH) return false
    if (typeof value === 'string') return this.#addText('s', value)
    if (typeof value !== 'object' || value === null) {
      return typeof value !== 'function' && typeof value !== 'symbol' && this.#addText(typeof value, String(value))
    }
    const bytes = asBytes(value)
    if (bytes !== undefined) return this.#addBytes(bytes)
    if (Array.isArray(value)) return this.#addText('a', String(value.length)) && value.every((child) => this.add(child, depth + 1))
    if (value instanceof Map || value instanceof Set) return this.#addText('m', '') && this.add([...value], depth + 1)
    if (!isPlainObject(value)) return false
    return this.#addText('o', '') && Object.entries(value).every(([key, child]) => this.#addText('k', key) && this.add(child, depth + 1))
  }

  #addText(kind: string, text: string): true {
    this.#mix(kind.charCodeAt(0))
    this.#mix(text.length)
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i))
    return true
  }

  #addBytes(bytes: Uint8Array): true {
    this.#mix(0x62)
    this.#mix(bytes.length)
    for (const byte of bytes) this.#mix(byte)
    return true
  }

  #mix(unit: number): void {
    this.#a = Math.imul(this.#a ^ unit, 0x01000193)
    this.#b = Math.imul(this.#b + unit + (this.#a >>> 15), 0x5bd1e995)
  }
}
