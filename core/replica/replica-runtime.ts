import {
  type Clock,
  type ErrorEnvelope,
  fromErrorEnvelope,
  isServeError,
  ServeError,
  type Stop,
  TaskError,
  type Turns,
} from '../base/index.ts'
import { Batcher } from '../batch/index.ts'
import {
  AnswerKind,
  BODY,
  BODY_END,
  CANCEL,
  type CallMeta,
  CREDIT,
  type EncodedAnswer,
  encodeAnswer,
  HttpRequest,
  type JsonLimits,
  ServeRequest,
  SLOTS_PER_CALL,
  STREAMED,
  StreamedBody,
  unpackHandleMeta,
} from '../request/index.ts'
import { AnswerOutbox } from './answer-outbox.ts'
import type { CallPort } from './call-port.ts'
import { planBatches } from './plan-batches.ts'
import type { ServedTarget } from './served-target.ts'
import { StreamOutbox } from './stream-outbox.ts'

/** Synchronous work after which answers leave and other messages are let in, in milliseconds. */
const WORK_SLICE_MS = 1
/** How many short calls are started between two looks at the clock. */
const CALLS_PER_LOOK = 16

/** The limits of a backend that count inside a replica. */
export interface RuntimeLimits {
  /** Most calls started at once. */
  readonly maxConcurrentQueries: number
  /** Most items of a batch; 1 when not batching. */
  readonly maxBatchSize: number
  readonly batchWaitTimeoutMs: number
}

export interface ReplicaRuntimeOptions {
  readonly port: CallPort
  readonly target: ServedTarget
  readonly limits: RuntimeLimits
  /** Name of the backend; for request urls. */
  readonly backend: string
  /** Begins the ids of requests that came by handle. */
  readonly requestIdPrefix: string
  readonly startedFlags?: Uint8Array | undefined
  readonly jsonLimits: JsonLimits
}

/** One call inside the replica. */
interface Received {
  readonly id: number
  readonly method: string
  /** The caller is a gateway and wants its answer rendered. */
  readonly rendered: boolean
  readonly request: ServeRequest | HttpRequest
  readonly deadlineAtMs: number
  /** Not to be put into a batch with others. */
  readonly isAlone: boolean
  /** A body that streams in. */
  readonly body: StreamedBody | undefined
  cancelled: boolean
  stream: StreamOutbox | undefined
}

/**
 * The replica's side of its port: takes calls in, starts at most `maxConcurrentQueries` of them, once per batch where the method takes batches, and
 * sends the answers. The same code runs in a worker thread, a child process, a Web Worker, and beside its callers.
 */
export class ReplicaRuntime {
  readonly #port: CallPort
  readonly #target: ServedTarget
  readonly #options: ReplicaRuntimeOptions
  readonly #clock: Clock
  readonly #turns: Turns
  readonly #outbox: AnswerOutbox
  readonly #batcher: Batcher<Received>
  readonly #waiting: Received[] = []
  #waitingFrom = 0
  /** Taken in, their forms being read. */
  readonly #preparing = new Map<number, Received>()
  /** Started and not answered, by id; synchronous calls never get here. */
  readonly #running = new Map<number, Received>()
  /** Bodies that stream in, by the id of their call. */
  readonly #bodies = new Map<number, StreamedBody>()
  #limits: RuntimeLimits
  #runningBatches = 0
  #pumping = false
  #stopped = false
  #pumpArmed = false
  #batchTimer: Stop | undefined
  #nowMs: number
  #syncUs = 0
  #sampledId = -1
  #asyncUs = 0

  constructor(options: ReplicaRuntimeOptions, clock: Clock, turns: Turns) {
    this.#port = options.port
    this.#target = options.target
    this.#options = options
    this.#limits = options.limits
    this.#clock = clock
    this.#turns = turns
    this.#nowMs = clock.nowMs()
    this.#outbox = new AnswerOutbox(options.port, turns)
    this.#batcher = new Batcher(batchLimits(options.limits))
    this.#port.listen((message) => {
      this.#receive(message)
      this.#pump()
    })
  }

  /** Calls started and not yet answered. */
  get running(): number {
    return this.#running.size
  }

  /** Calls taken in and not yet started. */
  get waiting(): number {
    return this.#waiting.length - this.#waitingFrom + this.#batcher.size
  }

  /** New limits, at once; nothing that runs is stopped. */
  configure(limits: RuntimeLimits): void {
    this.#limits = limits
    this.#batcher.configure(batchLimits(limits))
    this.#armPump()
  }

  /** For a replica that no thread's end will stop: aborts what runs, ends its streams, starts nothing more. */
  stop(): void {
    this.#stopped = true
    this.#batchTimer?.()
    for (const received of this.#running.values()) {
      abortRequest(received)
      received.stream?.cancel()
    }
  }

  #receive(message: readonly unknown[]): void {
    const first = message[0] as number
    if (first === CANCEL) return this.#cancel(message[1] as number)
    if (first === CREDIT) {
      for (let i = 1; i < message.length; i += 2) this.#running.get(message[i] as number)?.stream?.addCredit(message[i + 1] as number)
      return
    }
    if (first === BODY) return this.#bodies.get(message[1] as number)?.push(message[2] as Uint8Array)
    if (first === BODY_END) return this.#endBody(message[1] as number, message[2] as ErrorEnvelope | undefined)
    this.#nowMs = this.#clock.nowMs()
    if (this.#options.startedFlags === undefined) this.#announceStart(message)
    for (let i = 0; i < message.length; i += SLOTS_PER_CALL) {
      this.#takeIn(message[i] as number, message[i + 1] as number, message[i + 2] as CallMeta, message[i + 3])
    }
  }

  /** Without shared memory the calls of a message count as started when it is opened: the safe side. */
  #announceStart(message: readonly unknown[]): void {
    const answers = [this.#outbox.serviceUs]
    let next = -1
    let run = 0
    for (let i = 0; i < message.length; i += SLOTS_PER_CALL) {
      const id = message[i] as number
      if (id !== next) run = answers.push(id, AnswerKind.STARTED, 0) - 1
      ;(answers[run] as number)++
      next = id + 1
    }
    this.#port.post(answers)
  }

  #takeIn(id: number, msLeft: number, meta: CallMeta, data: unknown): void {
    const isHttp = typeof meta === 'string' && meta.charCodeAt(0) !== 0x7b
    const method = isHttp ? meta.slice(1, meta.indexOf('\n')) : meta === 0 ? '' : (unpackHandleMeta(meta).m ?? '')
    const body = isHttp && data === STREAMED ? this.#openBody(id) : undefined
    const received: Received = {
      id,
      method,
      rendered: isHttp && meta.charCodeAt(0) === 0x48,
      request: isHttp
        ? new HttpRequest(meta, body ?? (data as string), this.#options.jsonLimits)
        : new ServeRequest(id, this.#options.requestIdPrefix, this.#options.backend, meta, data),
      deadlineAtMs: this.#nowMs + Math.abs(msLeft),
      isAlone: msLeft < 0,
      body,
      cancelled: false,
      stream: undefined,
    }
    const preparing = isHttp ? HttpRequest.prepare(received.request as HttpRequest) : undefined
    if (preparing === undefined) return this.#enqueue(received)
    this.#preparing.set(id, received)
    void preparing.then(() => {
      this.#preparing.delete(id)
      this.#nowMs = this.#clock.nowMs()
      this.#enqueue(received)
      this.#pump()
    })
  }

  #openBody(id: number): StreamedBody {
    const body = new StreamedBody((bytes) => this.#outbox.add(id, AnswerKind.BODY_CREDIT, bytes))
    this.#bodies.set(id, body)
    return body
  }

  #endBody(id: number, envelope: ErrorEnvelope | undefined): void {
    this.#bodies.get(id)?.end(envelope === undefined ? undefined : fromErrorEnvelope(envelope))
  }

  /** The call has its answer: what is left of its body is nobody's any more. */
  #dropBody(received: Received): void {
    if (received.body === undefined) return
    this.#bodies.delete(received.id)
    received.body.fail(new ServeError('ERR_CANCELLED', 'the call was answered before its body was read', { outcome: 'completed' }))
  }

  #enqueue(received: Received): void {
    const { method, id, isAlone } = received
    if (this.#target.isBatchMethod(method)) this.#batcher.add(isAlone ? `${method}\n${id}` : method, received, this.#nowMs)
    else this.#waiting.push(received)
  }

  /** Starts what may be started. Between slices of a millisecond answers leave and other messages come in. */
  #pump(): void {
    if (this.#pumping || this.#stopped) return
    this.#pumping = true
    try {
      this.#startSingles()
      this.#startBatches()
      // Composing a batch empties the port, which may have held single calls.
      if (this.#waitingFrom < this.#waiting.length && this.#running.size < this.#limits.maxConcurrentQueries) this.#armPump()
    } finally {
      this.#pumping = false
    }
  }

  #startSingles(): void {
    let sinceLook = 0
    let startedAtMs = this.#nowMs
    let count = 0
    while (this.#waitingFrom < this.#waiting.length && this.#running.size < this.#limits.maxConcurrentQueries) {
      const received = this.#waiting[this.#waitingFrom] as Received
      this.#waiting[this.#waitingFrom++] = undefined as never
      if (this.#waitingFrom === this.#waiting.length) {
        this.#waiting.length = 0
        this.#waitingFrom = 0
      }
      if (received.cancelled || this.#isLate(received)) continue
      this.#startOne(received)
      count++
      if (++sinceLook < CALLS_PER_LOOK && this.#syncUs < 20) continue
      sinceLook = 0
      const nowMs = this.#clock.nowMs()
      const elapsedMs = nowMs - startedAtMs
      if (elapsedMs >= WORK_SLICE_MS) {
        this.#noteService((elapsedMs * 1000) / count)
        this.#nowMs = nowMs
        this.#outbox.flush()
        return this.#armPump()
      }
    }
    if (count > 0) {
      startedAtMs = this.#clock.nowMs() - startedAtMs
      this.#noteService((startedAtMs * 1000) / count)
    }
  }

  #startBatches(): void {
    const { batchesAtOnce } = planBatches(this.#limits)
    while (this.#batcher.size > 0 && this.#runningBatches < batchesAtOnce) {
      this.#drainPort()
      const nowMs = this.#clock.nowMs()
      this.#nowMs = nowMs
      const taken = this.#batcher.take(nowMs)
      if (taken.items === undefined) return this.#waitForBatch(taken.waitMs)
      const items = taken.items.filter((received) => !received.cancelled && !this.#isLate(received))
      if (items.length === 0) continue
      this.#startBatch(items, nowMs)
      // A batch that ran on this thread held up everything else: let answers out and messages in before the next.
      if (this.#clock.nowMs() - nowMs >= WORK_SLICE_MS) {
        this.#outbox.flush()
        return this.#armPump()
      }
    }
  }

  /** Where the platform can, the batch is composed at the last moment: with what waits in the port. */
  #drainPort(): void {
    if (this.#port.poll === undefined) return
    for (let message = this.#port.poll(); message !== undefined; message = this.#port.poll()) this.#receive(message)
  }

  #waitForBatch(waitMs: number): void {
    if (waitMs === Number.POSITIVE_INFINITY) return
    this.#batchTimer?.()
    this.#batchTimer = this.#clock.after(waitMs, () => {
      this.#batchTimer = undefined
      this.#nowMs = this.#clock.nowMs()
      this.#pump()
    })
  }

  #startOne(received: Received): void {
    this.#markStarted(received.id)
    try {
      const result = this.#target.call(received.method, received.request)
      if (isThenable(result)) this.#follow(received, result)
      else this.#answer(received, result)
    } catch (error) {
      this.#fail(received, error)
    }
  }

  #follow(received: Received, result: PromiseLike<unknown>): void {
    this.#running.set(received.id, received)
    if (this.#sampledId === -1) {
      this.#sampledId = received.id
      const sinceMs = this.#nowMs
      void Promise.resolve(result).then(
        () => this.#sample(sinceMs),
        () => this.#sample(sinceMs),
      )
    }
    result.then(
      (value) => {
        try {
          this.#answer(received, value)
        } catch (error) {
          this.#fail(received, error)
        }
      },
      (error) => this.#fail(received, error),
    )
  }

  #sample(sinceMs: number): void {
    this.#sampledId = -1
    const us = (this.#clock.nowMs() - sinceMs) * 1000
    this.#asyncUs = this.#asyncUs === 0 ? us : this.#asyncUs + (us - this.#asyncUs) * 0.2
    this.#outbox.serviceUs = Math.max(this.#syncUs, this.#asyncUs)
  }

  #noteService(us: number): void {
    this.#syncUs = this.#syncUs === 0 ? us : this.#syncUs + (us - this.#syncUs) * 0.2
    this.#outbox.serviceUs = Math.max(this.#syncUs, this.#asyncUs)
  }

  #fail(received: Received, error: unknown): void {
    this.#outbox.addError(received.id, toTaskError(error))
    this.#finish(received)
  }

  #answer(received: Received, result: unknown): void {
    const encoded = encodeAnswer(result, received.rendered)
    if (!isThenable(encoded)) return this.#send(received, encoded)
    this.#running.set(received.id, received)
    encoded.then(
      (answer) => this.#send(received, answer),
      (error) => this.#fail(received, error),
    )
  }

  #send(received: Received, answer: EncodedAnswer): void {
    if (answer.kind === AnswerKind.STREAM) return this.#openStream(received, answer)
    this.#outbox.add(received.id, answer.kind, answer.value)
    this.#finish(received)
  }

  #openStream(received: Received, answer: EncodedAnswer): void {
    const stream = new StreamOutbox(received.id, answer.value as AsyncIterator<unknown>, this.#outbox, toTaskError)
    received.stream = stream
    this.#running.set(received.id, received)
    this.#outbox.add(received.id, AnswerKind.STREAM, answer.head)
    if (received.cancelled) stream.cancel()
    void stream.run().then(() => this.#finish(received))
  }

  #finish(received: Received): void {
    this.#dropBody(received)
    if (this.#running.delete(received.id) && this.#waitingFrom < this.#waiting.length) this.#armPump()
  }

  #startBatch(items: readonly Received[], startedAtMs: number): void {
    for (const received of items) this.#markStarted(received.id)
    const [first] = items as [Received]
    this.#runningBatches++
    for (const received of items) this.#running.set(received.id, received)
    const end = (): void => {
      this.#runningBatches--
      this.#noteService(((this.#clock.nowMs() - startedAtMs) * 1000) / items.length)
      if (this.#batcher.size > 0) this.#armPump()
    }
    try {
      const result = this.#target.call(
        first.method,
        items.map((received) => received.request),
      )
      if (isThenable(result)) {
        result.then(
          (values) => {
            this.#answerBatch(items, values)
            end()
          },
          (error) => {
            for (const received of items) this.#fail(received, error)
            end()
          },
        )
        return
      }
      this.#answerBatch(items, result)
    } catch (error) {
      for (const received of items) this.#fail(received, error)
    }
    end()
  }

  #answerBatch(items: readonly Received[], result: unknown): void {
    let values: readonly unknown[] | undefined
    try {
      values = listOf(result)
    } catch (error) {
      for (const received of items) this.#fail(received, error)
      return
    }
    const wrong =
      values === undefined
        ? `batch handler of ${this.#options.backend} expects an ordered iterable as its result, got ${describe(result)}`
        : values.length !== items.length
          ? `batch handler of ${this.#options.backend} doesn't preserve batch size: ${items.length} requests, ${values.length} results`
          : undefined
    if (values === undefined || wrong !== undefined) {
      const error = new ServeError('ERR_BATCH_RESULT', wrong ?? '', { outcome: 'completed' })
      for (const received of items) this.#fail(received, error)
      return
    }
    for (let i = 0; i < items.length; i++) {
      const received = items[i] as Received
      const value = values[i]
      if (value instanceof Error) {
        this.#fail(received, value)
        continue
      }
      try {
        this.#answer(received, value)
      } catch (error) {
        this.#fail(received, error)
      }
    }
  }

  #cancel(id: number): void {
    const running = this.#running.get(id)
    if (running !== undefined) {
      running.cancelled = true
      abortRequest(running)
      running.stream?.cancel()
      return
    }
    const waiting =
      this.#waiting.find((received) => received?.id === id) ??
      this.#batcher.remove((received) => received.id === id) ??
      this.#preparing.get(id)
    if (waiting === undefined || waiting.cancelled) return
    waiting.cancelled = true
    this.#dropBody(waiting)
    this.#outbox.addError(id, cancelled())
  }

  #isLate(received: Received): boolean {
    if (received.deadlineAtMs > this.#nowMs) return false
    this.#dropBody(received)
    this.#outbox.addError(
      received.id,
      new ServeError('ERR_TIMEOUT', 'the deadline passed before the call was started', { outcome: 'not-started' }),
    )
    return true
  }

  #markStarted(id: number): void {
    const flags = this.#options.startedFlags
    if (flags !== undefined) flags[id & (flags.length - 1)] = 1
  }

  #armPump(): void {
    if (this.#pumpArmed) return
    this.#pumpArmed = true
    this.#turns.later(() => {
      this.#pumpArmed = false
      this.#nowMs = this.#clock.nowMs()
      this.#pump()
    })
  }
}

const batchLimits = (limits: RuntimeLimits): RuntimeLimits => ({ ...limits, maxBatchSize: planBatches(limits).batchSize })

const cancelled = (): ServeError => new ServeError('ERR_CANCELLED', 'the caller let go', { outcome: 'started-unknown' })

function abortRequest(received: Received): void {
  const reason = cancelled()
  if (HttpRequest.isOne(received.request)) HttpRequest.abort(received.request, reason)
  else ServeRequest.abort(received.request, reason)
}

/** Codes about the request itself: a handler that reads a broken body passes them on, and the caller should see them as they are. */
const OF_THE_REQUEST = new Set([
  'ERR_NOT_JSON',
  'ERR_BAD_REQUEST',
  'ERR_BODY_STREAMED',
  'ERR_PAYLOAD_TOO_LARGE',
  'ERR_METHOD_NOT_FOUND',
  'ERR_BATCH_RESULT',
  'ERR_NOT_SERIALIZABLE',
])

/** What user code threw, as its caller is told. */
function toTaskError(error: unknown): ServeError {
  if (isServeError(error) && OF_THE_REQUEST.has(error.code)) return error
  const message = error instanceof Error ? error.message : describe(error)
  const name = error instanceof Error && error.name !== 'Error' ? `${error.name}: ` : ''
  return new TaskError(`${name}${message}`, { cause: error })
}

function describe(value: unknown): string {
  if (value === null || typeof value !== 'object') return String(value)
  return Object.prototype.toString.call(value).slice(8, -1)
}

/** Ordered iterables only: a Map, a Set, a string or a plain object has no order of results. */
function listOf(result: unknown): readonly unknown[] | undefined {
  if (Array.isArray(result)) return result
  if (typeof result !== 'object' || result === null || result instanceof Map || result instanceof Set) return undefined
  return typeof (result as Iterable<unknown>)[Symbol.iterator] === 'function' ? Array.from(result as Iterable<unknown>) : undefined
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
