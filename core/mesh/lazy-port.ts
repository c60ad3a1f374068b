import { ServeError, toErrorEnvelope } from '../base/index.ts'
import type { CallPort } from '../replica/index.ts'
import { AnswerKind } from '../request/index.ts'

/** A port for calls to a node to which no link is there yet: the first call asks for one. What is posted before waits, as it was when it was posted. */
export class LazyPort implements CallPort {
  readonly #onNeeded: () => void
  readonly #slotsPerCall: number
  #port: CallPort | undefined
  #early: (readonly unknown[])[] = []
  #listener: (message: readonly unknown[]) => void = () => {}
  #isClosed = false

  constructor(onNeeded: () => void, slotsPerCall: number) {
    this.#onNeeded = onNeeded
    this.#slotsPerCall = slotsPerCall
  }

  /** Throws what cannot be copied. */
  post(message: readonly unknown[]): void {
    if (this.#isClosed) return
    if (this.#port !== undefined) return this.#port.post(message)
    this.#early.push(structuredClone(message))
    // Not within this call: a refusal must not meet a queue that is handing out.
    if (this.#early.length === 1) queueMicrotask(() => this.#onNeeded())
  }

  listen(listener: (message: readonly unknown[]) => void): void {
    this.#listener = listener
    this.#port?.listen(listener)
  }

  close(): void {
    this.#isClosed = true
    this.#early = []
    this.#port?.close()
  }

  /** The link is there: from now on this is that port. */
  use(port: CallPort): void {
    if (this.#isClosed) return port.close()
    this.#port = port
    port.listen(this.#listener)
    for (const message of this.#early.splice(0)) {
      try {
        port.post(message)
      } catch (error) {
        this.#answer(message, error)
      }
    }
  }

  /** There is no link to be had: calls that wait are told so, and nobody there has seen them. */
  refuse(reason: string): void {
    const error = new ServeError('ERR_NO_REPLICA', reason, { outcome: 'not-started' })
    for (const message of this.#early.splice(0)) this.#answer(message, error)
  }

  #answer(message: readonly unknown[], error: unknown): void {
    const ids = message.filter((_value, at) => at % this.#slotsPerCall === 0) as number[]
    // Signals are for calls that are answered here as well.
    if ((ids[0] ?? -1) < 0) return
    const envelope = toErrorEnvelope(error)
    this.#listener([0, ...ids.flatMap((id) => [id, AnswerKind.ERROR, envelope])])
  }
}
