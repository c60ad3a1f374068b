import { expect } from 'chai'
import { ServeError } from '../../../core/base/index.ts'
import { ACCEPTS_BATCH } from '../../../core/replica/index.ts'
import { Deployment } from '../../support/deployment.ts'
import { makeCall } from '../../support/make-call.ts'
import { QueueBench } from '../../support/queue-bench.ts'

describe('a payload that ends replicas', () => {
  /** Lets one call end a replica in which so many were started. */
  async function crash(bench: QueueBench, data: unknown, started = 1): Promise<void> {
    const replica = bench.addReplica()
    bench.submit({ data })
    for (let i = 1; i < started; i++) bench.submit({ data: 'innocent' })
    bench.run()
    for (const call of replica.held) replica.start(call)
    bench.die(replica)
    await blamed()
  }

  /** The list comes with the first death. */
  const blamed = (): Promise<unknown> => import('../../../core/router/poison-list.ts')

  it('is refused with ERR_POISON when it was alone in two replicas that died, while others flow', async () => {
    const bench = new QueueBench()
    await crash(bench, 'bad')
    await crash(bench, 'bad')
    const bad = bench.submit({ data: 'bad' })
    const good = bench.submit({ data: 'good' })
    expect(bad.sink.error).to.include({ code: 'ERR_POISON', outcome: 'not-started' })
    expect([good.sink.told, bench.queue.counters.rejected]).to.deep.equal([0, 1])
  })

  it('is not held to account when others were started beside it', async () => {
    const bench = new QueueBench()
    for (let i = 0; i < 3; i++) await crash(bench, 'bad', 2)
    expect(bench.submit({ data: 'bad' }).sink.told).to.equal(0)
  })

  it('is not held to account when it was not started', async () => {
    const bench = new QueueBench()
    for (let i = 0; i < 3; i++) {
      const replica = bench.addReplica()
      bench.submit({ data: 'bad' })
      bench.run()
      bench.die(replica)
      await blamed()
    }
    expect(bench.submit({ data: 'bad' }).sink.told).to.equal(0)
  })

  it('is not held to account when its replica was stopped on purpose', () => {
    const bench = new QueueBench()
    for (let i = 0; i < 3; i++) {
      const replica = bench.addReplica()
      bench.submit({ data: 'bad' })
      bench.run()
      replica.start(replica.held[0]!)
      bench.queue.removeLane(replica.lane, 'drained too long', false)
    }
    expect(bench.submit({ data: 'bad' }).sink.told).to.equal(0)
  })

  it('is held to account when its caller had let go, for it ran all the same', async () => {
    const bench = new QueueBench({ requestTimeoutMs: 10 })
    for (let i = 0; i < 2; i++) {
      const replica = bench.addReplica()
      const { call, sink } = makeCall({ data: 'loops' })
      bench.queue.submit(call)
      bench.run()
      replica.start(replica.held[0]!)
      call.cancel(new ServeError('ERR_CANCELLED', 'gone'))
      expect(sink.told).to.equal(1)
      bench.die(replica)
      await blamed()
    }
    expect(bench.submit({ data: 'loops' }).sink.code).to.equal('ERR_POISON')
  })

  it('in a batch: members that may run again are run one by one, and only the culprit fails', async () => {
    const deployment = new Deployment()
    const batches: unknown[][] = []
    const handler = Object.assign(
      async (requests: { data: unknown }[]): Promise<unknown[]> => {
        const data = requests.map((request) => request.data)
        batches.push(data)
        if (data.includes('bad')) {
          void deployment.host.alive[0]?.die()
          await new Promise(() => {})
        }
        return data
      },
      { [ACCEPTS_BATCH]: true },
    )
    const handle = await deployment.serve('b', handler, { maxBatchSize: 4, idempotent: true })
    const responses = ['a', 'bad', 'c', 'd'].map((data) => handle.remote(data))
    const settled = Promise.allSettled(responses)
    for (let i = 0; i < 10; i++) await deployment.advance(100)
    expect((await settled).map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as { code: string }).code))).to.deep.equal([
      'a',
      'ERR_REPLICA_DIED',
      'c',
      'd',
    ])
    expect(batches[0]).to.deep.equal(['a', 'bad', 'c', 'd'])
    expect(batches.slice(1).every((batch) => batch.length === 1)).to.equal(true)
  })

  it('in a batch: members that may not run again are told that they may have run', async () => {
    const deployment = new Deployment()
    const handler = Object.assign(() => new Promise(() => void deployment.host.alive[0]?.die()), { [ACCEPTS_BATCH]: true })
    const handle = await deployment.serve('b', handler, { maxBatchSize: 4 })
    const settled = Promise.allSettled([1, 2].map((data) => handle.remote(data)))
    for (let i = 0; i < 3; i++) await deployment.advance(100)
    expect((await settled).map((one) => one.status === 'rejected' && (one.reason as { outcome: string }).outcome)).to.deep.equal([
      'started-unknown',
      'started-unknown',
    ])
  })
})
