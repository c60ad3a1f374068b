import { ServeError, toErrorEnvelope } from '../core/base/index.ts'
import type { CallPort } from '../core/replica/index.ts'
import { AnswerKind, CANCEL, CREDIT, SLOTS_PER_ANSWER, SLOTS_PER_CALL } from '../core/request/index.ts'

/** Answers after which a call goes on. */
const GOES_ON: ReadonlySet<unknown> = new Set([AnswerKind.STARTED, AnswerKind.STREAM, AnswerKind.CHUNK, AnswerKind.BODY_CREDIT])

/** Of no call that a replica knows. */
const NO_ID = -1

interface OpenCall {
  readonly caller: Caller
  /** As the caller knows it. */
  readonly id: number
}

/**
 * Lets several callers use the one port of a replica: each numbers its calls as if it were alone, and they meet in the replica's one queue, so that its
 * limits and its batches hold for all of them together. Start marks must come as messages; shared memory knows one caller only.
 */
export class PortMux {
  readonly #port: CallPort
  readonly #open = new Map<number, OpenCall>()
  #nextId = 0

  constructor(port: CallPort) {
    this.#port = port
    port.listen((message) => this.#deliver(message))
  }

  /** A port for one more caller. When it closes, what it has open is cancelled in the replica. */
  open(): CallPort {
    const caller = new Caller(
      (message, transfer) => this.#forward(caller, message, transfer),
      () => this.#forget(caller),
    )
    return caller
  }

  close(): void {
    this.#port.close()
  }

  #forward(caller: Caller, message: readonly unknown[], transfer?: readonly object[]): void {
    const first = message[0] as number
    if (first === CREDIT) {
      const credits = message.slice(1)
      for (let i = 0; i < credits.length; i += 2) credits[i] = caller.ids.get(credits[i] as number) ?? NO_ID
      return this.#port.post([CREDIT, ...credits])
    }
    if (first < 0) {
      // A signal about a call: to cancel it, or a part of its body.
      const id = caller.ids.get(message[1] as number)
      if (id !== undefined) this.#port.post([first, id, ...message.slice(2)], transfer)
      return
    }
    const renumbered = [...message]
    for (let i = 0; i < message.length; i += SLOTS_PER_CALL) {
      const id = this.#nextId++
      this.#open.set(id, { caller, id: message[i] as number })
      caller.ids.set(message[i] as number, id)
      renumbered[i] = id
    }
    try {
      this.#port.post(renumbered, transfer)
    } catch (error) {
      for (let i = 0; i < message.length; i += SLOTS_PER_CALL) this.#end(renumbered[i] as number)
      throw error
    }
  }

  #deliver(message: readonly unknown[]): void {
    const parts = new Map<Caller, unknown[]>()
    for (let i = 1; i < message.length; i += SLOTS_PER_ANSWER) {
      const id = message[i] as number
      const kind = message[i + 1]
      // Numbers that follow each other here may not do so at the caller.
      const count = kind === AnswerKind.STARTED ? (message[i + 2] as number) : 1
      for (let one = id; one < id + count; one++) {
        const call = this.#open.get(one)
        if (call === undefined) continue
        const part = parts.get(call.caller) ?? [message[0]]
        part.push(call.id, kind, kind === AnswerKind.STARTED ? 1 : message[i + 2])
        parts.set(call.caller, part)
        if (!GOES_ON.has(kind)) this.#end(one)
      }
    }
    for (const [caller, part] of parts) caller.deliver(part)
  }

  #end(id: number): void {
    const call = this.#open.get(id)
    if (call === undefined) return
    this.#open.delete(id)
    call.caller.ids.delete(call.id)
  }

  /** The calls stay on record until the replica answers them, so that nothing of theirs reaches another. */
  #forget(caller: Caller): void {
    for (const id of caller.ids.values()) this.#port.post([CANCEL, id])
  }
}

class Caller implements CallPort {
  /** The caller's ids and those of the replica, for what is open. */
  readonly ids = new Map<number, number>()
  readonly post: CallPort['post']
  readonly #onClose: () => void
  #listener: ((message: readonly unknown[]) => void) | undefined
  #closed = false

  constructor(post: CallPort['post'], onClose: () => void) {
    this.post = (message, transfer) => {
      if (!this.#closed) post(message, transfer)
    }
    this.#onClose = onClose
  }

  listen(listener: (message: readonly unknown[]) => void): void {
    this.#listener = listener
  }

  deliver(message: readonly unknown[]): void {
    if (!this.#closed) this.#listener?.(message)
  }

  close(): void {
    if (this.#closed) return
    this.#onClose()
    this.#closed = true
  }
}

/** Joins a caller's port of a mux to a channel that the caller's frames come through. Returns what takes it down. */
export function bridge(inner: CallPort, channel: CallPort): () => void {
  channel.listen((message) => inner.post(message))
  inner.listen((message) => {
    try {
      channel.post(message)
    } catch (cause) {
      // The worker could give it to its own tab; this channel copies and cannot.
      channel.post(refused(message, cause))
    }
  })
  return () => {
    inner.close()
    channel.close()
  }
}

function refused(message: readonly unknown[], cause: unknown): unknown[] {
  const error = new ServeError('ERR_NOT_SERIALIZABLE', 'the result cannot travel to another tab', { cause, outcome: 'completed' })
  return [message[0], message[1], AnswerKind.ERROR, toErrorEnvelope(error)]
}
