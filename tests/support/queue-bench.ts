import type { CallLane } from '../../core/replica/index.ts'
import { BackendQueue, type QueueLimits } from '../../core/router/index.ts'
import type { Call, CallInit } from '../../core/service/index.ts'
import { FakeClock } from './fake-clock.ts'
import { FakeReplica, type FakeReplicaOptions } from './fake-replica.ts'
import { makeCall } from './make-call.ts'
import { ManualTurns } from './manual-turns.ts'
import type { RecordingSink } from './recording-sink.ts'
import { seededRandom } from './seeded-random.ts'

export const QUEUE_LIMITS: QueueLimits = Object.freeze({
  maxConcurrentQueries: 2,
  maxBatchSize: 1,
  maxQueuedRequests: 1_000,
  maxQueuedBytes: 64 * 1024 * 1024,
  requestTimeoutMs: 30_000,
  streamIdleTimeoutMs: 30_000,
  idempotent: false,
})

export interface Submitted {
  readonly call: Call
  readonly sink: RecordingSink
}

/** The queue of one backend whose replicas are played by the test. */
export class QueueBench {
  readonly clock = new FakeClock()
  readonly turns = new ManualTurns()
  readonly queue: BackendQueue
  readonly replicas: FakeReplica[] = []
  readonly overdue: CallLane[] = []

  constructor(limits: Partial<QueueLimits> = {}, seed = 1) {
    this.queue = new BackendQueue(
      {
        backend: 'b',
        limits: { ...QUEUE_LIMITS, ...limits },
        onOverdue: (lane) => this.overdue.push(lane),
        describeAbsence: () => 'none was ever there',
      },
      this.clock,
      this.turns,
      seededRandom(seed),
    )
  }

  addReplica(options: FakeReplicaOptions = {}): FakeReplica {
    const replica = new FakeReplica(this.queue, this.clock, this.turns, options)
    this.replicas.push(replica)
    this.queue.addLane(replica.lane)
    this.turns.run()
    return replica
  }

  /** Hands a call in; it goes on with `run`. */
  submit(init: Partial<CallInit> = {}): Submitted {
    const made = makeCall(init)
    this.queue.submit(made.call)
    return made
  }

  /** Hands so many calls in within one turn, their data 0, 1, ... */
  burst(count: number, init: Partial<CallInit> = {}): Submitted[] {
    return Array.from({ length: count }, (_, data) => this.submit({ data, ...init }))
  }

  run(): void {
    this.turns.run()
  }

  die(replica: FakeReplica): void {
    this.replicas.splice(this.replicas.indexOf(replica), 1)
    this.queue.removeLane(replica.lane, 'killed')
    this.turns.run()
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms)
    this.turns.run()
  }
}
