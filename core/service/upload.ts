import { ServeError } from '../base/index.ts'
import { PacedUpload, type UploadSink } from './paced-upload.ts'

/** Longest part that leaves as one message, in bytes. */
const MAX_PART_BYTES = 256 * 1024

/** What has come since it was asked last, at least a byte; undefined at the end. Rejects when the rest will not come. */
export type UploadSource = () => Promise<Uint8Array | undefined>

export interface UploadOptions {
  /** What was read before it was known that the body is large. */
  readonly first?: Uint8Array | undefined
  /** Most bytes of the whole. */
  readonly limitBytes: number
}

/** A request body that is too large to be handed over in one piece: it is pulled part by part, and only when somebody reads it. */
export class Upload {
  readonly #source: UploadSource
  readonly #limitBytes: number
  #held: Uint8Array | undefined
  #totalBytes: number
  #hasBegun = false

  constructor(source: UploadSource, { first, limitBytes }: UploadOptions) {
    this.#source = source
    this.#limitBytes = limitBytes
    this.#held = first
    this.#totalBytes = first?.byteLength ?? 0
  }

  /** True once a part was asked for: the body cannot be given to another replica then. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** Bytes that came from the source and were not read. */
  get heldBytes(): number {
    return this.#held?.byteLength ?? 0
  }

  /**
   * The next part, in a buffer of its own, so that it can be moved; undefined at the end. One read at a time. Rejects as the source does, or with
   * `ERR_PAYLOAD_TOO_LARGE`.
   * @param mostBytes above 0
   */
  async read(mostBytes: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.#hasBegun = true
    const bytes = this.#held ?? (await this.#more())
    if (bytes === undefined) return undefined
    const count = Math.min(bytes.byteLength, mostBytes, MAX_PART_BYTES)
    this.#held = count === bytes.byteLength ? undefined : bytes.subarray(count)
    return new Uint8Array(bytes.subarray(0, count))
  }

  /** Sends it as the other side gives credit; at first there is none. */
  paced(sink: UploadSink): PacedUpload {
    return new PacedUpload(this, sink)
  }

  async #more(): Promise<Uint8Array | undefined> {
    let bytes = await this.#source()
    while (bytes?.byteLength === 0) bytes = await this.#source()
    this.#totalBytes += bytes?.byteLength ?? 0
    if (this.#totalBytes > this.#limitBytes) {
      throw new ServeError('ERR_PAYLOAD_TOO_LARGE', `the body has more than ${this.#limitBytes} bytes, the limit http.maxBodyBytes`)
    }
    return bytes
  }
}
