import type { Socket } from 'node:net'
import type { InstanceLink } from '../core/api/index.ts'
import { isServeError, ServeError, toErrorEnvelope } from '../core/base/index.ts'
import type { CallPort } from '../core/replica/index.ts'
import { AnswerKind, SLOTS_PER_ANSWER, SLOTS_PER_CALL } from '../core/request/index.ts'
import { encodeFrame, FrameReader } from './instance-socket-frames.ts'

const CONTROL = 0
const CALLS = 1

/** What may wait for a reader that takes nothing, in bytes; then the connection is cut. */
const MAX_WAITING_BYTES = 512 * 1024 * 1024

type Listener = (message: readonly unknown[]) => void

/** Both channels of an instance over one socket. */
export class SocketLink implements InstanceLink {
  readonly calls: CallPort
  readonly control: CallPort
  readonly whenGone: Promise<string>
  readonly #socket: Socket
  readonly #listeners: (Listener | undefined)[] = []
  readonly #early: (readonly unknown[])[][] = [[], []]
  #reason = 'the connection was closed'

  /** @param side which end this is: the one that calls, or the one that answers. */
  constructor(socket: Socket, side: 'client' | 'instance') {
    this.#socket = socket
    this.control = this.#port(CONTROL, (message) => this.#send(CONTROL, message))
    this.calls = this.#port(CALLS, side === 'client' ? (message) => this.#sendCalls(message) : (message) => this.#sendAnswers(message))
    const reader = new FrameReader((channel, value) => this.#deliver(channel, value))
    socket.setNoDelay(true)
    socket.on('data', (chunk) => {
      try {
        reader.push(chunk)
      } catch (error) {
        this.#cut(error instanceof Error ? error.message : String(error))
      }
    })
    socket.on('error', (error) => this.#cut(error.message))
    this.whenGone = new Promise((resolve) => socket.once('close', () => resolve(this.#reason)))
  }

  hold(isBusy: boolean): void {
    if (isBusy) this.#socket.ref()
    else this.#socket.unref()
  }

  close(): void {
    this.#socket.end()
    // The other end may never end its side; what was posted has a moment to leave.
    this.#socket.destroySoon()
  }

  #cut(reason: string): void {
    this.#reason = reason
    this.#socket.destroy()
  }

  #port(channel: number, post: (message: readonly unknown[]) => void): CallPort {
    return {
      post,
      listen: (listener) => {
        this.#listeners[channel] = listener
        for (const message of this.#early[channel]?.splice(0) ?? []) listener(message)
      },
      close: () => {
        this.#listeners[channel] = () => {}
      },
    }
  }

  #deliver(channel: number, value: unknown): void {
    if (!Array.isArray(value)) throw new ServeError('ERR_BAD_REQUEST', 'a frame holds no message')
    const listener = this.#listeners[channel]
    if (listener !== undefined) listener(value)
    else if (this.#early[channel] === undefined) throw new ServeError('ERR_BAD_REQUEST', `there is no channel ${channel}`)
    else this.#early[channel].push(value)
  }

  #send(channel: number, message: readonly unknown[]): void {
    const frame = encodeFrame(channel, message)
    if (this.#socket.destroyed || !this.#socket.writable) return
    if (this.#socket.writableLength > MAX_WAITING_BYTES)
      return this.#cut(`the other side has not read ${this.#socket.writableLength} bytes`)
    this.#socket.write(frame)
  }

  /** A call that is too large fails by itself; nothing around it does. */
  #sendCalls(message: readonly unknown[]): void {
    try {
      this.#send(CALLS, message)
    } catch (error) {
      if (!isServeError(error, 'ERR_PAYLOAD_TOO_LARGE') || (message[0] as number) < 0) throw error
      for (const call of slices(message, 0, SLOTS_PER_CALL)) {
        if (message.length > SLOTS_PER_CALL) this.#sendCalls(call)
        else setImmediate(() => this.#deliver(CALLS, [0, call[0], AnswerKind.ERROR, { ...toErrorEnvelope(error), outcome: 'not-started' }]))
      }
    }
  }

  /** An answer that is too large becomes an error of its own call. */
  #sendAnswers(message: readonly unknown[]): void {
    try {
      this.#send(CALLS, message)
    } catch (error) {
      if (!isServeError(error, 'ERR_PAYLOAD_TOO_LARGE')) throw error
      const isAlone = message.length === 1 + SLOTS_PER_ANSWER
      for (const [id, kind, value] of slices(message, 1, SLOTS_PER_ANSWER)) {
        if (isAlone) this.#send(CALLS, [message[0], id, AnswerKind.ERROR, { ...toErrorEnvelope(error), outcome: 'completed' }])
        else this.#sendAnswers([message[0], id, kind, value])
      }
    }
  }
}

function* slices(list: readonly unknown[], from: number, size: number): Generator<readonly unknown[]> {
  for (let i = from; i < list.length; i += size) yield list.slice(i, i + size)
}
