import type { BlobRef } from '../replica/index.ts'

/** Where the bytes of a {@link BundleStore} lie. It is told of verified bytes only, and keeps no count of them. */
export interface BundleShelf {
  put(digest: string, bytes: Uint8Array): Promise<void>
  /** The bytes from `start` up to, but without, `end`. */
  read(digest: string, start: number, end: number): Promise<Uint8Array>
  /** An URL under which replicas of this node can import it, or read it, until it is removed; with `beside` under their names in the same folder. */
  locate(blob: BlobRef, beside: readonly BlobRef[]): Promise<string>
  remove(digest: string): Promise<void>
  /** Gives back what it took. Calling it again does nothing. */
  close(): Promise<void>
}

/** A shelf in memory. */
export class MemoryBundleShelf implements BundleShelf {
  readonly #bytes = new Map<string, Uint8Array>()
  readonly #toUrl: (blob: BlobRef, bytes: Uint8Array) => string

  /** @param toUrl the platform's way to give bytes an URL */
  constructor(toUrl: (blob: BlobRef, bytes: Uint8Array) => string) {
    this.#toUrl = toUrl
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
