import { type Clock, type Outcome, ServeError, type Turns, toErrorEnvelope } from '../base/index.ts'
import { AnswerOutbox, CallLane, type CallPort, type LaneOwner } from '../replica/index.ts'
import {
  AnswerKind,
  CANCEL,
  type CallMeta,
  CREDIT,
  type HandleMeta,
  isPrimitive,
  packHandleMeta,
  SLOTS_PER_CALL,
  type StreamAnswer,
  unpackHandleMeta,
} from '../request/index.ts'
import { Call, type CallOwner, type CallSink, CallState } from '../service/index.ts'
import type { CallTarget } from './handle.ts'

/** Calls that a replica may have open at its host; more wait in the replica. */
const OUTBOUND_WINDOW = 4_096
/** How long a call without a deadline of its own may take as far as the replica knows; the host has the backend's deadline. */
const NO_DEADLINE_MS = 2 ** 31 - 1

/**
 * The replica's end: calls that code inside a replica makes on its instance. They leave through the outbound port and take the same path as every
 * other call once they are at the host, which also keeps their deadlines.
 */
export class OutboundCalls implements CallTarget, CallOwner, LaneOwner {
  readonly #lane: CallLane
  readonly #turns: Turns
  readonly #clock: Clock
  readonly #onBusy: (isBusy: boolean) => void
  #armed = false
  #endedWith: ((outcome: Outcome) => ServeError) | undefined

  /** @param onBusy told when the first call opens and when the last one is done. */
  constructor(port: CallPort, clock: Clock, turns: Turns, onBusy: (isBusy: boolean) => void = () => {}) {
    this.#clock = clock
    this.#turns = turns
    this.#onBusy = onBusy
    this.#lane = new CallLane({ port, owner: this, window: OUTBOUND_WINDOW }, clock)
  }

  dispatch(call: Call): void {
    if (this.#endedWith !== undefined) return call.sink.fail(this.#endedWith('not-started'))
    if (call.reach === 'thread') return call.sink.fail(outOfThread(call))
    const outbound = new Call({ ...call, endpoint: call.endpoint, meta: addressed(call), sink: call.sink })
    outbound.deadlineAtMs = this.#clock.nowMs() + (call.timeoutMs ?? NO_DEADLINE_MS)
    outbound.owner = this
    // The handle knows its own call only; what it cancels is the one that left.
    call.owner = { cancel: (_call, error) => this.cancel(outbound, error) }
    call.state = CallState.SENT
    this.#lane.stage(outbound)
    if (this.#lane.outstanding === 1) this.#onBusy(true)
    // Data that its caller may change leaves at once.
    if (!(isPrimitive(outbound.data) && isPrimitive(outbound.meta))) return this.#lane.post(this.#clock.nowMs())
    if (this.#armed) return
    this.#armed = true
    const leave = (): void => {
      this.#armed = false
      this.#lane.post(this.#clock.nowMs())
    }
    if (this.#lane.outstanding === 1) this.#turns.soon(leave)
    else this.#turns.later(leave)
  }

  cancel(call: Call, error: ServeError): void {
    if (call.state === CallState.SETTLED) return
    const wasStreaming = call.state === CallState.STREAMING
    call.state = CallState.SETTLED
    this.#lane.cancel(call)
    if (wasStreaming) (call.stream as { fail(error: unknown): void }).fail(error)
    else call.sink.fail(error)
  }

  onAnswer(call: Call, kind: AnswerKind, value: unknown): void {
    if (call.state === CallState.SETTLED) return
    if (kind !== AnswerKind.STREAM) call.state = CallState.SETTLED
    call.sink.answer(kind, value)
  }

  onError(call: Call, error: ServeError): void {
    if (call.state === CallState.SETTLED) return
    const wasStreaming = call.state === CallState.STREAMING
    call.state = CallState.SETTLED
    if (!wasStreaming) call.sink.fail(error)
  }

  /** The other end is gone: every open call and stream fails, and so does every later call. */
  end(toError: (outcome: Outcome) => ServeError): void {
    if (this.#endedWith !== undefined) return
    this.#endedWith = toError
    const open = this.#lane.close()
    for (const call of open) {
      const error = toError('started-unknown')
      ;(call.stream as { fail(error: unknown): void } | undefined)?.fail(error)
      this.onError(call, error)
    }
    if (open.length > 0) this.#onBusy(false)
  }

  onDone(): void {
    if (this.#lane.outstanding === 0) this.#onBusy(false)
  }

  onChunk(): void {}
  onMessageEnd(): void {}
}

const outOfThread = (call: Call): ServeError =>
  new ServeError('ERR_OUT_OF_REACH', `endpoint ${call.endpoint}: no other replica runs in this thread; use reach 'node'`, {
    outcome: 'not-started',
  })

function addressed(call: Call): CallMeta {
  const meta = call.meta as CallMeta
  const isHead = typeof meta === 'string' && meta.charCodeAt(0) !== 0x7b
  return packHandleMeta({
    ...(isHead ? { r: meta } : unpackHandleMeta(meta)),
    e: call.endpoint,
    ...(call.method !== '' && { m: call.method }),
    ...(call.shardKey !== undefined && { k: call.shardKey }),
    ...(call.timeoutMs !== undefined && { t: call.timeoutMs }),
    ...(call.idempotent !== undefined && { i: call.idempotent }),
    ...(call.reach === 'node' && { w: call.reach }),
  })
}

/** The host's end: takes the calls of one replica to the router and their answers back. The function returned cancels what is open. */
export function serveOutbound(port: CallPort, target: CallTarget, turns: Turns): () => void {
  const outbox = new AnswerOutbox(port, turns)
  const open = new Map<number, OutboundSink>()
  port.listen((message) => {
    const first = message[0] as number
    if (first === CANCEL) return open.get(message[1] as number)?.cancel()
    if (first === CREDIT) {
      for (let i = 1; i < message.length; i += 2) open.get(message[i] as number)?.addCredit(message[i + 1] as number)
      return
    }
    for (let i = 0; i < message.length; i += SLOTS_PER_CALL) {
      const id = message[i] as number
      const meta = unpackHandleMeta(message[i + 2] as CallMeta)
      const sink = new OutboundSink(id, outbox, () => open.delete(id))
      open.set(id, sink)
      sink.call = toCall(meta, message[i + 3], sink)
      target.dispatch(sink.call)
    }
  })
  return () => {
    for (const sink of [...open.values()]) sink.cancel()
    port.close()
  }
}

function toCall(meta: HandleMeta, data: unknown, sink: CallSink): Call {
  const { e: endpoint = '', r: head, k: shardKey, t: timeoutMs, i: idempotent, w: reach, ...rest } = meta
  return new Call({
    endpoint,
    method: rest.m ?? '',
    meta: head ?? packHandleMeta(rest),
    data,
    ownsData: true,
    shardKey,
    timeoutMs,
    idempotent,
    reach,
    sink,
  })
}

/** Takes the answer of one call back through the port it came by; its stream follows the credit of the other side. */
export class OutboundSink implements CallSink {
  readonly #id: number
  readonly #outbox: AnswerOutbox
  readonly #onEnd: () => void
  #stream: StreamAnswer | undefined
  #credit = 32
  #wake: (() => void) | undefined
  call: Call | undefined

  constructor(id: number, outbox: AnswerOutbox, onEnd: () => void) {
    this.#id = id
    this.#outbox = outbox
    this.#onEnd = onEnd
  }

  answer(kind: AnswerKind, value: unknown): void {
    if (kind === AnswerKind.STREAM) {
      this.#stream = value as StreamAnswer
      this.#outbox.add(this.#id, AnswerKind.STREAM, this.#stream.head)
      void this.#forward(this.#stream)
      return
    }
    this.#outbox.add(this.#id, kind, value)
    this.#onEnd()
  }

  fail(error: ServeError): void {
    this.#outbox.add(this.#id, AnswerKind.ERROR, toErrorEnvelope(error))
    this.#onEnd()
  }

  cancel(): void {
    const error = new ServeError('ERR_CANCELLED', 'the calling replica let go', { outcome: 'started-unknown' })
    if (this.#stream === undefined) return this.call?.cancel(error)
    this.#stream.cancel()
    this.addCredit(1)
  }

  addCredit(chunks: number): void {
    this.#credit += chunks
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  async #forward(stream: StreamAnswer): Promise<void> {
    try {
      for (let parts = await stream.read(); parts !== undefined; parts = await stream.read()) {
        for (const part of parts) {
          if (this.#outbox.add(this.#id, AnswerKind.CHUNK, part)) continue
          // A part that cannot travel has ended the stream for its consumer.
          stream.cancel()
          return this.#onEnd()
        }
        this.#credit -= parts.length
        while (this.#credit <= 0) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
        }
      }
      this.#outbox.add(this.#id, AnswerKind.END, undefined)
    } catch (error) {
      this.#outbox.addError(this.#id, error)
    }
    this.#onEnd()
  }
}
