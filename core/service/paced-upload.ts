import { type ErrorEnvelope, toErrorEnvelope } from '../base/index.ts'
import type { Upload } from './upload.ts'

/** Where the parts of a body go. */
export interface UploadSink {
  /** Takes a part and its buffer. */
  part(bytes: Uint8Array<ArrayBuffer>): void
  /** No more parts; with an envelope because the rest will not come. */
  end(error?: ErrorEnvelope): void
  /** The body cannot be read to its end; `end` was called before. */
  onError(error: unknown): void
}

/** Sends a body part by part, never more than the other side has given credit for. Made by the upload itself: who has none needs none of this. */
export class PacedUpload {
  readonly #upload: Upload
  readonly #sink: UploadSink
  #creditBytes = 0
  #isRunning = false
  #isStopped = false

  constructor(upload: Upload, sink: UploadSink) {
    this.#upload = upload
    this.#sink = sink
  }

  addCredit(bytes: number): void {
    this.#creditBytes += bytes
    if (!this.#isRunning && !this.#isStopped) void this.#run()
  }

  /** The call is over, or nobody wants the rest. */
  stop(): void {
    this.#isStopped = true
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    try {
      while (this.#creditBytes > 0) {
        const part = await this.#upload.read(this.#creditBytes)
        if (this.#isStopped) return
        if (part === undefined) {
          this.stop()
          return this.#sink.end()
        }
        this.#creditBytes -= part.byteLength
        this.#sink.part(part)
      }
    } catch (error) {
      if (this.#isStopped) return
      this.stop()
      this.#sink.end(toErrorEnvelope(error))
      this.#sink.onError(error)
    } finally {
      this.#isRunning = false
    }
  }
}
