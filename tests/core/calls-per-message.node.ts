import { expect } from 'chai'
import { checkPortable, NODE_WORKER_GLOBALS } from '../../core/adapters/portability/index.ts'
import { CallLane } from '../../core/replica/index.ts'
import { JSON_LIMITS } from '../../core/request/index.ts'
import { BackendQueue, ServeHandle } from '../../core/router/index.ts'
import { realClock, realTurns } from '../../node/clock.ts'
import { WorkerThreadsHost } from '../../node/worker-threads-host.ts'
import { QUEUE_LIMITS } from '../support/queue-bench.ts'
import { seededRandom } from '../support/seeded-random.ts'

const CALLERS = 64
const CALLS = 20_000
const REPLICAS = 2

/** Lets callers in a closed loop call replicas in worker threads; gives how many calls went in one message, on average. */
async function measure(): Promise<number> {
  const limits = { maxConcurrentQueries: 100, maxBatchSize: 1, batchWaitTimeoutMs: 0 }
  const queue = new BackendQueue(
    { backend: 'b', limits: { ...QUEUE_LIMITS, ...limits }, onOverdue: () => {}, describeAbsence: () => '' },
    realClock,
    realTurns,
    seededRandom(1),
  )
  const host = new WorkerThreadsHost()
  const portable = checkPortable((request: { data: unknown }) => request.data, { globals: NODE_WORKER_GLOBALS, name: 'b' })
  const start = (replicaId: string) =>
    host.start(
      {
        backend: 'b',
        replicaId,
        code: { kind: 'source', portable },
        initArgs: [],
        limits,
        userConfig: undefined,
        jsonLimits: JSON_LIMITS,
        env: {},
      },
      new AbortController().signal,
    )
  const hosted = await Promise.all(Array.from({ length: REPLICAS }, (_, index) => start(`b#${index}`)))
  const lanes = hosted.map(
    ({ port, startedFlags }) => new CallLane({ port, owner: queue, window: limits.maxConcurrentQueries, startedFlags }, realClock),
  )
  for (const lane of lanes) queue.addLane(lane)
  const handle = new ServeHandle('e', { dispatch: (call) => queue.submit(call) })
  let left = CALLS
  const caller = async (): Promise<void> => {
    while (left-- > 0) await handle.remote(left)
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  await Promise.all(hosted.map((replica) => replica.stop()))
  const sum = (count: (lane: CallLane) => number): number => lanes.reduce((total, lane) => total + count(lane), 0)
  expect(sum((lane) => lane.calls)).to.equal(CALLS)
  return CALLS / sum((lane) => lane.messages)
}

describe('calls per message', () => {
  it(`stay at 8 or more with ${REPLICAS} replicas and ${CALLERS} callers, where gathering by the turn alone decays to 1`, async () => {
    expect(await measure()).to.be.at.least(8)
  }).timeout(20_000)
})
