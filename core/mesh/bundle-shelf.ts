import type { BlobRef } from '../replica/index.ts'

/** SHA-256 of bytes in 64 hexadecimal digits; the platform's. */
export type Sha256 = (bytes: Uint8Array) => Promise<string>

/** Where the bytes of a {@link BundleStore} lie. It is told of verified bytes only, and keeps no count of them. */
export interface BundleShelf {
  put(digest: string, bytes: Uint8Array): Promise<void>
  /**
   * Takes bytes of which nobody knows yet what they are, and keeps them under `digest` if that is their digest, else not at all. Never more than
   * `mostBytes` are taken in. @returns what they are
   */
  receive(digest: string, parts: AsyncIterable<Uint8Array>, mostBytes: number): Promise<Received>
  /** The bytes from `start` up to, but without, `end`. */
  read(digest: string, start: number, end: number): Promise<Uint8Array>
  /** An URL under which replicas of this node can import it, or read it, until it is removed; with `beside` under their names in the same folder. */
  locate(blob: BlobRef, beside: readonly BlobRef[]): Promise<string>
  remove(digest: string): Promise<void>
  /** Gives back what it took. Calling it again does nothing. */
  close(): Promise<void>
}

/** What bytes turned out to be. */
export interface Received {
  readonly digest: string
  readonly bytes: number
}

/** A shelf in memory. */
export class MemoryBundleShelf implements BundleShelf {
  readonly #bytes = new Map<string, Uint8Array>()
  readonly #toUrl: (blob: BlobRef, bytes: Uint8Array) => string
  readonly #sha256: Sha256

  /** @param toUrl the platform's way to give bytes an URL */
  constructor(toUrl: (blob: BlobRef, bytes: Uint8Array) => string, sha256: Sha256) {
    this.#toUrl = toUrl
    this.#sha256 = sha256
  }

  async receive(digest: string, parts: AsyncIterable<Uint8Array>, mostBytes: number): Promise<Received> {
    const whole = new Uint8Array(mostBytes)
    let size = 0
    for await (const part of parts) {
      whole.set(part, size)
      size += part.byteLength
    }
    const bytes = whole.subarray(0, size)
    const got = await this.#sha256(bytes)
    if (got === digest) this.#bytes.set(digest, bytes)
    return { digest: got, bytes: size }
  }

  async put(digest: string, bytes: Uint8Array): Promise<void> {
    this.#bytes.set(digest, bytes)
  }

  async read(digest: string, start: number, end: number): Promise<Uint8Array> {
    return this.#get(digest).subarray(start, end)
  }

  async locate(blob: BlobRef): Promise<string> {
    return this.#toUrl(blob, this.#get(blob.digest))
  }

  async remove(digest: string): Promise<void> {
    this.#bytes.delete(digest)
  }

  async close(): Promise<void> {
    this.#bytes.clear()
  }

  #get(digest: string): Uint8Array {
    const bytes = this.#bytes.get(digest)
    if (bytes === undefined) throw new TypeError(`nothing lies under ${digest}`)
    return bytes
  }
}
