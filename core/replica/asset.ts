import { type LivingArgument, TO_LIVING } from './init-args.ts'

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
