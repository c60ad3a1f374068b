import type { Clock, Random, Turns } from '../base/index.ts'
import { queueLimits } from '../controller/index.ts'
import { type RoutingTable, resolveBackendConfig } from '../model/index.ts'
import type { CallLane, RuntimeLimits } from '../replica/index.ts'
import { BackendQueue } from '../router/index.ts'

/** The queues of a peer, one per backend of the routing table or of a replica that runs here. */
export class QueueMap {
  readonly queues = new Map<string, BackendQueue>()
  readonly #onOverdue: (lane: CallLane) => void
  readonly #onStarved: (tag: string) => void
  readonly #clock: Clock
  readonly #turns: Turns
  readonly #random: Random

  /** @param onOverdue a call passed its deadline in a replica. @param onStarved a call waits and no replica is known anywhere */
  constructor(
    { onOverdue, onStarved }: { readonly onOverdue: (lane: CallLane) => void; readonly onStarved: (tag: string) => void },
    clock: Clock,
    turns: Turns,
    random: Random,
  ) {
    this.#onOverdue = onOverdue
    this.#onStarved = onStarved
    this.#clock = clock
    this.#turns = turns
    this.#random = random
  }

  /** The queue of a backend, made when it is not there: a replica starts before its backend is in any table. */
  ensure(tag: string, { maxConcurrentQueries, maxBatchSize }: RuntimeLimits): BackendQueue {
    const known = this.queues.get(tag)
    if (known !== undefined) return known
    const batching = maxBatchSize > 1 ? { maxBatchSize } : {}
    return this.#make(tag, queueLimits(resolveBackendConfig({ maxConcurrentQueries, ...batching })))
  }

  /** Makes the queues as a table says; those of backends that are gone close when nothing of them is left here. */
  follow(table: RoutingTable): void {
    for (const [tag, { config }] of table.backends) {
      const queue = this.queues.get(tag)
      if (queue === undefined) this.#make(tag, queueLimits(config))
      else queue.configure(queueLimits(config))
    }
    for (const [tag, queue] of [...this.queues]) {
      if (table.backends.has(tag) || queue.ready > 0 || queue.open > 0) continue
      this.queues.delete(tag)
      queue.close()
    }
  }

  /** Calls that began here and are not done, by backend. */
  get load(): Readonly<Record<string, number>> {
    const load: Record<string, number> = {}
    for (const [tag, queue] of this.queues) if (queue.ownOpen > 0) load[tag] = queue.ownOpen
    return load
  }

  close(): void {
    for (const queue of this.queues.values()) queue.close()
    this.queues.clear()
  }

  #make(backend: string, limits: ReturnType<typeof queueLimits>): BackendQueue {
    const describeAbsence = (): string => 'none is ready anywhere in the mesh, as far as this peer knows'
    const onStarved = (): void => this.#onStarved(backend)
    const queue = new BackendQueue(
      { backend, limits, onOverdue: this.#onOverdue, onStarved, describeAbsence },
      this.#clock,
      this.#turns,
      this.#random,
    )
    this.queues.set(backend, queue)
    return queue
  }
}
