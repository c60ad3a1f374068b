import { type LivingArgument, TO_LIVING } from './living-argument.ts'
import type { BlobRef } from './replica-code.ts'

/** What stands behind the mark `asset`: its URL, and with it the bytes for nodes that do not have the URL. */
export type AssetData = string | { readonly url: string; readonly blob: BlobRef }

/** A file beside the code: a model, a table. In `initArgs` it arrives alive in the replica. */
export class Asset {
  /** Absolute. */
  readonly url: string
  readonly #read: (url: string) => Promise<Uint8Array>

  /** @param read gets the bytes of an URL; the platform's. */
  constructor(url: string, read: (url: string) => Promise<Uint8Array>) {
    this.url = url
    this.#read = read
  }

  /** The whole content, read anew at every call. Rejects with what the platform says of a file that is not there. */
  bytes(): Promise<Uint8Array> {
    return this.#read(this.url)
  }

  [TO_LIVING](): LivingArgument {
    return { mark: 'asset', data: this.url }
  }
}

export const assetUrl = (data: AssetData): string => (typeof data === 'string' ? data : data.url)
