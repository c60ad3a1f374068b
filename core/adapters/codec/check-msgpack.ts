import { ServeError } from '../../base/index.ts'

/** What bytes from a peer may ask for before anything is built from them. */
export interface MsgpackLimits {
  /** Deepest nesting of containers. */
  readonly maxDepth: number
  /** Most values, keys included, in one message. */
  readonly maxValues: number
}

/** Extension types that carry one more value behind them: Error, Set, RegExp. */
const WRAPPING: ReadonlySet<number> = new Set([0x65, 0x73, 0x78])
/** Those that stand alone: undefined, a big integer, a date. */
const PLAIN: ReadonlySet<number> = new Set([0x00, 0x42, 0xff])
/** A big integer takes time that grows with the square of its length. */
const MAX_BIGINT_BYTES = 4_096

/** `__proto__` in ASCII. */
const PROTO = [0x5f, 0x5f, 0x70, 0x72, 0x6f, 0x74, 0x6f, 0x5f, 0x5f] as const

/**
 * Walks MessagePack without building anything: every length lies within the bytes, nesting and number of values within the limits, keys are text and
 * none is `__proto__`, extensions are of the few kinds that Shoal writes. Throws `ERR_BAD_REQUEST` otherwise. It must use up the bytes exactly.
 */
export function checkMsgpack(bytes: Uint8Array, limits: MsgpackLimits): void {
  new Walk(bytes, limits).run()
}

class Walk {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #limits: MsgpackLimits
  #at = 0
  #values = 0

  constructor(bytes: Uint8Array, limits: MsgpackLimits) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#limits = limits
  }

  run(): void {
    this.#value(0)
    if (this.#at !== this.#bytes.byteLength) throw bad(`${this.#bytes.byteLength - this.#at} bytes follow the message`)
  }

  #value(depth: number): void {
    if (depth > this.#limits.maxDepth) throw bad(`nested deeper than ${this.#limits.maxDepth} levels`)
    if (++this.#values > this.#limits.maxValues) throw bad(`more than ${this.#limits.maxValues} values`)
    const token = this.#byte()
    if (token < 0x80 || token >= 0xe0) return
    if (token < 0x90) return this.#map(token & 0x0f, depth)
    if (token < 0xa0) return this.#array(token & 0x0f, depth)
    if (token < 0xc0) return this.#skip(token & 0x1f)
    switch (token) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        return
      case 0xd9:
        return this.#skip(this.#byte())
      case 0xda:
        return this.#skip(this.#u16())
      case 0xdb:
        return this.#skip(this.#u32())
      case 0xcc:
      case 0xd0:
        return this.#skip(1)
      case 0xcd:
      case 0xd1:
        return this.#skip(2)
      case 0xca:
      case 0xce:
      case 0xd2:
        return this.#skip(4)
      case 0xcb:
      case 0xcf:
      case 0xd3:
        return this.#skip(8)
      case 0xdc:
        return this.#array(this.#u16(), depth)
      case 0xdd:
        return this.#array(this.#u32(), depth)
      case 0xde:
        return this.#map(this.#u16(), depth)
      case 0xdf:
        return this.#map(this.#u32(), depth)
      case 0xc7:
        return this.#extension(this.#byte(), depth)
      case 0xc8:
        return this.#extension(this.#u16(), depth)
      case 0xc9:
        return this.#extension(this.#u32(), depth)
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(1 << (token - 0xd4), depth)
      default:
        throw bad(`byte 0x${token.toString(16)} begins no value`)
    }
  }

  #array(length: number, depth: number): void {
    this.#fits(length)
    for (let i = 0; i < length; i++) this.#value(depth + 1)
  }

  #map(length: number, depth: number): void {
    this.#fits(length * 2)
    for (let i = 0; i < length; i++) {
      this.#key()
      this.#value(depth + 1)
    }
  }

  #key(): void {
    if (++this.#values > this.#limits.maxValues) throw bad(`more than ${this.#limits.maxValues} values`)
    const token = this.#byte()
    const length =
      token >= 0xa0 && token < 0xc0
        ? token & 0x1f
        : token === 0xd9
          ? this.#byte()
          : token === 0xda
            ? this.#u16()
            : token === 0xdb
              ? this.#u32()
              : -1
    if (length < 0) throw bad('a key is no text')
    const from = this.#at
    this.#skip(length)
    if (length === PROTO.length && PROTO.every((byte, i) => this.#bytes[from + i] === byte)) throw bad('a key is __proto__')
  }

  #extension(length: number, depth: number): void {
    const type = this.#byte()
    this.#skip(length)
    if (WRAPPING.has(type)) return this.#value(depth + 1)
    if (!PLAIN.has(type) || (type === 0x42 && (length === 0 || length > MAX_BIGINT_BYTES))) {
      throw bad(`extension 0x${type.toString(16)} of ${length} bytes is not taken`)
    }
  }

  /** Each value takes a byte at least: more of them than there are bytes left cannot be true. */
  #fits(values: number): void {
    if (values > this.#bytes.byteLength - this.#at)
      throw bad(`${values} values were announced in ${this.#bytes.byteLength - this.#at} bytes`)
  }

  #skip(length: number): void {
    if (length > this.#bytes.byteLength - this.#at)
      throw bad(`${length} bytes were announced, ${this.#bytes.byteLength - this.#at} are left`)
    this.#at += length
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw bad('the message ends within a value')
    return byte
  }

  #u16(): number {
    this.#skip(2)
    return this.#view.getUint16(this.#at - 2)
  }

  #u32(): number {
    this.#skip(4)
    return this.#view.getUint32(this.#at - 4)
  }
}

export const bad = (why: string, cause?: unknown): ServeError =>
  new ServeError('ERR_BAD_REQUEST', `a message from a peer is malformed: ${why}`, { cause })
