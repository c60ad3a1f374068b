import { type Clock, type Random, ServeError, type Turns } from '../base/index.ts'
import { type CallLane, chooseReplica, type LaneOwner } from '../replica/index.ts'
import { AnswerKind, roughSizeBytes } from '../request/index.ts'
import { type Call, type CallOwner, CallQueue, CallState, DeadlineWheel, LatencyHistogram } from '../service/index.ts'

/** Re-routes of a call that no replica had started. */
const MAX_REROUTES = 3
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
  readonly #wheel: DeadlineWheel
  #limits: QueueLimits
  #lanes: CallLane[] = []
  readonly #draining = new Map<CallLane, () => void>()
  /** Admitted and not yet done, in the queue or in a replica. */
  #open = 0
  /** Of these, in a replica. */
  #outstanding = 0
  #retrying = 0
  #armed = false
  readonly #drainRate = new DrainRate()

  constructor(options: BackendQueueOptions, clock: Clock, turns: Turns, random: Random) {
    this.#options = options
    this.#limits = options.limits
    this.#clock = clock
    this.#turns = turns
    this.#random = random
    this.#wheel = new DeadlineWheel((call) => this.#onDeadline(call), clock)
  }

  get backend(): string {
    return this.#options.backend
  }

  /** Replicas that take calls. */
  get ready(): number {
    return this.#lanes.length
  }

  /** Calls that wait for a slot, whether here or handed over and not started. */
  get queued(): number {
    return Math.max(0, this.#open - this.#slots)
  }

  /** Calls that hold a slot. */
  get ongoing(): number {
    return Math.min(this.#open, this.#slots)
  }

  /** Calls admitted and not yet done. */
  get open(): number {
    return this.#open
  }

  /** New limits, at once, for this queue and its lanes. */
  configure(limits: QueueLimits): void {
    this.#limits = limits
    for (const lane of this.#lanes) this.#configureLane(lane)
    this.#arm()
  }

  addLane(lane: CallLane): void {
    this.#configureLane(lane)
    this.#lanes = [...this.#lanes, lane]
    this.#arm()
  }

  /** Takes no more for this lane; resolves when it holds nothing. */
  drainLane(lane: CallLane): Promise<void> {
    this.#lanes = this.#lanes.filter((other) => other !== lane)
    if (lane.outstanding === 0) return Promise.resolve()
    return new Promise((resolve) => this.#draining.set(lane, resolve))
  }

  /** The replica behind a lane is gone: what it never started goes to others, the rest is told. */
  removeLane(lane: CallLane, reason: string): void {
    this.#lanes = this.#lanes.filter((other) => other !== lane)
    for (const call of lane.close()) this.#settleAfterDeath(call, lane, reason)
    this.#draining.get(lane)?.()
    this.#draining.delete(lane)
    this.#arm()
  }

  /** Takes a call in, or fails its sink with `ERR_BACK_PRESSURE`. */
  submit(call: Call): void {
    const { counters } = this
    counters.received++
    const limits = this.#limits
    const nowMs = this.#clock.nowMs()
    call.owner = this
    call.backend = this.#options.backend
    call.arrivedAtMs = nowMs
    call.deadlineAtMs = nowMs + (call.timeoutMs ?? limits.requestTimeoutMs)
    call.sizeBytes = roughSizeBytes(call.data)
    if (this.#open >= this.#slots && this.#refuse(call, nowMs)) return
    counters.admitted++
    this.#open++
    call.admitted = true
    this.#wheel.add(call, nowMs)
    this.#queue.add(call)
    if (!this.#armed) this.#arm()
    if (this.#lanes.length === 0) this.#options.onStarved?.()
  }

  cancel(call: Call, error: ServeError): void {
    this.#letGo(call, error, true)
  }

  /** Fails everything that waits or runs; for an endpoint or backend that goes away. */
  failAll(makeError: (call: Call) => ServeError, matches: (call: Call) => boolean = () => true): void {
    const kept: Call[] = []
    for (let call = this.#queue.take(); call !== undefined; call = this.#queue.take()) {
      if (matches(call)) {
        this.#wheel.remove(call)
        this.#fail(call, makeError(call))
        this.#done(call)
      } else kept.push(call)
    }
    for (const call of kept) this.#queue.add(call)
  }

  close(): void {
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
    if (this.#queue.size > 0) this.#arm()
    if (this.#draining.size === 0) return
    for (const [lane, resolve] of this.#draining) {
      if (lane.outstanding > 0) continue
      this.#draining.delete(lane)
      resolve()
    }
  }

  get #slots(): number {
    const { maxBatchSize, maxConcurrentQueries } = this.#limits
    const perReplica =
      maxBatchSize > 1 ? maxBatchSize * Math.max(1, Math.floor(maxConcurrentQueries / (2 * maxBatchSize))) : maxConcurrentQueries
    return this.#lanes.length * perReplica
  }

  #configureLane(lane: CallLane): void {
    const { maxBatchSize, maxConcurrentQueries } = this.#limits
    lane.configure(Math.max(maxConcurrentQueries, maxBatchSize > 1 ? 2 * maxBatchSize : 1), maxBatchSize > 1)
  }

  #refuse(call: Call, nowMs: number): boolean {
    const limits = this.#limits
    const waiting = this.#open - this.#slots
    const waitMs = this.#lanes.length === 0 ? undefined : this.#drainRate.waitMs(waiting + 1)
    const why =
      waiting >= limits.maxQueuedRequests
        ? `${waiting} waiting, limit ${limits.maxQueuedRequests} (maxQueuedRequests)`
        : this.#queue.size > 0 && this.#queue.sizeBytes + call.sizeBytes > limits.maxQueuedBytes
          ? `${this.#queue.sizeBytes} bytes waiting, limit ${limits.maxQueuedBytes} (maxQueuedBytes)`
          : waitMs !== undefined && nowMs + waitMs > call.deadlineAtMs
            ? `${waiting} waiting, expected wait ${Math.round(waitMs)} ms is longer than the deadline`
            : undefined
    if (why === undefined) return false
    this.counters.rejected++
    call.state = CallState.SETTLED
    const error = new ServeError('ERR_BACK_PRESSURE', `backend ${this.#options.backend}: ${why}`, {
      outcome: 'not-started',
      retryAfterMs: Math.max(1, Math.ceil(waitMs ?? 1_000)),
      details: { backend: this.#options.backend, waiting },
    })
    call.sink.fail(error)
    return true
  }

  #arm(): void {
    if (this.#armed || this.#queue.size === 0 || this.#lanes.length === 0) return
    this.#armed = true
    // An idle replica gets its call at the end of this turn; while answers are due, gathering for a whole turn makes larger messages.
    if (this.#outstanding === 0) this.#turns.soon(this.#flush)
    else this.#turns.later(this.#flush)
  }

  readonly #flush = (): void => {
    this.#armed = false
    const queue = this.#queue
    const lanes = this.#lanes
    const { maxBatchSize } = this.#limits
    while (queue.size > 0) {
      const lane = chooseReplica(lanes, this.#random)
      if (lane === undefined || !lane.hasRoom) break
      let count = maxBatchSize > 1 ? Math.min(maxBatchSize, Math.ceil(queue.size / lanes.length)) : lane.sliceSize
      for (; count > 0 && lane.hasRoom; count--) {
        const call = queue.take()
        if (call === undefined) break
        this.#outstanding++
        lane.stage(call)
      }
    }
    const nowMs = this.#clock.nowMs()
    for (const lane of lanes) lane.post(nowMs)
  }

  #onDeadline(call: Call): void {
    if (call.state === CallState.STREAMING && (call.stream as { readonly hasUnread: boolean }).hasUnread) {
      return this.#restartIdleClock(call)
    }
    const backend = this.#options.backend
    const afterMs = Math.round(this.#clock.nowMs() - call.arrivedAtMs)
    const lane = call.lane as CallLane | undefined
    if (lane !== undefined) this.#options.onOverdue(lane)
    const error =
      call.state === CallState.STREAMING
        ? new ServeError(
            'ERR_TIMEOUT',
            `backend ${backend}: no part of the stream for ${this.#limits.streamIdleTimeoutMs} ms (streamIdleTimeoutMs)`,
            {
              outcome: 'started-unknown',
            },
          )
        : lane === undefined && this.#lanes.length === 0
          ? new ServeError(
              'ERR_NO_REPLICA',
              `backend ${backend}: no replica was ready within ${afterMs} ms; ${this.#options.describeAbsence()}`,
              {
                outcome: 'not-started',
              },
            )
          : new ServeError('ERR_TIMEOUT', `backend ${backend}: no answer within ${afterMs} ms (requestTimeoutMs or timeoutMs)`, {
              outcome: lane?.hasStarted(call) ? 'started-unknown' : 'not-started',
            })
    this.#letGo(call, error, false)
  }

  /** Takes the call away from wherever it is. In a replica its slot stays taken until the replica says that it is done with it. */
  #letGo(call: Call, error: ServeError, byCaller: boolean): void {
    const { state } = call
    if (state === CallState.SETTLED || !call.admitted) return
    this.#wheel.remove(call)
    if (state === CallState.QUEUED) this.#queue.remove(call)
    const stream = call.stream as { fail(error: unknown): void } | undefined
    if (state === CallState.STREAMING) stream?.fail(error)
    if (byCaller) this.counters.cancelled++
    else this.counters.failed++
    call.state = CallState.SETTLED
    if (state !== CallState.STREAMING) call.sink.fail(error)
    const lane = call.lane as CallLane | undefined
    if (lane === undefined) this.#done(call)
    else lane.cancel(call)
  }

  #settleAfterDeath(call: Call, lane: CallLane, reason: string): void {
    this.#outstanding--
    call.lane = undefined
    if (call.state === CallState.SETTLED) return this.#done(call)
    const started = call.state === CallState.STREAMING || lane.hasStarted(call)
    const stream = call.stream as { fail(error: unknown): void } | undefined
    if (stream === undefined && call.transfer === undefined && this.#mayRunAgain(call, started)) {
      this.counters.retried++
      call.id = -1
      call.started = false
      return this.#queue.addFirst(call)
    }
    const error = new ServeError('ERR_REPLICA_DIED', `backend ${this.#options.backend}: ${reason} while the call was in it`, {
      outcome: started ? 'started-unknown' : 'not-started',
    })
    this.#wheel.remove(call)
    if (stream !== undefined) {
      stream.fail(error)
      call.state = CallState.SETTLED
      this.counters.failed++
    } else this.#fail(call, error)
    this.#done(call)
  }

  #mayRunAgain(call: Call, started: boolean): boolean {
    if (!started) return ++call.attempts <= MAX_REROUTES
    if (call.reruns > 0 || !(call.idempotent ?? this.#limits.idempotent)) return false
    if (this.#retrying >= Math.max(RETRY_FLOOR, RETRY_SHARE * this.#open)) return false
    call.reruns++
    this.#retrying++
    return true
  }

  #fail(call: Call, error: ServeError): void {
    call.state = CallState.SETTLED
    this.counters.failed++
    call.sink.fail(error)
  }

  #done(call: Call, nowMs: number = this.#clock.nowMs()): void {
    if (!call.admitted) return
    call.admitted = false
    this.#open--
    if (call.reruns > 0) this.#retrying--
    this.latency.add(nowMs - call.arrivedAtMs)
    this.#drainRate.add(nowMs, this.#open > this.#slots)
  }

  #restartIdleClock(call: Call): void {
    const nowMs = this.#clock.nowMs()
    this.#wheel.remove(call)
    call.deadlineAtMs = nowMs + this.#limits.streamIdleTimeoutMs
    this.#wheel.add(call, nowMs)
  }
}

/** Calls done per millisecond while some were waiting; what an idle backend does says nothing about how fast a queue would shrink. */
class DrainRate {
  #perMs: number | undefined
  #sinceMs = -1
  #count = 0

  add(nowMs: number, busy: boolean): void {
    if (!busy) {
      this.#sinceMs = -1
      return
    }
    if (this.#sinceMs === -1) {
      this.#sinceMs = nowMs
      this.#count = 0
      return
    }
    this.#count++
    const elapsedMs = nowMs - this.#sinceMs
    if (elapsedMs < 100) return
    const perMs = this.#count / elapsedMs
    this.#perMs = this.#perMs === undefined ? perMs : this.#perMs + (perMs - this.#perMs) * 0.3
    this.#sinceMs = nowMs
    this.#count = 0
  }

  /** Expected wait of the n-th in the queue; undefined while nothing is known. */
  waitMs(waiting: number): number | undefined {
    return this.#perMs === undefined || this.#perMs === 0 ? undefined : waiting / this.#perMs
  }
}
