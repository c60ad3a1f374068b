import type { Clock, ErrorEnvelope, Turns } from '../../core/base/index.ts'
import { CallLane, type CallPort, createPortPair, type LaneOwner } from '../../core/replica/index.ts'
import { AnswerKind, CANCEL, CREDIT, SLOTS_PER_CALL } from '../../core/request/index.ts'

/** A call as it lies in a fake replica. */
export interface HeldCall {
  readonly id: number
  readonly msLeft: number
  readonly meta: unknown
  readonly data: unknown
}

export interface FakeReplicaOptions {
  readonly window?: number
  /** Whether it shares memory with its lane, so that a call that was not started is known as such. @default true */
  readonly shared?: boolean
  /** Whether it is on another node. @default false */
  readonly isRemote?: boolean
}

/** The other end of a lane, played by the test: it holds what it is given until the test answers. */
export class FakeReplica {
  readonly lane: CallLane
  /** Messages of calls, each with its calls. */
  readonly messages: HeldCall[][] = []
  readonly held: HeldCall[] = []
  readonly cancelled: number[] = []
  /** Ids of the calls whose answer streams. */
  readonly streaming = new Set<number>()
  readonly credits: { readonly id: number; readonly chunks: number }[] = []
  creditMessages = 0
  readonly #port: CallPort
  readonly #flags: Uint8Array | undefined

  constructor(owner: LaneOwner, clock: Clock, turns: Turns, options: FakeReplicaOptions = {}) {
    const [outer, inner] = createPortPair(turns)
    this.#port = inner
    this.#flags = (options.shared ?? true) ? new Uint8Array(512) : undefined
    this.lane = new CallLane(
      { port: outer, owner, window: options.window ?? 100, startedFlags: this.#flags, isRemote: options.isRemote },
      clock,
    )
    inner.listen((message) => this.#receive(message))
  }

  /** What the held calls carry, oldest first. */
  get data(): unknown[] {
    return this.held.map((call) => call.data)
  }

  /** Marks a held call as seen by user code. */
  start(call: HeldCall): void {
    if (this.#flags === undefined) this.post(call.id, AnswerKind.STARTED, 1)
    else this.#flags[call.id & 511] = 1
  }

  /** Opens a stream as the answer of a held call; `answer` ends it. */
  open(call: HeldCall): void {
    this.streaming.add(call.id)
    this.post(call.id, AnswerKind.STREAM, undefined)
  }

  /** Answers a held call, by default the oldest, with a value. */
  answer(value?: unknown, call: HeldCall | undefined = this.held[0]): void {
    if (call === undefined) throw new Error('the replica holds no call')
    this.#drop(call)
    if (this.streaming.delete(call.id)) this.post(call.id, AnswerKind.END, undefined)
    else this.post(call.id, AnswerKind.VALUE, value)
  }

  fail(envelope: ErrorEnvelope, call: HeldCall | undefined = this.held[0]): void {
    if (call === undefined) throw new Error('the replica holds no call')
    this.#drop(call)
    this.post(call.id, AnswerKind.ERROR, envelope)
  }

  /** One frame, as it is. */
  post(id: number, kind: AnswerKind, value: unknown, serviceUs = 1_000): void {
    this.#port.post([serviceUs, id, kind, value])
  }

  /** Parts of a stream in one message. */
  postParts(id: number, ...values: readonly unknown[]): void {
    this.#port.post([1_000, ...values.flatMap((value) => [id, AnswerKind.CHUNK, value])])
  }

  /** Frames in one message. */
  postMixed(frames: readonly (readonly [id: number, kind: AnswerKind, value: unknown])[]): void {
    this.#port.post([1_000, ...frames.flat()])
  }

  #receive(message: readonly unknown[]): void {
    if (message[0] === CANCEL) {
      this.cancelled.push(message[1] as number)
      return
    }
    if (message[0] === CREDIT) {
      this.creditMessages++
      for (let i = 1; i < message.length; i += 2) this.credits.push({ id: message[i] as number, chunks: message[i + 1] as number })
      return
    }
    const calls: HeldCall[] = []
    for (let i = 0; i < message.length; i += SLOTS_PER_CALL) {
      calls.push({ id: message[i] as number, msLeft: message[i + 1] as number, meta: message[i + 2], data: message[i + 3] })
    }
    this.messages.push(calls)
    this.held.push(...calls)
  }

  #drop(call: HeldCall): void {
    const index = this.held.indexOf(call)
    if (index !== -1) this.held.splice(index, 1)
  }
}
