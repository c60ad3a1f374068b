import { ServeError, type Stop } from '../base/index.ts'
import type { BlobRef } from '../replica/index.ts'
import type { BundleShelf, Sha256 } from './bundle-shelf.ts'

export interface BundleStoreOptions {
  /** Longest bundle or asset in bytes. @default 1073741824 */
  readonly maxBlobBytes?: number
  /** Bytes of all together. What nobody holds makes room, the longest unused first. @default 4294967296 */
  readonly maxBytes?: number
}

const DEFAULT_MAX_BLOB_BYTES = 1_073_741_824
const DEFAULT_MAX_BYTES = 4_294_967_296
const DIGEST = /^[0-9a-f]{64}$/

/** Bundles and assets by what they are. Nothing is in it whose digest was not computed here. */
export class BundleStore {
  readonly maxBlobBytes: number
  readonly #shelf: BundleShelf
  readonly #sha256: Sha256
  readonly #maxBytes: number
  /** Lengths by digest, the longest unused first. */
  readonly #sizes = new Map<string, number>()
  readonly #holds = new Map<string, number>()
  #bytes = 0

  constructor(shelf: BundleShelf, sha256: Sha256, options: BundleStoreOptions = {}) {
    this.#shelf = shelf
    this.#sha256 = sha256
    this.maxBlobBytes = options.maxBlobBytes ?? DEFAULT_MAX_BLOB_BYTES
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES
  }

  /** Bytes of all that is in it. */
  get bytes(): number {
    return this.#bytes
  }

  has(digest: string): boolean {
    return this.#sizes.has(digest)
  }

  sizeOf(digest: string): number | undefined {
    return this.#sizes.get(digest)
  }

  digestOf(bytes: Uint8Array): Promise<string> {
    return this.#sha256(bytes)
  }

  /** Takes bytes of this node. `what` names them in errors: `ERR_PAYLOAD_TOO_LARGE` for more than it takes. */
  async add(what: string, name: string, bytes: Uint8Array): Promise<BlobRef> {
    this.requireFit(what, bytes.byteLength)
    const digest = await this.#sha256(bytes)
    await this.#put(what, digest, bytes)
    return Object.freeze({ digest, bytes: bytes.byteLength, name: toFileName(name) })
  }

  /** Takes bytes that came from another node. `ERR_BUNDLE_MISMATCH` when they are not what they were said to be; nothing is kept then. */
  async accept(blob: BlobRef, parts: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#makeRoom(blob.name, blob.bytes)
    const got = await this.#shelf.receive(blob.digest, parts, blob.bytes)
    if (got.digest !== blob.digest || got.bytes !== blob.bytes) {
      throw new ServeError(
        'ERR_BUNDLE_MISMATCH',
        `${blob.name} is listed with the digest ${blob.digest} and ${blob.bytes} bytes; what came has ${got.digest} and ${got.bytes}`,
        { details: { listed: blob.digest, got: got.digest } },
      )
    }
    this.#note(blob.digest, blob.bytes)
  }

  /** The bytes from `start` up to, but without, `end`. Ask `has` first. */
  async read(digest: string, start: number, end: number): Promise<Uint8Array> {
    this.#touch(digest)
    return this.#shelf.read(digest, start, end)
  }

  /** An URL under which replicas of this node find it, for as long as it is held. */
  locate(blob: BlobRef, beside: readonly BlobRef[] = []): Promise<string> {
    for (const { digest } of [blob, ...beside]) this.#touch(digest)
    return this.#shelf.locate(blob, beside)
  }

  /** Keeps what is there, and what comes, under these digests until it is called off. */
  hold(digests: readonly string[]): Stop {
    for (const digest of digests) this.#holds.set(digest, (this.#holds.get(digest) ?? 0) + 1)
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      for (const digest of digests) {
        const left = (this.#holds.get(digest) ?? 0) - 1
        if (left > 0) this.#holds.set(digest, left)
        else this.#holds.delete(digest)
      }
    }
  }

  /** `ERR_PAYLOAD_TOO_LARGE` for more bytes than one bundle or asset may have. */
  requireFit(what: string, bytes: number): void {
    if (bytes <= this.maxBlobBytes) return
    throw new ServeError('ERR_PAYLOAD_TOO_LARGE', `${what} has ${bytes} bytes; ${this.maxBlobBytes} may travel to a peer`)
  }

  close(): Promise<void> {
    this.#sizes.clear()
    this.#bytes = 0
    return this.#shelf.close()
  }

  async #put(what: string, digest: string, bytes: Uint8Array): Promise<void> {
    if (this.#sizes.has(digest)) return this.#touch(digest)
    await this.#makeRoom(what, bytes.byteLength)
    await this.#shelf.put(digest, bytes)
    this.#note(digest, bytes.byteLength)
  }

  #note(digest: string, bytes: number): void {
    if (this.#sizes.has(digest)) return
    this.#sizes.set(digest, bytes)
    this.#bytes += bytes
  }

  async #makeRoom(what: string, bytes: number): Promise<void> {
    for (const [digest, size] of [...this.#sizes]) {
      if (this.#bytes + bytes <= this.#maxBytes) return
      if (this.#holds.has(digest)) continue
      this.#sizes.delete(digest)
      this.#bytes -= size
      await this.#shelf.remove(digest)
    }
    if (this.#bytes + bytes <= this.#maxBytes) return
    throw new ServeError(
      'ERR_PAYLOAD_TOO_LARGE',
      `${what} has ${bytes} bytes; of the ${this.#maxBytes} for code and assets ${this.#bytes} are in use by replicas`,
    )
  }

  #touch(digest: string): void {
    const size = this.#sizes.get(digest)
    if (size === undefined) return
    this.#sizes.delete(digest)
    this.#sizes.set(digest, size)
  }
}

export const isDigest = (value: unknown): value is string => typeof value === 'string' && DIGEST.test(value)

/** A name that is safe as that of a file anywhere: whatever else it had becomes `_`, and it begins with no dot. */
export function toFileName(name: string): string {
  const safe = name
    .replace(/[^A-Za-z0-9._-]/g, '_')
    .replace(/^\.+/, '_')
    .slice(-100)
  return safe === '' ? 'blob' : safe.replace(/^\.+/, '_')
}
