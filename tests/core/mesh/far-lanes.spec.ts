import { expect } from 'chai'
import { FarLanes } from '../../../core/mesh/far-lanes.ts'
import { BackendQueue } from '../../../core/router/index.ts'
import { Call } from '../../../core/service/index.ts'
import { FakeClock, testTurns } from '../../support/fake-clock.ts'

const LIMITS = {
  maxConcurrentQueries: 4,
  maxBatchSize: 1,
  maxQueuedRequests: 10,
  maxQueuedBytes: 1_000_000,
  requestTimeoutMs: 20_000,
  streamIdleTimeoutMs: 20_000,
  idempotent: false,
}

/** A queue with lanes to other nodes; nodes without a link are asked for by name. */
function farWorld() {
  const clock = new FakeClock()
  const needed: string[] = []
  const options = { backend: 'work', limits: LIMITS, onOverdue: () => {}, describeAbsence: () => 'none' }
  const queue = new BackendQueue(options, clock, testTurns(), () => 0.5)
  const far = new FarLanes(
    new Map([['work', queue]]),
    (nodeId) => needed.push(nodeId),
    () => false,
    clock,
  )
  const outcomes: unknown[] = []
  const call = (): void =>
    queue.submit(
      new Call({
        endpoint: 'work',
        method: '',
        meta: 0,
        data: 1,
        sink: { answer: (_kind, value) => outcomes.push(value), fail: ({ code }) => outcomes.push(code) },
      } as ConstructorParameters<typeof Call>[0]),
    )
  /** A link whose ports keep what is posted. */
  const link = () => {
    const posted: unknown[] = []
    const port = { post: (message: unknown) => posted.push(message), listen() {}, close() {}, onClosed() {} }
    return { link: { isGone: false, openPort: () => port } as unknown as NonNullable<Parameters<FarLanes['set']>[1]>, posted }
  }
  return { clock, far, needed, outcomes, call, link, queue }
}

const turn = async (clock: FakeClock): Promise<void> => {
  for (let i = 0; i < 5; i++) await clock.advance(0)
}

describe('FarLanes', () => {
  it('send a call elsewhere that waited for a link to a node whose replica went', async () => {
    const { clock, far, needed, call, link } = farWorld()
    far.set('a', undefined, { work: 1 })
    call()
    await turn(clock)
    expect(needed).to.deep.equal(['a'])
    far.set('a', undefined, {})
    const b = link()
    far.set('b', b.link, { work: 1 })
    await turn(clock)
    expect(b.posted).to.have.length(1)
  })

  it('tell the calls of lanes that drain when they close', async () => {
    const { clock, far, outcomes, call, link } = farWorld()
    const a = link()
    far.set('a', a.link, { work: 1 })
    call()
    await turn(clock)
    expect(a.posted).to.have.length(1)
    far.set('a', a.link, {})
    far.close('this peer left')
    await turn(clock)
    expect(outcomes).to.deep.equal(['ERR_REPLICA_DIED'])
  })

  it('leave nothing in a queue that drains for good', async () => {
    const { clock, far, outcomes, call, queue } = farWorld()
    far.set('a', undefined, { work: 1 })
    call()
    await turn(clock)
    far.set('a', undefined, {})
    far.close('this peer left')
    queue.failAll(() => Object.assign(new Error(), { code: 'ERR_CLIENT_CLOSED' }) as never)
    await turn(clock)
    expect(outcomes).to.deep.equal(['ERR_CLIENT_CLOSED'])
    expect(queue.open).to.equal(0)
  })
})
