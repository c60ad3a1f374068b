import { type Clock, canClone, type ErrorEnvelope, fromErrorEnvelope, isServeError, type ServeError, withOutcome } from '../base/index.ts'
import {
  AnswerKind,
  BODY,
  BODY_END,
  CANCEL,
  CREDIT,
  isPrimitive,
  notSerializable,
  type ResponseHead,
  SLOTS_PER_ANSWER,
  SLOTS_PER_CALL,
} from '../request/index.ts'
import { type Call, CallState, type PacedUpload } from '../service/index.ts'
import type { Loaded } from './balancer.ts'
import type { CallPort } from './call-port.ts'
import { PeakEwma } from './peak-ewma.ts'
import { StreamInbox } from './stream-inbox.ts'

/** Text beyond this leaves at once instead of sharing a message with more. */
const MAX_MESSAGE_CHARS = 65_536
/** Work that one message may hand over, in microseconds; what takes longer is not worth gathering. */
const WORK_PER_MESSAGE_US = 1_000

/** `sentAtMs` of a call that is staged and has not left yet. */
const STAGED = -1

/** Throws in a row after which others are called first, and for how long, in milliseconds. */
const MOST_THROWS = 5
const SHUNNED_MS = 30_000

/** How long a node that refused a call is left alone, in milliseconds. */
const MIN_REST_MS = 5
const MAX_REST_MS = 100

/** Who owns the calls of a lane: told once per call, when the other side is done with it. */
export interface LaneOwner {
  /** The call has its answer; for STREAM `value` is a StreamAnswer and the call goes on until `onDone`. */
  onAnswer(call: Call, kind: AnswerKind, value: unknown): void
  /** The other side reported an error, or the call could not be sent. */
  onError(call: Call, error: ServeError): void
  /** The slot of a call is free again; comes after one of the two above, for abandoned calls alone. */
  onDone(call: Call, nowMs: number): void
  /** Parts of a stream came with this message; its idle clock restarts. */
  onChunk(call: Call): void
  /** All answers of one message were told. */
  onMessageEnd(): void
  /** Another node would not take the call, and no code there has seen it; its slot is free. Without this method it is an error like any other. */
  onRefused?(call: Call, error: ServeError): void
}

export interface CallLaneOptions {
  readonly port: CallPort
  readonly owner: LaneOwner
  /** Most calls handed over and not yet answered; raised while calls turn out to be short. */
  readonly window: number
  /** One byte per slot of the ring, shared with the other side, which sets it when user code is about to see the call. */
  readonly startedFlags?: Uint8Array | undefined
  /** True for a lane to another node: what has left may have been started there, and it may refuse a call. @default false */
  readonly isRemote?: boolean | undefined
}

/**
 * The caller's side of one port: hands calls over in few messages, keeps them in a ring until they are answered, and tells their owner. It never
 * decides where a call goes; it only knows what this one replica (or host) has in hand.
 */
export class CallLane implements Loaded {
  readonly #port: CallPort
  readonly #owner: LaneOwner
  readonly #clock: Clock
  #latency: PeakEwma
  readonly #started: Uint8Array | undefined
  #ring: (Call | undefined)[]
  #mask: number
  #nextId = 0
  #limit: number
  #window: number
  #batching = false
  #outstanding = 0
  /** On the way to another node: when it last said something, or was given the first of the calls that are out. */
  #heardAtMs = 0
  #serviceUs = 0
  #shared: unknown[] = []
  #sharedCalls: Call[] = []
  #sharedChars = 0
  #alone: Call[] = []
  /** Credit of streams that has not left. */
  #credits: number[] = [CREDIT]
  #isReceiving = false
  /** Bodies that stream to the other side. */
  readonly #uploads = new Map<Call, PacedUpload>()
  #closed = false
  /** True for a moment after the other node refused a call. */
  #isResting = false
  /** Calls in a row that user code ended by a throw. */
  #throws = 0
  #isShunned = false
  /** True for a lane to another node. */
  readonly isRemote: boolean
  /** Messages and calls sent, for the figure "calls per message". */
  messages = 0
  calls = 0

  constructor(options: CallLaneOptions, clock: Clock) {
    this.#port = options.port
    this.#owner = options.owner
    this.#started = options.startedFlags
    this.#limit = options.window
    this.#window = options.window
    this.isRemote = options.isRemote === true
    this.#clock = clock
    this.#latency = new PeakEwma(clock.nowMs())
    const capacity = this.#started?.length ?? 512
    this.#ring = new Array<Call | undefined>(capacity).fill(undefined)
    this.#mask = capacity - 1
    this.#port.listen((message) => this.#receive(message))
  }

  /** Calls handed over, or staged to be, and not yet answered. */
  get outstanding(): number {
    return this.#outstanding
  }

  get latencyMs(): number {
    return this.#latency.valueMs
  }

  /** Mean time a call takes at the other side, as it reports. */
  get serviceUs(): number {
    return this.#serviceUs
  }

  get hasRoom(): boolean {
    return this.#outstanding < this.#window && !this.#isResting
  }

  /** Calls that may be handed over at once, as things are. */
  get window(): number {
    return this.#window
  }

  /** A node that owes answers and says nothing counts as slow as its silence is long: one that froze is given no more of what another can take. */
  get load(): number {
    const silentMs = this.isRemote && this.#outstanding > 0 ? this.#clock.nowMs() - this.#heardAtMs : 0
    return (this.#outstanding + 1) * Math.max(this.#latency.valueMs, silentMs)
  }

  /** How many calls are worth handing over in one go: some 50 microseconds of work. */
  get sliceSize(): number {
    if (this.#batching) return this.#limit
    return this.#serviceUs > 50 ? 1 : Math.max(1, Math.min(128, Math.floor(50 / (this.#serviceUs + 0.5))))
  }

  /** Live change of the window, when the backend's limits change. `batching` keeps it from growing: what is handed over can no longer be shared out. */
  configure(window: number, batching: boolean): void {
    this.#limit = window
    this.#batching = batching
    this.#window = this.#windowFor(this.#serviceUs)
  }

  /** Takes a call; it leaves with `post`. */
  stage(call: Call): void {
    call.id = this.#claim(call)
    call.state = CallState.SENT
    call.lane = this
    call.sentAtMs = STAGED
    if (this.#outstanding++ === 0 && this.isRemote) this.#heardAtMs = this.#clock.nowMs()
    if (call.reruns === 0 && isPrimitive(call.data) && isPrimitive(call.meta) && !this.#isTooLong(call.data)) {
      this.#shared.push(call.id, 0, call.meta, call.data)
      this.#sharedCalls.push(call)
      if (typeof call.data === 'string') this.#sharedChars += call.data.length
      if (this.#sharedChars > MAX_MESSAGE_CHARS) this.post(this.#clock.nowMs())
    } else {
      this.#alone.push(call)
    }
  }

  /** On the way to another node a long text may be more than a message takes; alone it fails alone. */
  #isTooLong(data: unknown): boolean {
    return this.isRemote && typeof data === 'string' && data.length > MAX_MESSAGE_CHARS
  }

  /** Sends what was staged. */
  post(nowMs: number): void {
    const { length } = this.#sharedCalls
    if (length > 0) {
      for (let i = 0; i < length; i++) {
        const call = this.#sharedCalls[i] as Call
        call.sentAtMs = nowMs
        this.#shared[i * SLOTS_PER_CALL + 1] = Math.max(1, Math.ceil(call.deadlineAtMs - nowMs))
      }
      const message = this.#shared
      this.#shared = []
      this.#sharedCalls = []
      this.#sharedChars = 0
      this.messages++
      this.calls += length
      this.#port.post(message)
    }
    if (this.#alone.length > 0) {
      const alone = this.#alone
      this.#alone = []
      for (const call of alone) this.#postAlone(call, nowMs)
    }
  }

  /** The caller let go of a call that is here. One that has not left yet never does; of others the other side says when their slot is free. */
  cancel(call: Call): void {
    if (this.#closed || call.lane !== this) return
    if (call.sentAtMs === STAGED) {
      this.#unstage(call)
      this.#free(call)
      return this.#owner.onDone(call, this.#clock.nowMs())
    }
    this.#uploads.get(call)?.stop()
    this.#port.post([CANCEL, call.id])
  }

  /** Whether user code saw the call, as far as is known; true when it cannot be known. */
  hasStarted(call: Call): boolean {
    if (this.#started !== undefined) return this.#started[call.id & this.#mask] === 1
    return call.started || (this.isRemote && call.sentAtMs !== STAGED)
  }

  /** The call in the slot of an id: the one of that id while it is not done. */
  at(id: number): Call | undefined {
    return this.#ring[id & this.#mask]
  }

  /** Every call that is here; for the owner to settle after `close`. */
  close(): Call[] {
    if (this.#closed) return []
    this.#closed = true
    for (const upload of this.#uploads.values()) upload.stop()
    this.#uploads.clear()
    this.#port.close()
    const left = this.#ring.filter((call): call is Call => call !== undefined)
    this.#ring.fill(undefined)
    this.#outstanding = 0
    return left
  }

  #unstage(call: Call): void {
    const alone = this.#alone.indexOf(call)
    if (alone !== -1) {
      this.#alone.splice(alone, 1)
      return
    }
    const shared = this.#sharedCalls.indexOf(call)
    this.#sharedCalls.splice(shared, 1)
    this.#shared.splice(shared * SLOTS_PER_CALL, SLOTS_PER_CALL)
    if (typeof call.data === 'string') this.#sharedChars -= call.data.length
  }

  #postAlone(call: Call, nowMs: number): void {
    call.sentAtMs = nowMs
    const msLeft = Math.max(1, Math.ceil(call.deadlineAtMs - nowMs))
    // One of those that are run again may have ended its replica: it is not put into a batch with others.
    const message = [call.id, call.reruns === 0 ? msLeft : -msLeft, call.meta, call.data]
    try {
      this.#port.post(message, call.transfer)
      this.messages++
      this.calls++
    } catch (cause) {
      this.#free(call)
      const culprit = isPrimitive(call.meta) || canClone(call.meta) ? 'data' : 'args'
      const error = isServeError(cause, 'ERR_PAYLOAD_TOO_LARGE')
        ? cause
        : notSerializable(culprit === 'data' ? call.data : argsOf(call.meta), culprit, cause)
      this.#owner.onError(call, withOutcome(error, 'not-started'))
      this.#owner.onDone(call, nowMs)
    }
  }

  /** A free slot of the ring; the ids count up, so that a late answer to an old call meets another id. */
  #claim(call: Call): number {
    if (this.#outstanding >= this.#mask) this.#grow()
    while (this.at(this.#nextId) !== undefined) this.#nextId++
    const id = this.#nextId++
    this.#ring[id & this.#mask] = call
    if (this.#started !== undefined) this.#started[id & this.#mask] = 0
    return id
  }

  #grow(): void {
    // A ring with shared flags has the capacity its replica was started with, which the window never reaches.
    const ring = new Array<Call | undefined>(this.#ring.length * 2).fill(undefined)
    const mask = ring.length - 1
    for (const call of this.#ring) if (call !== undefined) ring[call.id & mask] = call
    this.#ring = ring
    this.#mask = mask
  }

  #free(call: Call): void {
    this.#ring[call.id & this.#mask] = undefined
    call.lane = undefined
    this.#outstanding--
    if (call.upload === undefined) return
    this.#uploads.get(call)?.stop()
    this.#uploads.delete(call)
  }

  #receive(message: readonly unknown[]): void {
    if (this.#closed) return
    const nowMs = this.#clock.nowMs()
    this.#heardAtMs = nowMs
    this.#serviceUs = message[0] as number
    this.#window = this.#windowFor(this.#serviceUs)
    let sampled = false
    const streams: StreamInbox[] = []
    for (let i = 1; i < message.length; i += SLOTS_PER_ANSWER) {
      const id = message[i] as number
      const call = this.at(id)
      if (call?.id !== id) continue
      const kind = message[i + 1] as AnswerKind
      if (!sampled && kind !== AnswerKind.ERROR && kind !== AnswerKind.CHUNK && kind !== AnswerKind.END && kind < AnswerKind.STARTED) {
        this.#latency.add(nowMs - call.sentAtMs, nowMs)
        sampled = true
      }
      this.#take(call, kind, message[i + 2], streams, nowMs)
    }
    // Readers that wait take all there is and grant more: one message for all of them wakes their producers together.
    this.#isReceiving = true
    for (const stream of streams) stream.endOfMessage()
    this.#isReceiving = false
    this.#sendCredits()
    this.#owner.onMessageEnd()
  }

  #take(call: Call, kind: AnswerKind, value: unknown, streams: StreamInbox[], nowMs: number): void {
    const stream = call.stream as StreamInbox | undefined
    switch (kind) {
      case AnswerKind.STARTED:
        for (let id = call.id + (value as number); id-- > call.id; ) {
          const one = this.at(id)
          if (one?.id === id) one.started = true
        }
        return
      case AnswerKind.BODY_CREDIT:
        return this.#sendBody(call, value as number)
      case AnswerKind.STREAM:
        if (stream !== undefined) return
        return this.#openStream(call, value as ResponseHead | undefined)
      case AnswerKind.CHUNK:
        if (stream === undefined) return
        stream.push(value)
        if (streams.includes(stream)) return
        streams.push(stream)
        return this.#owner.onChunk(call)
      case AnswerKind.END:
        this.#free(call)
        stream?.end()
        return this.#owner.onDone(call, nowMs)
      case AnswerKind.ERROR: {
        this.#free(call)
        const error = fromErrorEnvelope(value as ErrorEnvelope) as ServeError
        if (this.isRemote && stream === undefined && isRefusal(error) && this.#owner.onRefused !== undefined) {
          this.#rest(error)
          return this.#owner.onRefused(call, error)
        }
        if (error.code === 'ERR_TASK') this.#noteThrow(nowMs)
        stream?.fail(error)
        this.#owner.onError(call, error)
        return this.#owner.onDone(call, nowMs)
      }
      default:
        // An open stream ends by END or ERROR only, whatever the other side says.
        if (stream !== undefined) return
        this.#free(call)
        this.#throws = 0
        this.#owner.onAnswer(call, kind, value)
        this.#owner.onDone(call, nowMs)
    }
  }

  /** What fails at once would look fast: for a while it counts as slow, so that others are called first. After it, one more throw is enough. */
  #noteThrow(nowMs: number): void {
    if (++this.#throws < MOST_THROWS || this.#isShunned) return
    this.#isShunned = true
    this.#latency.add(SHUNNED_MS, nowMs)
    this.#clock.after(SHUNNED_MS, () => {
      this.#isShunned = false
      this.#latency = new PeakEwma(this.#clock.nowMs())
    })
  }

  /** Leaves a node alone for a moment that had no room. */
  #rest(error: ServeError): void {
    if (this.#isResting) return
    this.#isResting = true
    this.#clock.after(Math.max(MIN_REST_MS, Math.min(MAX_REST_MS, error.retryAfterMs ?? MAX_REST_MS)), () => {
      this.#isResting = false
      if (!this.#closed) this.#owner.onMessageEnd()
    })
  }

  #sendBody(call: Call, creditBytes: number): void {
    if (call.upload === undefined || call.state === CallState.SETTLED) return
    let paced = this.#uploads.get(call)
    if (paced === undefined) {
      paced = call.upload.paced({
        part: (bytes) => this.#port.post([BODY, call.id, bytes], [bytes.buffer]),
        end: (...error) => this.#port.post([BODY_END, call.id, ...error]),
        onError: (error) => this.#breakOff(call, error),
      })
      this.#uploads.set(call, paced)
    }
    paced.addCredit(creditBytes)
  }

  /** The rest of the body is lost: a call without an answer so far fails with the reason; else its handler decides. */
  #breakOff(call: Call, error: unknown): void {
    if (call.state !== CallState.SENT || !isServeError(error)) return
    call.cancel(withOutcome(error, 'started-unknown'))
  }

  #openStream(call: Call, head: ResponseHead | undefined): void {
    const stream = new StreamInbox(
      head,
      (chunks) => {
        if (this.#closed || call.lane !== this) return
        this.#credits.push(call.id, chunks)
        if (!this.#isReceiving) this.#sendCredits()
      },
      () => this.cancel(call),
    )
    call.stream = stream
    if (call.state === CallState.SETTLED) return stream.cancel()
    call.state = CallState.STREAMING
    this.#owner.onAnswer(call, AnswerKind.STREAM, stream)
  }

  #sendCredits(): void {
    if (this.#credits.length === 1) return
    const credits = this.#credits
    this.#credits = [CREDIT]
    this.#port.post(credits)
  }

  #windowFor(serviceUs: number): number {
    const room = this.#started === undefined ? Number.POSITIVE_INFINITY : this.#started.length / 2
    if (this.#batching || serviceUs === 0) return Math.min(room, this.#limit)
    return Math.min(room, Math.max(this.#limit, Math.min(256, Math.floor(WORK_PER_MESSAGE_US / serviceUs))))
  }
}

/** What another node says of a call that it did not take: full, or without a replica. */
function isRefusal({ code, outcome }: ServeError): boolean {
  return outcome === 'not-started' && (code === 'ERR_BACK_PRESSURE' || code === 'ERR_OUT_OF_REACH' || code === 'ERR_NO_REPLICA')
}

const argsOf = (meta: unknown): unknown => (meta as { readonly a?: unknown }).a
