import { type BundleShelf, BundleStore, type BundleStoreOptions, MemoryBundleShelf } from '../../core/mesh/index.ts'

/** A stand-in for SHA-256 that takes no turns no fake clock knows of: 64 hexadecimal digits, different for whatever differs in a byte or in length. */
export const fakeSha256 = async (bytes: Uint8Array): Promise<string> => {
  let digits = ''
  for (let part = 0; part < 8; part++) {
    let hash = 0x811c9dc5 ^ part ^ bytes.byteLength
    for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
    digits += (hash >>> 0).toString(16).padStart(8, '0')
  }
  return digits
}

/** A shelf in memory whose URLs are the text of what lies under them, and that can be told to give a wrong byte. */
export class BenchShelf implements BundleShelf {
  /** Parts that were read. */
  reads = 0
  /** Whether what it gives has a changed byte. */
  isWrong = false
  readonly #inner = new MemoryBundleShelf((_blob, bytes) => new TextDecoder().decode(bytes), fakeSha256)

  put(digest: string, bytes: Uint8Array): Promise<void> {
    return this.#inner.put(digest, bytes)
  }

  receive(...given: Parameters<BundleShelf['receive']>): ReturnType<BundleShelf['receive']> {
    return this.#inner.receive(...given)
  }

  async read(digest: string, start: number, end: number): Promise<Uint8Array> {
    this.reads++
    const bytes = (await this.#inner.read(digest, start, end)).slice()
    if (this.isWrong) bytes[0] = (bytes[0] ?? 0) ^ 1
    return bytes
  }

  locate(...given: Parameters<BundleShelf['locate']>): Promise<string> {
    return this.#inner.locate(given[0])
  }

  remove(digest: string): Promise<void> {
    return this.#inner.remove(digest)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}

export interface BundleBench {
  readonly shelf: BenchShelf
  readonly store: BundleStore
}

export function bundleBench(options: BundleStoreOptions = {}): BundleBench {
  const shelf = new BenchShelf()
  return { shelf, store: new BundleStore(shelf, fakeSha256, options) }
}

/** Bytes as a transfer brings them. */
export async function* inParts(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts
}

export const textBytes = (text: string): Uint8Array => new TextEncoder().encode(text)
