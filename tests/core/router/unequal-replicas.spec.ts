import { expect } from 'chai'
import { TaskError, toErrorEnvelope } from '../../../core/base/index.ts'
import { CallLane } from '../../../core/replica/index.ts'
import { AnswerKind, SLOTS_PER_CALL } from '../../../core/request/index.ts'
import { BackendQueue } from '../../../core/router/index.ts'
import { Call } from '../../../core/service/index.ts'
import { FakeClock, testTurns } from '../../support/fake-clock.ts'
import { seededRandom } from '../../support/seeded-random.ts'

const REPLICAS = 5
const LIMITS = {
  maxConcurrentQueries: 10,
  maxBatchSize: 1,
  maxQueuedRequests: 1_000,
  maxQueuedBytes: 1_000_000_000,
  requestTimeoutMs: 20_000,
  streamIdleTimeoutMs: 20_000,
  idempotent: false,
}

interface Load {
  /** How a call in the first replica ends. The others take 20 ms in the mean, exponentially distributed. */
  readonly first: { readonly meanMs: number; readonly fails: (nowMs: number) => boolean }
  readonly callsPerSecond: number
  readonly forMs: number
  readonly isRemote?: boolean
}

/** Calls that arrive at random times for a while: the share of the first replica, and the 99th percentile of their times. */
async function share({ first, callsPerSecond, forMs, isRemote = false }: Load): Promise<{ share: number; p99Ms: number }> {
  const clock = new FakeClock()
  const random = seededRandom(7)
  const exponential = (mean: number): number => -Math.log(1 - random()) * mean
  const options = { backend: 'work', limits: LIMITS, onOverdue: () => {}, describeAbsence: () => 'none' }
  const queue = new BackendQueue(options, clock, testTurns(), random)
  let calls = 0
  let callsOfFirst = 0
  for (let i = 0; i < REPLICAS; i++) {
    let answer: (message: readonly unknown[]) => void = () => {}
    const post = (message: readonly unknown[]): void => {
      for (let at = 0; at < message.length; at += SLOTS_PER_CALL) {
        const id = message[at]
        const tookMs = exponential(i === 0 ? first.meanMs : 20)
        const error = i === 0 && first.fails(clock.nowMs()) ? toErrorEnvelope(new TaskError('it always does')) : undefined
        calls++
        if (i === 0) callsOfFirst++
        clock.after(tookMs, () => answer([tookMs * 1_000, id, error === undefined ? AnswerKind.VALUE : AnswerKind.ERROR, error]))
      }
    }
    const port = {
      post,
      listen: (listener: typeof answer) => {
        answer = listener
      },
      close() {},
    }
    queue.addLane(new CallLane({ port, owner: queue, window: 10, isRemote }, clock))
  }
  const tookMs: number[] = []
  while (clock.nowMs() < forMs) {
    await clock.advance(exponential(1_000 / callsPerSecond))
    const sinceMs = clock.nowMs()
    const end = (): void => void tookMs.push(clock.nowMs() - sinceMs)
    const sink = { answer: end, fail: end }
    queue.submit(new Call({ endpoint: 'work', method: '', meta: 0, data: 1, sink } as ConstructorParameters<typeof Call>[0]))
  }
  await clock.advance(20_000)
  tookMs.sort((a, b) => a - b)
  return { share: callsOfFirst / calls, p99Ms: tookMs[Math.floor(tookMs.length * 0.99)] as number }
}

const never = (): boolean => false

describe('five replicas of which one is unlike the others', function () {
  this.timeout(60_000)

  for (const isRemote of [false, true]) {
    it(`send one that is twenty times slower 3 % of the calls at most, which take twice as long at most${isRemote ? ', on other nodes too' : ''}`, async () => {
      const load = { callsPerSecond: 1_000, forMs: 4_000, isRemote }
      const healthy = await share({ ...load, first: { meanMs: 20, fails: never } })
      const slow = await share({ ...load, first: { meanMs: 400, fails: never } })
      expect(slow.share).to.be.below(0.03)
      expect(slow.p99Ms).to.be.below(2 * healthy.p99Ms)
    })
  }

  it('send one that throws at once 1 % of the calls at most', async () => {
    const { share: its } = await share({ first: { meanMs: 0.1, fails: () => true }, callsPerSecond: 50, forMs: 300_000 })
    expect(its).to.be.below(0.01)
  })

  it('send it its share again when it is well', async () => {
    const load = { first: { meanMs: 20, fails: (nowMs: number) => nowMs < 1_000 }, callsPerSecond: 50, forMs: 300_000 }
    expect((await share(load)).share).to.be.within(0.15, 0.2)
  })

  it('go on with one that throws now and then', async () => {
    let calls = 0
    const load = { first: { meanMs: 20, fails: () => ++calls % 3 !== 0 }, callsPerSecond: 50, forMs: 60_000 }
    expect((await share(load)).share).to.be.above(0.15)
  })
})
