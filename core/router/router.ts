import { didYouMean, type Random, ServeError } from '../base/index.ts'
import {
  chooseBackend,
  chooseByShardKey,
  drawOfShardKey,
  type EndpointEntry,
  emptyRoutingTable,
  type RoutingTable,
  shadowsFor,
} from '../model/index.ts'
import { AnswerKind, type StreamAnswer } from '../request/index.ts'
import { Call, type CallSink } from '../service/index.ts'
import type { BackendQueue } from './backend-queue.ts'
import type { CallTarget } from './handle.ts'

/** Plain numbers of one endpoint. */
export interface EndpointCounters {
  received: number
  /** Requests that went elsewhere because the backend drawn had no replica ready. */
  yielded: number
  /** Copies sent to shadows, copies dropped because a shadow was full, and copies that failed. */
  shadowed: number
  shadowsDropped: number
  shadowsFailed: number
}

/**
 * The data plane of an instance: endpoint → backend of its traffic policy (and shadows beside) → the queue of that backend. It holds a frozen
 * routing table, which is only ever replaced as a whole, and asks no controller anything.
 */
export class Router implements CallTarget {
  readonly #queues: ReadonlyMap<string, BackendQueue>
  readonly #random: Random
  readonly #counters = new Map<string, EndpointCounters>()
  #table: RoutingTable = emptyRoutingTable()

  /** @param queues by tag; the map of the controller, which keeps it up to date. */
  constructor(queues: ReadonlyMap<string, BackendQueue>, random: Random) {
    this.#queues = queues
    this.#random = random
  }

  get table(): RoutingTable {
    return this.#table
  }

  /** Takes a newer table, or another view of the same; an older one is ignored. */
  swap(table: RoutingTable): void {
    if (table.version < this.#table.version) return
    this.#table = table
    for (const name of this.#counters.keys()) if (!table.endpoints.has(name)) this.#counters.delete(name)
  }

  countersOf(endpoint: string): Readonly<EndpointCounters> {
    return this.#countersOf(endpoint)
  }

  dispatch(call: Call): void {
    const entry = this.#table.endpoints.get(call.endpoint)
    if (entry === undefined) return call.sink.fail(this.#notFound(call.endpoint))
    const counters = this.#countersOf(call.endpoint)
    counters.received++
    const { policy } = entry
    const tag = this.#choose(entry, call, counters)
    if (tag === undefined) return call.sink.fail(outOfReach(call))
    const queue = this.#queues.get(tag)
    if (queue === undefined) return call.sink.fail(noBackend(call.endpoint, tag))
    if (policy.shadows.length > 0) this.#castShadows(entry, call, counters)
    queue.submit(call)
  }

  #choose(entry: EndpointEntry, call: Call, counters: EndpointCounters): string | undefined {
    const { policy } = entry
    if (call.reach === 'thread') {
      if (call.shardKey !== undefined) return chooseByShardKey(policy, call.shardKey, this.#isInThisThread)
      return chooseBackend(policy, this.#random(), this.#isInThisThread)
    }
    const [only] = policy.entries
    if (policy.entries.length === 1 && only !== undefined) return only.backend
    const draw = call.shardKey === undefined ? this.#random() : 0
    const pick = (isReady: (tag: string) => boolean): string | undefined =>
      call.shardKey === undefined ? chooseBackend(policy, draw, isReady) : chooseByShardKey(policy, call.shardKey, isReady)
    const wanted = pick(always) ?? ''
    if (this.#isReady(wanted)) return wanted
    const other = pick(this.#isReady)
    if (other === undefined) return wanted
    counters.yielded++
    return other
  }

  readonly #isInThisThread = (tag: string): boolean => this.#table.backends.get(tag)?.isolation === 'inline'

  /** A backend that was scaled to zero is asleep, not down: its requests wait and wake it. */
  readonly #isReady = (tag: string): boolean => {
    const queue = this.#queues.get(tag)
    return queue !== undefined && (queue.ready > 0 || this.#table.backends.get(tag)?.wantedReplicas === 0)
  }

  /** One draw for all shadows, so that their sets are nested; apart from the choice, so that a shadow sees the requests of every backend. */
  #castShadows(entry: EndpointEntry, call: Call, counters: EndpointCounters): void {
    const draw = call.shardKey === undefined ? this.#random() : drawOfShardKey(call.shardKey)
    for (const tag of shadowsFor(entry.policy, draw)) {
      const queue = this.#queues.get(tag)
      if (queue === undefined) continue
      // A body that streams in can be read by one only.
      if (call.upload !== undefined) {
        counters.shadowed++
        counters.shadowsDropped++
        continue
      }
      counters.shadowed++
      try {
        // What the main call gives away must be copied before it goes.
        const data = call.transfer === undefined ? call.data : structuredClone(call.data)
        const copy = new Call({
          ...call,
          endpoint: call.endpoint,
          data,
          ownsData: call.ownsData || call.transfer !== undefined,
          transfer: undefined,
          sink: new ShadowSink(counters),
        })
        copy.shadow = true
        queue.submit(copy)
      } catch {
        // It cannot be copied; the main call will be told so itself.
        counters.shadowsFailed++
      }
    }
  }

  #countersOf(endpoint: string): EndpointCounters {
    let counters = this.#counters.get(endpoint)
    if (counters === undefined) {
      counters = { received: 0, yielded: 0, shadowed: 0, shadowsDropped: 0, shadowsFailed: 0 }
      this.#counters.set(endpoint, counters)
    }
    return counters
  }

  #notFound(endpoint: string): ServeError {
    const message = `there is no endpoint ${endpoint}${didYouMean(endpoint, this.#table.endpoints.keys())}`
    return new ServeError('ERR_ENDPOINT_NOT_FOUND', message, { outcome: 'not-started' })
  }
}

/** Drops the answer of a copy and counts its errors. */
class ShadowSink implements CallSink {
  readonly #counters: EndpointCounters

  constructor(counters: EndpointCounters) {
    this.#counters = counters
  }

  answer(kind: number, value: unknown): void {
    if (kind === AnswerKind.STREAM) (value as StreamAnswer).cancel()
  }

  fail(error: ServeError): void {
    if (error.code === 'ERR_BACK_PRESSURE') this.#counters.shadowsDropped++
    else this.#counters.shadowsFailed++
  }
}

const always = (): boolean => true

const outOfReach = (call: Call): ServeError =>
  new ServeError(
    'ERR_OUT_OF_REACH',
    `endpoint ${call.endpoint}: no replica within reach '${call.reach}'; widen the reach, or serve it with isolation: 'inline'`,
    { outcome: 'not-started' },
  )

const noBackend = (endpoint: string, tag: string): ServeError =>
  new ServeError('ERR_NO_REPLICA', `endpoint ${endpoint}: backend ${tag} is gone`, { outcome: 'not-started' })
