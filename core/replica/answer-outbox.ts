import { ServeError, type Turns, toErrorEnvelope } from '../base/index.ts'
import { AnswerKind, isPrimitive, movableBuffers, notSerializable } from '../request/index.ts'
import type { CallPort } from './call-port.ts'

/** Text beyond this goes out at once instead of waiting for company. */
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

  /** Adds one answer; it leaves at the end of the turn, or when `flush` is called. */
  add(id: number, kind: AnswerKind, value: unknown): void {
    if (isPrimitive(value)) {
      this.#shared.push(id, kind, value)
      if (typeof value === 'string') this.#chars += value.length
      if (this.#chars > MAX_MESSAGE_CHARS) this.flush()
      else this.#arm()
    } else {
      this.#postAlone(id, kind, value)
    }
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

  #postAlone(id: number, kind: AnswerKind, value: unknown): void {
    // What was gathered first leaves first: the parts of a stream keep their order.
    this.flush()
    const message = [this.serviceUs, id, kind, value]
    try {
      const moved = kind === AnswerKind.ERROR ? [] : movableBuffers(value)
      if (moved.length === 0) return this.#port.post(message)
      try {
        this.#port.post(message, moved)
      } catch {
        // Some buffers refuse to be moved (memory of WebAssembly): copy.
        this.#port.post(message)
      }
    } catch (cause) {
      const error = isRangeError(cause)
        ? new ServeError('ERR_NOT_SERIALIZABLE', 'result is nested too deep to travel', { cause, outcome: 'completed' })
        : notSerializable(value, 'result', cause)
      this.#port.post([this.serviceUs, id, AnswerKind.ERROR, { ...toErrorEnvelope(error), outcome: 'completed' }])
    }
  }
}

const isRangeError = (error: unknown): boolean => error instanceof RangeError
