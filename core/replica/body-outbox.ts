import { BODY, BODY_END } from '../request/index.ts'
import type { Upload } from '../service/index.ts'
import type { CallPort } from './call-port.ts'

/** Sends a body part by part, never more than the replica has given credit for. */
export class BodyOutbox {
  readonly #id: number
  readonly #upload: Upload
  readonly #port: CallPort
  readonly #onError: (error: unknown) => void
  #creditBytes = 0
  #isRunning = false
  #isStopped = false

  /** @param id of the call on the lane. @param onError told when the body cannot be read to its end; the replica was told before. */
  constructor(id: number, upload: Upload, port: CallPort, onError: (error: unknown) => void) {
    this.#id = id
    this.#upload = upload
    this.#port = port
    this.#onError = onError
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
          return this.#port.post([BODY_END, this.#id])
        }
        this.#creditBytes -= part.byteLength
        this.#port.post([BODY, this.#id, part], [part.buffer])
      }
    } catch (error) {
      if (this.#isStopped) return
      this.stop()
      this.#port.post([BODY_END, this.#id, this.#upload.describeEnd(error)])
      this.#onError(error)
    } finally {
      this.#isRunning = false
    }
  }
}
