import { isServeError, ServeError, type Turns, toErrorEnvelope } from '../base/index.ts'
import { AnswerKind, isPrimitive, movableBuffers, notSerializable } from '../request/index.ts'
import type { CallPort } from './call-port.ts'

/** Text beyond this goes out at once and alone instead of waiting for company. */
const MAX_MESSAGE_CHARS = 65_536

/**
 * Gathers the answers of a turn into one message. Values with an identity go as messages of their own; whole buffers in them are moved. A value that
 * cannot travel becomes an error of its own call only.
 */
export class AnswerOutbox {
  /** Running mean of the time a call takes, in microseconds; leaves with every message. */
  serviceUs = 0
  readonly #port: CallPort
  readonly #turns: Turns
  #shared: unknown[] = [0]
  #chars = 0
  #armed = false

  constructor(port: CallPort, turns: Turns) {
    this.#port = port
    this.#turns = turns
  }

  /** Adds one answer; it leaves at the end of the turn, or when `flush` is called. False when it cannot travel: the call was told of that instead. */
  add(id: number, kind: AnswerKind, value: unknown): boolean {
    const chars = typeof value === 'string' ? value.length : 0
    if (!isPrimitive(value) || chars > MAX_MESSAGE_CHARS) return this.#postAlone(id, kind, value)
    this.#shared.push(id, kind, value)
    this.#chars += chars
    if (this.#chars > MAX_MESSAGE_CHARS) this.flush()
    else this.#arm()
    return true
  }

  addError(id: number, error: unknown): void {
    this.add(id, AnswerKind.ERROR, toErrorEnvelope(error))
  }

  /** Sends what was gathered. */
  flush(): void {
    if (this.#shared.length === 1) return
    const message = this.#shared
    this.#shared = [0]
    this.#chars = 0
    message[0] = this.serviceUs
    this.#port.post(message)
  }

  #arm(): void {
    if (this.#armed) return
    this.#armed = true
    this.#turns.soon(() => {
      this.#armed = false
      this.flush()
    })
  }

  #postAlone(id: number, kind: AnswerKind, value: unknown): boolean {
    // What was gathered first leaves first: the parts of a stream keep their order.
    this.flush()
    const message = [this.serviceUs, id, kind, value]
    try {
      const moved = kind === AnswerKind.ERROR ? [] : movableBuffers(value)
      if (!this.#move(message, moved)) this.#port.post(message)
      return true
    } catch (cause) {
      const error = isRangeError(cause)
        ? new ServeError('ERR_NOT_SERIALIZABLE', 'result is nested too deep to travel', { cause, outcome: 'completed' })
        : isServeError(cause, 'ERR_PAYLOAD_TOO_LARGE')
          ? cause
          : notSerializable(value, 'result', cause)
      this.#port.post([this.serviceUs, id, AnswerKind.ERROR, { ...toErrorEnvelope(error), outcome: 'completed' }])
      return false
    }
  }

  /** False when there is nothing to move, or some buffer refuses to be moved, as the memory of WebAssembly does: then it is copied. */
  #move(message: readonly unknown[], moved: readonly ArrayBuffer[]): boolean {
    if (moved.length === 0) return false
    try {
      this.#port.post(message, moved)
      return true
    } catch {
      return false
    }
  }
}

const isRangeError = (error: unknown): boolean => error instanceof RangeError
