import type { ServeError } from '../base/index.ts'
import type { Upload } from './upload.ts'

/** How a caller hears of the end of its call. Exactly one of the two is called, exactly once. */
export interface CallSink {
  /** `kind` is an `AnswerKind` of `core/request`; for a stream `value` is a `StreamAnswer`. */
  answer(kind: number, value: unknown): void
  fail(error: ServeError): void
}

/** Where a call stands. */
export const CallState = Object.freeze({
  /** Made, or taken back from a replica that never started it. */
  NEW: 0,
  /** In the queue of its backend. */
  QUEUED: 1,
  /** Handed to a replica. */
  SENT: 2,
  /** A stream of parts is open; the slot is held until it ends. */
  STREAMING: 3,
  /** The sink was told. */
  SETTLED: 4,
} as const)
export type CallState = (typeof CallState)[keyof typeof CallState]

/** What a caller decides about one call. */
export interface CallInit {
  readonly endpoint: string
  /** Name of the backend's method; '' is the default one. Batches are made per method. */
  readonly method: string
  /** A `CallMeta` of `core/request`. */
  readonly meta: unknown
  readonly data: unknown
  /** What of `data` is given up instead of copied. */
  readonly transfer?: readonly object[] | undefined
  /** True when nobody else can change `data` while the call waits; else it is sent, or copied, before `dispatch` returns. @default false */
  readonly ownsData?: boolean | undefined
  /** A body that streams in; `data` then says so. */
  readonly upload?: Upload | undefined
  readonly shardKey?: string | undefined
  /** Deadline over queue, attempts and execution until the first part, in milliseconds from now; without it the backend's own. */
  readonly timeoutMs?: number | undefined
  /** True: may be run again once on another replica after it had started. Without it the backend's own setting. */
  readonly idempotent?: boolean | undefined
  /** How far it may travel: to replicas in this thread, on this node, or anywhere. @default 'mesh' */
  readonly reach?: Reach | undefined
  readonly sink: CallSink
}

/** How far a call may travel. */
export type Reach = 'thread' | 'node' | 'mesh'

/**
 * One call on its way: the object that passes through policy, queue, replica set and replica lane. It holds the links of the queue and of the
 * deadline wheel itself, so that a call costs one object and no closure. Only the room that holds a call at a moment writes to it.
 */
export class Call {
  readonly endpoint: string
  readonly method: string
  meta: unknown
  data: unknown
  transfer: readonly object[] | undefined
  /** True when nobody else can change `data` while the call waits. */
  readonly ownsData: boolean
  readonly upload: Upload | undefined
  readonly shardKey: string | undefined
  readonly timeoutMs: number | undefined
  readonly idempotent: boolean | undefined
  readonly reach: Reach | undefined
  readonly sink: CallSink

  state: CallState = CallState.NEW
  /** Tag of the backend that the traffic policy chose. */
  backend = ''
  /** Estimate of the payload in bytes, for the queue's byte limit; 0 when small. */
  sizeBytes = 0
  /** Id on the lane of its replica; -1 when on none. */
  id = -1
  /** Times it was taken back from a replica that never started it. */
  attempts = 0
  /** Times it was run again after a replica had started it. */
  reruns = 0
  arrivedAtMs = 0
  sentAtMs = 0
  deadlineAtMs = 0
  /** Set when its payload was hashed, because one of its size is under suspicion of ending replicas. */
  payloadKey: string | undefined = undefined
  /** True when its replica said that user code is about to see it; only where memory cannot be shared. */
  started = false
  /** True while it fills a slot of its backend; freed once. */
  admitted = false
  /** True for a copy sent to a shadow: its answer is dropped. */
  shadow = false
  /** True for a call that another node sent here: it is run here or refused at once, never passed on. */
  guest = false
  /** Who takes the call off wherever it is; set by the router that admits it, called on cancel and on the deadline. */
  owner: CallOwner | undefined = undefined
  /** The lane that holds it, while SENT or STREAMING. */
  lane: unknown = undefined
  /** What the lane keeps with a call whose answer streams. */
  stream: unknown = undefined

  nextInQueue: Call | undefined = undefined
  previousInQueue: Call | undefined = undefined
  nextInWheel: Call | undefined = undefined
  previousInWheel: Call | undefined = undefined
  wheelSlot = -1

  constructor(init: CallInit) {
    this.endpoint = init.endpoint
    this.method = init.method
    this.meta = init.meta
    this.data = init.data
    this.transfer = init.transfer
    this.ownsData = init.ownsData ?? false
    this.upload = init.upload
    this.shardKey = init.shardKey
    this.timeoutMs = init.timeoutMs
    this.idempotent = init.idempotent
    this.reach = init.reach
    this.sink = init.sink
  }

  /** Takes the call off its queue, or tells its replica; its sink fails with the error. Nothing happens once it is settled. */
  cancel(error: ServeError): void {
    if (this.state !== CallState.SETTLED && this.owner !== undefined) this.owner.cancel(this, error)
  }
}

/** The part of a router that a call can turn to. */
export interface CallOwner {
  cancel(call: Call, error: ServeError): void
}
