import { type Clock, type ErrorCode, type Random, ServeError, type ServeErrorOptions, type Turns, withOutcome } from '../base/index.ts'
import { type CallLane, chooseReplica, type LaneOwner, planBatches } from '../replica/index.ts'
import { AnswerKind, isPrimitive, notSerializable } from '../request/index.ts'
import { type Call, type CallOwner, CallQueue, CallState, DeadlineWheel, LatencyHistogram } from '../service/index.ts'
import { DrainRate } from './drain-rate.ts'
import type { PoisonList } from './poison-list.ts'
import { weigh } from './weigh.ts'

/** Re-routes of a call that no replica had started. */
const MAX_REROUTES = 3
/** Calls of other nodes that may be here, as a multiple of what the replicas take at once: the next ones shall be at hand. */
const GUEST_WINDOWS = 2
/** When another node may try again here. */
const GUEST_RETRY_MS = 20
/** Calls re-run after they had started: at most this share of those in flight, and a floor. */
const RETRY_SHARE = 0.2
const RETRY_FLOOR = 3

/** The limits of a backend that count where its calls are queued. */
export interface QueueLimits {
  readonly maxConcurrentQueries: number
  readonly maxBatchSize: number
  readonly maxQueuedRequests: number
  readonly maxQueuedBytes: number
  readonly requestTimeoutMs: number
  readonly streamIdleTimeoutMs: number
  readonly idempotent: boolean
}

/** Plain numbers, read when somebody asks. received = admitted + rejected; at rest admitted = succeeded + failed + cancelled. */
export interface CallCounters {
  received: number
  admitted: number
  rejected: number
  succeeded: number
  failed: number
  cancelled: number
  retried: number
}

export interface BackendQueueOptions {
  readonly backend: string
  readonly limits: QueueLimits
  /** A call passed its deadline inside a replica; whoever supervises the replica may want to know whether it still turns. */
  readonly onOverdue: (lane: CallLane) => void
  /** A call waits and no replica takes calls; whoever lets replicas sleep wakes one. */
  readonly onStarved?: () => void
  /** Why there is no replica, for the message of `ERR_NO_REPLICA`. */
  readonly describeAbsence: () => string
}

/**
 * The one bounded queue of a backend, and the replicas that take from it. Every call enters by `submit` and leaves with exactly one word to its sink.
 * Slots are counted when a call arrives; what finds none waits, and beyond the limit it is refused at once.
 */
export class BackendQueue implements CallOwner, LaneOwner {
  readonly counters: CallCounters = { received: 0, admitted: 0, rejected: 0, succeeded: 0, failed: 0, cancelled: 0, retried: 0 }
  readonly latency: LatencyHistogram = new LatencyHistogram()
  readonly #options: BackendQueueOptions
  readonly #clock: Clock
  readonly #turns: Turns
  readonly #random: Random
  readonly #queue = new CallQueue()
  /** Calls that only a replica of this node may take: those with reach 'node' or 'thread', and those of other nodes. */
  readonly #near = new CallQueue()
  readonly #wheel: DeadlineWheel
  #limits: QueueLimits
  /** Items that go to one replica together; 1 without batches. */
  #batchSize = 1
  #slotsPerReplica = 0
  #closed = false
  #lanes: CallLane[] = []
  /** The same, by whether they lead to another node. */
  #nearLanes: CallLane[] = []
  #farLanes: CallLane[] = []
  /** Calls of other nodes, admitted and not yet done. */
  #guests = 0
  readonly #draining = new Map<CallLane, () => void>()
  /** Admitted and not yet done, in the queue or in a replica. */
  #open = 0
  /** Of these, in a replica. */
  #outstanding = 0
  #retrying = 0
  #armed = false
  readonly #drainRate = new DrainRate()
  #poison: PoisonList | undefined

  constructor(options: BackendQueueOptions, clock: Clock, turns: Turns, random: Random) {
    this.#options = options
    this.#limits = options.limits
    this.#clock = clock
    this.#turns = turns
    this.#random = random
    this.#wheel = new DeadlineWheel((call) => this.#onDeadline(call), clock)
    this.#plan()
  }

  get backend(): string {
    return this.#options.backend
  }

  /** Replicas that take calls. */
  get ready(): number {
    return this.#lanes.length
  }

  /** Of these, on this node. */
  get readyHere(): number {
    return this.#nearLanes.length
  }

  /** Calls that wait for a slot, whether here or handed over and not started. */
  get queued(): number {
    return Math.max(0, this.#open - this.#slots)
  }

  /** Calls that hold a slot. */
  get ongoing(): number {
    return Math.min(this.#open, this.#slots)
  }

  /** Mean time a call takes in the replicas of this node, in microseconds; 0 while none is known. */
  get serviceUs(): number {
    const known = this.#nearLanes.filter((lane) => lane.serviceUs > 0)
    return known.reduce((sum, lane) => sum + lane.serviceUs, 0) / Math.max(1, known.length)
  }

  /** Calls admitted and not yet done. */
  get open(): number {
    return this.#open
  }

  /** Of these, those that began on this node. */
  get ownOpen(): number {
    return this.#open - this.#guests
  }

  /** New limits, at once, for this queue and its lanes. */
  configure(limits: QueueLimits): void {
    this.#limits = limits
    this.#plan()
    for (const lane of this.#lanes) this.#configureLane(lane)
    this.#arm()
  }

  addLane(lane: CallLane): void {
    this.#configureLane(lane)
    this.#setLanes([...this.#lanes, lane])
    this.#arm()
  }

  /** Takes no more for this lane; resolves when it holds nothing. */
  drainLane(lane: CallLane): Promise<void> {
    this.#setLanes(this.#lanes.filter((other) => other !== lane))
    if (lane.outstanding === 0) return Promise.resolve()
    return new Promise((resolve) => this.#draining.set(lane, resolve))
  }

  /**
   * The replica behind a lane is gone: what it never started goes to others, the rest is told. After a crash the only call that was started in it is
   * blamed for it; of several nobody knows which it was.
   */
  removeLane(lane: CallLane, reason: string, isCrash = true): void {
    this.#setLanes(this.#lanes.filter((other) => other !== lane))
    const calls = lane.close().sort((a, b) => a.id - b.id)
    const [suspect, ...others] = isCrash ? calls.filter((call) => call.state === CallState.STREAMING || lane.hasStarted(call)) : []
    if (suspect !== undefined && others.length === 0) void this.#blame(suspect)
    const again = calls.filter((call) => this.#settleAfterDeath(call, lane, reason))
    for (const call of again.reverse()) this.#putBack(call)
    this.#draining.get(lane)?.()
    this.#draining.delete(lane)
    this.#arm()
  }

  /** Takes a call in, or fails its sink with `ERR_BACK_PRESSURE` or `ERR_POISON`. A shadow never waits: it finds a free slot or is refused. */
  submit(call: Call): void {
    const { counters } = this
    counters.received++
    const limits = this.#limits
    const nowMs = this.#clock.nowMs()
    call.owner = this
    call.backend = this.#options.backend
    call.arrivedAtMs = nowMs
    call.deadlineAtMs = nowMs + (call.timeoutMs ?? limits.requestTimeoutMs)
    if (staysHere(call) && this.#refuseNear(call)) return
    const waits = this.#open >= this.#slots
    if (waits || call.transfer || this.#poison) weigh(call)
    if ((waits || this.#closed) && this.#refuse(call, nowMs)) return
    if (this.#poison?.isActive && this.#refusePoison(call, this.#poison)) return
    counters.admitted++
    this.#open++
    call.admitted = true
    this.#wheel.add(call, nowMs)
    if (call.guest) this.#guests++
    this.#queueOf(call).add(call)
    if (!call.ownsData && !(isPrimitive(call.data) && isPrimitive(call.meta))) this.#capture(call)
    else if (!this.#armed) this.#arm()
    if (this.#lanes.length === 0) this.#options.onStarved?.()
  }

  /** Data that its caller may change after `remote()` leaves at once, or is copied when there is no room for it yet. */
  #capture(call: Call): void {
    this.#flush()
    if (call.state !== CallState.QUEUED) return
    try {
      call.data = structuredClone(call.data, { transfer: call.transfer ?? [] })
      call.meta = structuredClone(call.meta)
      call.transfer = undefined
    } catch (cause) {
      this.#letGo(call, withOutcome(notSerializable(call.data, 'data', cause), 'not-started'), false)
    }
  }

  cancel(call: Call, error: ServeError): void {
    this.#letGo(call, error, true)
  }

  /** Fails everything that waits or runs; for an endpoint or backend that goes away. */
  failAll(makeError: (call: Call) => ServeError, matches: (call: Call) => boolean = () => true): void {
    for (const queue of [this.#near, this.#queue]) {
      const kept: Call[] = []
      for (let call = queue.take(); call !== undefined; call = queue.take()) {
        if (matches(call)) {
          this.#wheel.remove(call)
          this.#fail(call, makeError(call))
          this.#done(call)
        } else kept.push(call)
      }
      for (const call of kept) queue.add(call)
    }
  }

  /** Refuses every call from now on; those inside have been settled by then. */
  close(): void {
    this.#closed = true
    this.#wheel.close()
  }

  // What lanes tell.

  onAnswer(call: Call, kind: AnswerKind, value: unknown): void {
    this.#wheel.remove(call)
    if (call.state === CallState.SETTLED) return
    if (kind === AnswerKind.STREAM) {
      this.#restartIdleClock(call)
    } else {
      call.state = CallState.SETTLED
      this.counters.succeeded++
    }
    call.sink.answer(kind, value)
  }

  onError(call: Call, error: ServeError): void {
    this.#wheel.remove(call)
    if (call.state === CallState.SETTLED) return
    if (call.state === CallState.STREAMING) {
      call.state = CallState.SETTLED
      this.counters.failed++
    } else this.#fail(call, error)
  }

  /** A node that was full sends the call back: it goes first, wherever there is room. */
  onRefused(call: Call, error: ServeError): void {
    this.#outstanding--
    if (call.state === CallState.SETTLED) return this.#done(call)
    if (call.upload?.hasBegun) {
      this.#wheel.remove(call)
      this.#fail(call, error)
      return this.#done(call)
    }
    this.counters.retried++
    call.id = -1
    this.#putBack(call)
    this.#arm()
  }

  onDone(call: Call, nowMs: number): void {
    if (call.state === CallState.STREAMING) {
      this.#wheel.remove(call)
      call.state = CallState.SETTLED
      this.counters.succeeded++
    }
    this.#outstanding--
    this.#done(call, nowMs)
  }

  onChunk(call: Call): void {
    if (call.state === CallState.STREAMING) this.#restartIdleClock(call)
  }

  onMessageEnd(): void {
    if (this.#queue.size > 0 || this.#near.size > 0) this.#arm()
    if (this.#draining.size === 0) return
    for (const [lane, resolve] of this.#draining) {
      if (lane.outstanding > 0) continue
      this.#draining.delete(lane)
      resolve()
    }
  }

  get #slots(): number {
    return this.#lanes.length * this.#slotsPerReplica
  }

  #plan(): void {
    const { batchSize, batchesAtOnce } = planBatches(this.#limits)
    this.#batchSize = batchSize
    this.#slotsPerReplica = batchSize * batchesAtOnce
  }

  #configureLane(lane: CallLane): void {
    const batchSize = this.#batchSize
    lane.configure(Math.max(this.#limits.maxConcurrentQueries, batchSize > 1 ? 2 * batchSize : 1), batchSize > 1)
  }

  #refuse(call: Call, nowMs: number): boolean {
    if (this.#closed) return this.#reject(call, 'ERR_NO_REPLICA', 'it was stopped')
    const limits = this.#limits
    const waiting = this.#open - this.#slots
    const rate = this.#lanes.length > 0 ? this.#drainRate : undefined
    const trustedMs = rate?.trustedWaitMs(waiting + 1)
    const { size, sizeBytes } = this.#queueOf(call)
    const why = call.shadow
      ? 'no slot is free for a shadow'
      : waiting >= limits.maxQueuedRequests
        ? `${waiting} waiting, limit ${limits.maxQueuedRequests} (maxQueuedRequests)`
        : size > 0 && sizeBytes + call.sizeBytes > limits.maxQueuedBytes
          ? `${sizeBytes} bytes waiting, limit ${limits.maxQueuedBytes} (maxQueuedBytes)`
          : trustedMs !== undefined && nowMs + trustedMs > call.deadlineAtMs
            ? `${waiting} waiting, expected wait ${Math.round(trustedMs)} ms is longer than the deadline`
            : undefined
    if (why === undefined) return false
    return this.#reject(call, 'ERR_BACK_PRESSURE', why, {
      retryAfterMs: Math.max(1, Math.ceil(rate?.waitMs(waiting + 1) ?? 1_000)),
      details: { backend: this.#options.backend, waiting },
    })
  }

  /** What remembers payloads comes with the first replica that is lost to one. */
  async #blame(suspect: Call): Promise<void> {
    const { PoisonList } = await import('./poison-list.ts')
    this.#poison ??= new PoisonList(this.#clock)
    this.#poison.blame(suspect)
  }

  #refusePoison(call: Call, poison: PoisonList): boolean {
    const refusedForMs = poison.refusedForMs(call)
    if (refusedForMs === 0) return false
    const retryAfterMs = Math.ceil(refusedForMs)
    return this.#reject(call, 'ERR_POISON', `this payload has ended replicas twice, refused for ${retryAfterMs} ms`, {
      retryAfterMs,
      details: { backend: this.#options.backend },
    })
  }

  #reject(call: Call, code: ErrorCode, why: string, options?: ServeErrorOptions): true {
    this.counters.rejected++
    call.state = CallState.SETTLED
    call.sink.fail(this.#error(code, why, { ...options, outcome: 'not-started' }))
    return true
  }

  #arm(): void {
    if (this.#armed || (this.#queue.size === 0 && this.#near.size === 0) || this.#lanes.length === 0) return
    this.#armed = true
    // An idle replica gets its call at the end of this turn; while answers are due, gathering for a whole turn makes larger messages.
    if (this.#outstanding === 0) this.#turns.soon(this.#flush)
    else this.#turns.later(this.#flush)
  }

  readonly #flush = (): void => {
    this.#armed = false
    const queue = this.#queue
    const lanes = this.#lanes
    if (this.#near.size > 0) this.#handOut(this.#near, this.#nearLanes, this.#chooseNear)
    this.#handOut(queue, lanes, this.#farLanes.length === 0 ? this.#chooseNear : this.#chooseAnywhere)
    const nowMs = this.#clock.nowMs()
    for (const lane of lanes) lane.post(nowMs)
    // What could not be sent has freed its place, and no answer will come to say so.
    if (queue.size > 0 && lanes.some((lane) => lane.hasRoom)) this.#arm()
  }

  #handOut(queue: CallQueue, lanes: readonly CallLane[], choose: () => CallLane | undefined): void {
    const batchSize = this.#batchSize
    while (queue.size > 0) {
      const lane = choose()
      if (lane === undefined || !lane.hasRoom) break
      let count = batchSize > 1 ? Math.min(batchSize, Math.ceil(queue.size / lanes.length)) : lane.sliceSize
      for (; count > 0 && lane.hasRoom; count--) {
        const call = queue.take()
        if (call === undefined) break
        this.#outstanding++
        lane.stage(call)
      }
    }
  }

  readonly #chooseNear = (): CallLane | undefined => chooseReplica(this.#nearLanes, this.#random)

  /** An idle replica of this node first; else the better of the best here and the best elsewhere, by load, in which the way there is counted. */
  readonly #chooseAnywhere = (): CallLane | undefined => {
    const near = chooseReplica(this.#nearLanes, this.#random)
    if (near?.hasRoom && near.outstanding === 0) return near
    const far = chooseReplica(this.#farLanes, this.#random)
    if (near === undefined || !near.hasRoom) return far
    return far === undefined || !far.hasRoom || near.load <= far.load ? near : far
  }

  #queueOf(call: Call): CallQueue {
    return staysHere(call) ? this.#near : this.#queue
  }

  /** From now on it waits: what it carries counts. */
  #putBack(call: Call): void {
    weigh(call)
    this.#queueOf(call).addFirst(call)
  }

  #setLanes(lanes: CallLane[]): void {
    this.#lanes = lanes
    this.#nearLanes = lanes.filter((lane) => !lane.isRemote)
    this.#farLanes = lanes.filter((lane) => lane.isRemote)
  }

  /** What only this node may take and it cannot: another node's call is refused at once, for that one has a queue of its own. */
  #refuseNear(call: Call): boolean {
    if (this.#nearLanes.length === 0 && (call.guest || this.#farLanes.length > 0)) {
      return this.#reject(call, 'ERR_OUT_OF_REACH', 'no replica runs on this node, and the call may not leave it')
    }
    if (!call.guest) return false
    const room = GUEST_WINDOWS * this.#nearLanes.reduce((sum, lane) => sum + lane.window, 0)
    if (this.#guests < room) return false
    const why = `${this.#guests} calls of other nodes are here, the limit is ${room}`
    return this.#reject(call, 'ERR_BACK_PRESSURE', why, { retryAfterMs: GUEST_RETRY_MS })
  }

  #onDeadline(call: Call): void {
    if (call.state === CallState.STREAMING && (call.stream as { readonly hasUnread: boolean }).hasUnread) {
      return this.#restartIdleClock(call)
    }
    const afterMs = Math.round(this.#clock.nowMs() - call.arrivedAtMs)
    const lane = call.lane as CallLane | undefined
    if (lane !== undefined) this.#options.onOverdue(lane)
    // What was handed over may be started until the replica hears of this.
    const outcome = lane === undefined ? 'not-started' : 'started-unknown'
    const hasNone = lane === undefined && this.#lanes.length === 0
    const why =
      call.state === CallState.STREAMING
        ? `no part of the stream for ${this.#limits.streamIdleTimeoutMs} ms (streamIdleTimeoutMs)`
        : hasNone
          ? `no replica was ready within ${afterMs} ms; ${this.#options.describeAbsence()}`
          : `no answer within ${afterMs} ms (requestTimeoutMs or timeoutMs)`
    this.#letGo(call, this.#error(hasNone ? 'ERR_NO_REPLICA' : 'ERR_TIMEOUT', why, { outcome }), false)
  }

  /** Takes the call away from wherever it is. In a replica its slot stays taken until the replica says that it is done with it. */
  #letGo(call: Call, error: ServeError, byCaller: boolean): void {
    const { state } = call
    if (state === CallState.SETTLED || !call.admitted) return
    this.#wheel.remove(call)
    if (state === CallState.QUEUED) this.#queueOf(call).remove(call)
    const stream = call.stream as { fail(error: unknown): void } | undefined
    if (state === CallState.STREAMING) stream?.fail(error)
    if (byCaller) this.counters.cancelled++
    else this.counters.failed++
    call.state = CallState.SETTLED
    if (state !== CallState.STREAMING) call.sink.fail(honest(call, error))
    const lane = call.lane as CallLane | undefined
    if (lane === undefined) this.#done(call)
    else lane.cancel(call)
  }

  /** True for a call that goes back into the queue. */
  #settleAfterDeath(call: Call, lane: CallLane, reason: string): boolean {
    this.#outstanding--
    call.lane = undefined
    if (call.state === CallState.SETTLED) {
      this.#done(call)
      return false
    }
    const started = call.state === CallState.STREAMING || lane.hasStarted(call)
    const stream = call.stream as { fail(error: unknown): void } | undefined
    if (stream === undefined && canBeSentAgain(call) && this.#mayRunAgain(call, started)) {
      this.counters.retried++
      call.id = -1
      call.started = false
      return true
    }
    const error = this.#error('ERR_REPLICA_DIED', `${reason} while the call was in it`, {
      outcome: started ? 'started-unknown' : 'not-started',
    })
    this.#wheel.remove(call)
    if (stream !== undefined) {
      stream.fail(error)
      call.state = CallState.SETTLED
      this.counters.failed++
    } else this.#fail(call, error)
    this.#done(call)
    return false
  }

  #mayRunAgain(call: Call, started: boolean): boolean {
    if (!started) return ++call.attempts <= MAX_REROUTES
    if (call.reruns > 0 || !(call.idempotent ?? this.#limits.idempotent)) return false
    // A batch that ended its replica is run again one by one, all of it.
    if (this.#retrying >= Math.max(RETRY_FLOOR, this.#batchSize, RETRY_SHARE * this.#open)) return false
    call.reruns++
    this.#retrying++
    return true
  }

  #fail(call: Call, error: ServeError): void {
    call.state = CallState.SETTLED
    this.counters.failed++
    call.sink.fail(honest(call, error))
  }

  #done(call: Call, nowMs: number = this.#clock.nowMs()): void {
    if (!call.admitted) return
    call.admitted = false
    this.#open--
    if (call.guest) this.#guests--
    if (call.reruns > 0) this.#retrying--
    this.latency.add(nowMs - call.arrivedAtMs)
    this.#drainRate.add(nowMs, this.#open > this.#slots)
  }

  #error(code: ErrorCode, message: string, options: ServeErrorOptions): ServeError {
    return new ServeError(code, `backend ${this.#options.backend}: ${message}`, options)
  }

  #restartIdleClock(call: Call): void {
    const nowMs = this.#clock.nowMs()
    this.#wheel.remove(call)
    call.deadlineAtMs = nowMs + this.#limits.streamIdleTimeoutMs
    this.#wheel.add(call, nowMs)
  }
}

/** Of a call that is being run again nobody may say that it never started: its first replica had begun with it. */
function honest(call: Call, error: ServeError): ServeError {
  if (call.reruns === 0 || error.outcome !== 'not-started') return error
  return withOutcome(error, 'started-unknown')
}

const staysHere = ({ reach }: Call): boolean => reach === 'node' || reach === 'thread'

/** What was moved to a replica, or has begun to stream to it, is gone with it. */
function canBeSentAgain({ data, transfer, upload }: Call): boolean {
  if (upload?.hasBegun) return false
  // Between processes everything is copied, whatever was given up.
  return transfer === undefined || (ArrayBuffer.isView(data) && data.byteLength > 0)
}
