import { type Clock, ServeError, type Turns } from '../../core/base/index.ts'
import { CallLane, type HostedReplica, type LaneOwner, type ReplicaEnd, type RuntimeLimits } from '../../core/replica/index.ts'
import type { StreamAnswer } from '../../core/request/index.ts'
import { serveOutbound } from '../../core/router/index.ts'
import { Call, type CallInit } from '../../core/service/index.ts'

export interface BenchSeams {
  readonly clock: Clock
  readonly turns: Turns
  /** One turn of the event loop. */
  turn(): Promise<void>
}

/** A call on its way to a replica. */
export interface Sent {
  readonly call: Call
  /** Rejects with the error of the call; with `ERR_REPLICA_DIED` when the replica is gone. */
  readonly end: Promise<unknown>
  kind?: number
  value?: unknown
  /** Set when the replica died: whether user code is known to have seen the call. */
  started?: boolean
}

interface Pending extends Sent {
  resolve(value: unknown): void
  reject(error: unknown): void
}

/** A caller of one hosted replica, and the instance that its own calls reach. */
export class HostBench implements LaneOwner {
  readonly #seams: BenchSeams
  readonly #pending = new Map<Call, Pending>()
  readonly #stopOutbound: () => void
  readonly hosted: HostedReplica
  readonly lane: CallLane
  /** What answers calls of the replica's own code, by endpoint. */
  readonly endpoints: Record<string, (call: Call) => void> = {}

  constructor(hosted: HostedReplica, limits: RuntimeLimits, seams: BenchSeams) {
    this.#seams = seams
    this.hosted = hosted
    this.lane = new CallLane(
      { port: hosted.port, owner: this, window: limits.maxConcurrentQueries, startedFlags: hosted.startedFlags },
      seams.clock,
    )
    const dispatch = (call: Call): void => {
      const endpoint = this.endpoints[call.endpoint]
      if (endpoint === undefined) call.sink.fail(new ServeError('ERR_ENDPOINT_NOT_FOUND', `there is no endpoint ${call.endpoint}`))
      else endpoint(call)
    }
    this.#stopOutbound = serveOutbound(hosted.outbound, { dispatch }, seams.turns)
    void hosted.whenGone.then((end) => this.#lose(end))
  }

  /** Sends a call at once. */
  send(data?: unknown, init: Partial<CallInit> & { readonly method?: string } = {}): Sent {
    const [sent] = this.sendAll([data], init)
    return sent as Sent
  }

  /** Sends calls together: primitives share a message. */
  sendAll(data: readonly unknown[], init: Partial<CallInit> = {}): Sent[] {
    const all = data.map((one) => this.#stage(one, init))
    this.lane.post(this.#seams.clock.nowMs())
    return all
  }

  /** Sends a call and waits for its answer. */
  call(data?: unknown, init: Partial<CallInit> = {}): Promise<unknown> {
    return this.send(data, init).end
  }

  async stream(data: unknown): Promise<StreamAnswer> {
    return (await this.call(data)) as StreamAnswer
  }

  turn(): Promise<void> {
    return this.#seams.turn()
  }

  async close(): Promise<void> {
    await this.hosted.stop()
    await this.hosted.whenGone
  }

  onAnswer(call: Call, kind: number, value: unknown): void {
    const pending = this.#pending.get(call)
    if (pending === undefined) return
    this.#pending.delete(call)
    pending.kind = kind
    pending.value = value
    pending.resolve(value)
  }

  onError(call: Call, error: ServeError): void {
    this.#pending.get(call)?.reject(error)
    this.#pending.delete(call)
  }

  onDone(): void {}
  onChunk(): void {}
  onMessageEnd(): void {}

  #stage(data: unknown, init: Partial<CallInit>): Sent {
    const meta = init.meta ?? (init.method === undefined ? 0 : JSON.stringify({ m: init.method }))
    const call = new Call({ endpoint: 'e', method: '', data, sink: { answer() {}, fail() {} }, ...init, meta })
    call.deadlineAtMs = this.#seams.clock.nowMs() + 60_000
    let settle = {} as Pick<Pending, 'resolve' | 'reject'>
    const end = new Promise<unknown>((resolve, reject) => {
      settle = { resolve, reject }
    })
    end.catch(() => undefined)
    const pending: Pending = { call, end, ...settle }
    this.#pending.set(call, pending)
    this.lane.stage(call)
    return pending
  }

  #lose(end: ReplicaEnd): void {
    this.#stopOutbound()
    for (const call of this.lane.close()) {
      const pending = this.#pending.get(call)
      if (pending === undefined) continue
      pending.started = this.lane.hasStarted(call)
      pending.reject(new ServeError('ERR_REPLICA_DIED', end.reason))
    }
  }
}
