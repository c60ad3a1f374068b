import { expect } from 'chai'
import fc from 'fast-check'
import { ServeError } from '../../../core/base/index.ts'
import { AnswerKind, type StreamAnswer } from '../../../core/request/index.ts'
import type { FakeReplica } from '../../support/fake-replica.ts'
import { QueueBench, type Submitted } from '../../support/queue-bench.ts'

const codes = (calls: readonly Submitted[]): (string | undefined)[] => calls.map(({ sink }) => sink.code)

describe('BackendQueue', () => {
  describe('admission', () => {
    it('takes slots when calls arrive, so that a burst in one turn finds maxQueuedRequests exact', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 3, maxQueuedRequests: 4 })
      bench.addReplica()
      const calls = bench.burst(10)
      expect(codes(calls)).to.deep.equal([...new Array(7).fill(undefined), ...new Array(3).fill('ERR_BACK_PRESSURE')])
    })

    it('counts the slots of every replica', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 3, maxQueuedRequests: 0 })
      bench.addReplica()
      bench.addReplica()
      expect(codes(bench.burst(7)).filter(Boolean)).to.have.lengthOf(1)
    })

    it('lets a call in again when one is answered', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 1, maxQueuedRequests: 0 })
      const replica = bench.addReplica()
      bench.submit()
      bench.run()
      replica.answer()
      bench.run()
      expect(bench.submit().sink.code).to.equal(undefined)
    })

    it('keeps the slot of a cancelled call that runs, until its replica is done with it', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 1, maxQueuedRequests: 0 })
      const replica = bench.addReplica()
      const { call } = bench.submit()
      bench.run()
      call.cancel(new ServeError('ERR_CANCELLED', 'gone'))
      expect(bench.submit().sink.code).to.equal('ERR_BACK_PRESSURE')
      replica.answer()
      bench.run()
      expect(bench.submit().sink.code).to.equal(undefined)
    })

    it('refuses as not started, saying when to come back', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 1, maxQueuedRequests: 0 })
      bench.addReplica()
      const [, refused] = bench.burst(2)
      expect(refused!.sink.error).to.include({ code: 'ERR_BACK_PRESSURE', outcome: 'not-started' })
      expect(refused!.sink.error!.retryAfterMs).to.be.at.least(1)
    })

    it('refuses what would be more than maxQueuedBytes of waiting payload', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 1, maxQueuedBytes: 1_000 })
      bench.addReplica()
      const data = 'x'.repeat(600)
      bench.submit({ data })
      bench.run()
      expect(codes([bench.submit({ data }), bench.submit({ data }), bench.submit({ data: 'small' })])).to.deep.equal([
        undefined,
        'ERR_BACK_PRESSURE',
        undefined,
      ])
    })

    it('counts the payload of a call that waits again because its replica died', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 1, maxQueuedBytes: 1_000 })
      const replica = bench.addReplica()
      bench.submit({ data: 'x'.repeat(600) })
      bench.run()
      bench.die(replica)
      expect(bench.submit({ data: 'x'.repeat(600) }).sink.code).to.equal('ERR_BACK_PRESSURE')
    })

    it('takes one payload beyond maxQueuedBytes when nothing waits', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 1, maxQueuedBytes: 10 })
      bench.addReplica()
      bench.submit()
      bench.run()
      expect(bench.submit({ data: 'x'.repeat(50) }).sink.code).to.equal(undefined)
    })

    it('lets calls wait for a replica that is not there yet, up to maxQueuedRequests', () => {
      const bench = new QueueBench({ maxQueuedRequests: 2 })
      expect(codes(bench.burst(3))).to.deep.equal([undefined, undefined, 'ERR_BACK_PRESSURE'])
      expect(bench.addReplica().held).to.have.lengthOf(2)
    })

    it('counts as queued what waits beyond the slots, wherever it waits', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 2 })
      const replica = bench.addReplica()
      bench.burst(2)
      bench.run()
      // A call that took next to no time widens the hand-over window far beyond the slots.
      replica.post(replica.held.shift()!.id, AnswerKind.VALUE, 0, 1)
      bench.run()
      bench.burst(9)
      bench.run()
      expect(replica.held).to.have.lengthOf(10)
      expect([bench.queue.ongoing, bench.queue.queued]).to.deep.equal([2, 8])
    })

    it('lets maxQueuedRequests be changed at once', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 1, maxQueuedRequests: 0 })
      bench.addReplica()
      bench.burst(2)
      bench.queue.configure({
        ...{ maxConcurrentQueries: 1, maxBatchSize: 1, maxQueuedBytes: 1e6, requestTimeoutMs: 1e4 },
        streamIdleTimeoutMs: 1e4,
        idempotent: false,
        maxQueuedRequests: 1,
      })
      expect(codes(bench.burst(2))).to.deep.equal([undefined, 'ERR_BACK_PRESSURE'])
    })

    it('counts the slots of batches as its replicas use them', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 2, maxBatchSize: 8, maxQueuedRequests: 0 })
      bench.addReplica()
      expect(codes(bench.burst(3))).to.deep.equal([undefined, undefined, 'ERR_BACK_PRESSURE'])
    })
  })

  describe('expected wait', () => {
    /** A backend with one slot that answers one call per 100 ms while others wait. */
    async function busy(count: number) {
      const bench = new QueueBench({ maxConcurrentQueries: 1, requestTimeoutMs: 10_000 })
      const replica = bench.addReplica()
      bench.burst(count)
      for (let i = 0; i < count - 2; i++) {
        await bench.advance(100)
        replica.answer()
        bench.run()
      }
      return { bench, replica }
    }

    it('refuses a call whose deadline would pass in the queue, with that wait', async () => {
      const { bench } = await busy(40)
      const { sink } = bench.submit({ timeoutMs: 150 })
      expect(sink.code).to.equal('ERR_BACK_PRESSURE')
      expect(sink.error!.retryAfterMs).to.equal(200)
    })

    it('refuses nobody for a queue that it has not watched for two seconds', async () => {
      const { bench } = await busy(15)
      expect(bench.submit({ timeoutMs: 150 }).sink.code).to.equal(undefined)
    })

    it('takes a call whose deadline is later than that', async () => {
      const { bench } = await busy(40)
      expect(bench.submit({ timeoutMs: 250 }).sink.code).to.equal(undefined)
    })

    it('forgets how slow a backend was once it has kept up for a second', async () => {
      const { bench, replica } = await busy(40)
      for (let i = 0; i < 2; i++) {
        replica.answer()
        bench.run()
      }
      for (let i = 0; i < 12; i++) {
        await bench.advance(100)
        bench.submit()
        bench.run()
        replica.answer()
        bench.run()
      }
      bench.submit()
      bench.run()
      expect(bench.submit({ timeoutMs: 50 }).sink.code).to.equal(undefined)
    })
  })

  describe('order', () => {
    it('hands calls over in the order they came', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 10 })
      const replica = bench.addReplica()
      bench.burst(5)
      bench.run()
      expect(replica.data).to.deep.equal([0, 1, 2, 3, 4])
    })

    it('goes on with what waits after a call that could not be sent', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 1 })
      const replica = bench.addReplica()
      const bad = bench.submit({ data: { f: () => {} } })
      bench.submit({ data: 'next' })
      bench.run()
      expect(bad.sink.code).to.equal('ERR_NOT_SERIALIZABLE')
      expect(replica.data).to.deep.equal(['next'])
    })

    it('spreads calls over replicas', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 8 })
      const replicas = [bench.addReplica(), bench.addReplica()]
      for (const replica of replicas) replica.lane.configure(8, false)
      bench.burst(8)
      bench.run()
      expect(replicas.map(({ held }) => held.length).reduce((sum, count) => sum + count)).to.equal(8)
      for (const { held } of replicas) expect(held.length).to.be.at.most(8)
    })
  })

  describe('deadlines', () => {
    it('fails a call that waits, as not started', async () => {
      const bench = new QueueBench({ maxConcurrentQueries: 1, requestTimeoutMs: 100 })
      bench.addReplica()
      const [, waiting] = bench.burst(2)
      await bench.advance(116)
      expect(waiting!.sink.error).to.include({ code: 'ERR_TIMEOUT', outcome: 'not-started' })
      expect(bench.queue.queued).to.equal(0)
    })

    it('fails a call in a replica as perhaps started, and tells the replica', async () => {
      const bench = new QueueBench({ requestTimeoutMs: 100 })
      const replica = bench.addReplica()
      const { sink } = bench.submit()
      bench.run()
      replica.start(replica.held[0]!)
      await bench.advance(116)
      expect(sink.error).to.include({ code: 'ERR_TIMEOUT', outcome: 'started-unknown' })
      expect(replica.cancelled).to.deep.equal([replica.held[0]!.id])
      expect(bench.overdue).to.deep.equal([replica.lane])
    })

    it('never says not started of a call that its replica may still start', async () => {
      const bench = new QueueBench({ requestTimeoutMs: 100 })
      bench.addReplica()
      const { sink } = bench.submit()
      bench.run()
      await bench.advance(116)
      expect(sink.error!.outcome).to.equal('started-unknown')
    })

    it('prefers the deadline of the call to that of the backend', async () => {
      const bench = new QueueBench({ requestTimeoutMs: 100 })
      bench.addReplica()
      const [short, long] = [bench.submit({ timeoutMs: 10 }), bench.submit({ timeoutMs: 1_000 })]
      bench.run()
      await bench.advance(200)
      expect(codes([short, long])).to.deep.equal(['ERR_TIMEOUT', undefined])
    })

    it('fails with ERR_NO_REPLICA when there was none until the deadline', async () => {
      const bench = new QueueBench({ requestTimeoutMs: 100 })
      const { sink } = bench.submit()
      await bench.advance(116)
      expect(sink.error).to.include({ code: 'ERR_NO_REPLICA', outcome: 'not-started' })
    })

    it('drops the answer that comes after the deadline', async () => {
      const bench = new QueueBench({ requestTimeoutMs: 100 })
      const replica = bench.addReplica()
      const { sink } = bench.submit()
      bench.run()
      await bench.advance(116)
      replica.answer()
      bench.run()
      expect(sink.told).to.equal(1)
      expect(bench.queue.open).to.equal(0)
    })

    it('keeps no timer once every call is answered', async () => {
      const bench = new QueueBench()
      const replica = bench.addReplica()
      bench.submit()
      bench.run()
      replica.answer()
      bench.run()
      await bench.advance(20)
      expect(bench.clock.pendingTimers).to.equal(0)
    })
  })

  describe('cancel', () => {
    it('takes a call off the queue', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 1 })
      const replica = bench.addReplica()
      const [, waiting] = bench.burst(2)
      bench.run()
      waiting!.call.cancel(new ServeError('ERR_CANCELLED', 'gone'))
      replica.answer()
      bench.run()
      expect(waiting!.sink.code).to.equal('ERR_CANCELLED')
      expect(replica.held).to.have.lengthOf(0)
    })

    it('leaves no deadline behind', async () => {
      const bench = new QueueBench()
      const { call } = bench.submit()
      call.cancel(new ServeError('ERR_CANCELLED', 'gone'))
      await bench.advance(20)
      expect(bench.clock.pendingTimers).to.equal(0)
    })

    it('does nothing to a call that is answered', () => {
      const bench = new QueueBench()
      const replica = bench.addReplica()
      const { call, sink } = bench.submit()
      bench.run()
      replica.answer('a')
      bench.run()
      call.cancel(new ServeError('ERR_CANCELLED', 'gone'))
      expect([sink.told, sink.value]).to.deep.equal([1, 'a'])
    })
  })

  describe('death of a replica', () => {
    function held(options: { limits?: ConstructorParameters<typeof QueueBench>[0]; count?: number } = {}) {
      const bench = new QueueBench({ maxConcurrentQueries: 10, ...options.limits })
      const replica = bench.addReplica()
      const calls = bench.burst(options.count ?? 1)
      bench.run()
      return { bench, replica, calls }
    }

    it('gives calls that it never started to others, in their order', () => {
      const { bench, replica, calls } = held({ count: 5 })
      bench.die(replica)
      expect(bench.addReplica().data).to.deep.equal([0, 1, 2, 3, 4])
      expect(codes(calls)).to.deep.equal(new Array(5).fill(undefined))
      expect(bench.queue.counters.retried).to.equal(5)
    })

    it('fails a started call with ERR_REPLICA_DIED as perhaps run', () => {
      const { bench, replica, calls } = held()
      replica.start(replica.held[0]!)
      bench.die(replica)
      expect(calls[0]!.sink.error).to.include({ code: 'ERR_REPLICA_DIED', outcome: 'started-unknown' })
    })

    it('tries a call that none starts on four replicas, then fails it as not started', () => {
      const { bench, replica, calls } = held()
      bench.die(replica)
      for (let i = 0; i < 3; i++) bench.die(bench.addReplica())
      expect(calls[0]!.sink.error).to.include({ code: 'ERR_REPLICA_DIED', outcome: 'not-started' })
    })

    it('runs a started call once more when its backend is idempotent, and only once', () => {
      const { bench, replica, calls } = held({ limits: { idempotent: true } })
      replica.start(replica.held[0]!)
      bench.die(replica)
      const second = bench.addReplica()
      expect(second.held).to.have.lengthOf(1)
      second.start(second.held[0]!)
      bench.die(second)
      expect(calls[0]!.sink.code).to.equal('ERR_REPLICA_DIED')
    })

    it('never says of a call that was to be run again that it was not started', async () => {
      const { bench, replica, calls } = held({ limits: { idempotent: true, requestTimeoutMs: 100 } })
      replica.start(replica.held[0]!)
      bench.die(replica)
      await bench.advance(116)
      expect(calls[0]!.sink.error).to.include({ code: 'ERR_NO_REPLICA', outcome: 'started-unknown' })
    })

    it('lets a call say of itself whether it is idempotent', () => {
      const bench = new QueueBench({ maxConcurrentQueries: 10, idempotent: true })
      const replica = bench.addReplica()
      const call = bench.submit({ idempotent: false })
      bench.run()
      replica.start(replica.held[0]!)
      bench.die(replica)
      expect(call.sink.code).to.equal('ERR_REPLICA_DIED')
    })

    it('re-runs at most a fifth of the calls in flight, but at least three', () => {
      for (const [count, reruns] of [
        [10, 3],
        [40, 8],
      ] as const) {
        const { bench, replica, calls } = held({ limits: { idempotent: true, maxConcurrentQueries: 100 }, count })
        for (const call of replica.held) replica.start(call)
        bench.die(replica)
        // Each failure makes the share smaller; the first decision sees them all.
        expect(codes(calls).filter((code) => code === undefined).length, `${count} calls`).to.equal(reruns)
      }
    })

    it('gives the room for re-runs back when they are answered', () => {
      const { bench, replica } = held({ limits: { idempotent: true }, count: 3 })
      for (const call of replica.held) replica.start(call)
      bench.die(replica)
      const second = bench.addReplica()
      for (let i = 0; i < 3; i++) second.answer()
      bench.run()
      const again = bench.burst(3)
      bench.run()
      for (const call of second.held) second.start(call)
      bench.die(second)
      expect(codes(again)).to.deep.equal([undefined, undefined, undefined])
    })

    it('never sends again what was moved away', () => {
      const bench = new QueueBench()
      const replica = bench.addReplica()
      const data = new Uint8Array(4)
      const { sink } = bench.submit({ data, transfer: [data.buffer] })
      bench.run()
      bench.die(replica)
      expect(sink.error).to.include({ code: 'ERR_REPLICA_DIED', outcome: 'not-started' })
    })

    it('keeps the deadline of a call that goes to another replica', async () => {
      const { bench, replica, calls } = held({ limits: { requestTimeoutMs: 100 } })
      await bench.advance(60)
      bench.die(replica)
      bench.addReplica()
      await bench.advance(56)
      expect(codes(calls)).to.deep.equal(['ERR_TIMEOUT'])
    })

    it('breaks an open stream with ERR_REPLICA_DIED', async () => {
      const { bench, replica, calls } = held({ limits: { idempotent: true } })
      replica.post(replica.held[0]!.id, AnswerKind.STREAM, undefined)
      bench.run()
      const stream = calls[0]!.sink.value as StreamAnswer
      bench.die(replica)
      const error = await stream.read().catch((thrown: ServeError) => thrown)
      expect((error as ServeError).code).to.equal('ERR_REPLICA_DIED')
      expect(bench.queue.open).to.equal(0)
    })
  })

  describe('draining', () => {
    it('hands nothing more over, and is done when the last call is answered', async () => {
      const bench = new QueueBench()
      const replica = bench.addReplica()
      bench.submit()
      bench.run()
      let drained = false
      void bench.queue.drainLane(replica.lane).then(() => {
        drained = true
      })
      const later = bench.submit()
      bench.run()
      expect(replica.held).to.have.lengthOf(1)
      await bench.advance(0)
      expect(drained).to.equal(false)
      replica.answer()
      bench.run()
      await bench.advance(0)
      expect(drained).to.equal(true)
      expect(later.sink.told).to.equal(0)
    })

    it('is done at once for a replica that holds nothing', async () => {
      const bench = new QueueBench()
      await bench.queue.drainLane(bench.addReplica().lane)
    })

    it('is done when the replica dies', async () => {
      const bench = new QueueBench()
      const replica = bench.addReplica()
      bench.submit()
      bench.run()
      const drained = bench.queue.drainLane(replica.lane)
      bench.die(replica)
      await drained
    })
  })

  describe('streams', () => {
    function open(limits: ConstructorParameters<typeof QueueBench>[0] = {}) {
      const bench = new QueueBench({ requestTimeoutMs: 100, streamIdleTimeoutMs: 1_000, ...limits })
      const replica = bench.addReplica()
      const { call, sink } = bench.submit()
      bench.run()
      const { id } = replica.held[0]!
      replica.post(id, AnswerKind.STREAM, undefined)
      bench.run()
      return { bench, replica, id, call, sink, stream: sink.value as StreamAnswer }
    }

    it('are not held to the deadline of the call once they are open', async () => {
      const { bench, stream } = open()
      const reading = stream.read()
      await bench.advance(900)
      expect(await Promise.race([reading, Promise.resolve('open')])).to.equal('open')
    })

    it('fail with ERR_TIMEOUT when no part comes for streamIdleTimeoutMs', async () => {
      const { bench, stream, replica, id } = open()
      const reading = stream.read().catch((thrown: ServeError) => thrown)
      await bench.advance(1_016)
      expect(((await reading) as ServeError).code).to.equal('ERR_TIMEOUT')
      expect(replica.cancelled).to.deep.equal([id])
    })

    it('go on while parts come', async () => {
      const { bench, replica, id, stream } = open()
      for (let i = 0; i < 3; i++) {
        await bench.advance(900)
        replica.post(id, AnswerKind.CHUNK, i)
        bench.run()
        expect(await stream.read()).to.deep.equal([i])
      }
    })

    it('do not blame the producer while parts wait for their reader', async () => {
      const { bench, replica, id, stream } = open()
      replica.post(id, AnswerKind.CHUNK, 'unread')
      bench.run()
      await bench.advance(5_000)
      expect(await stream.read()).to.deep.equal(['unread'])
    })

    it('end with the error of a cancel', async () => {
      const { bench, call, stream, replica, id } = open()
      const reading = stream.read().catch((thrown: ServeError) => thrown)
      call.cancel(new ServeError('ERR_CANCELLED', 'gone'))
      bench.run()
      expect(((await reading) as ServeError).code).to.equal('ERR_CANCELLED')
      expect(replica.cancelled).to.deep.equal([id])
    })

    it('count once, at their end', () => {
      const { bench, replica, id } = open()
      expect(bench.queue.counters.succeeded).to.equal(0)
      replica.post(id, AnswerKind.END, undefined)
      bench.run()
      expect(bench.queue.counters).to.include({ admitted: 1, succeeded: 1, failed: 0 })
    })
  })

  describe('failAll', () => {
    it('fails the calls that match, and keeps the others in their order', () => {
      const bench = new QueueBench()
      const calls = bench.burst(4)
      bench.queue.failAll(
        () => new ServeError('ERR_ENDPOINT_NOT_FOUND', 'gone'),
        (call) => (call.data as number) % 2 === 0,
      )
      expect(codes(calls)).to.deep.equal(['ERR_ENDPOINT_NOT_FOUND', undefined, 'ERR_ENDPOINT_NOT_FOUND', undefined])
      expect(bench.addReplica().data).to.deep.equal([1, 3])
    })
  })

  it('refuses what comes after it was closed', () => {
    const bench = new QueueBench()
    bench.queue.close()
    expect(bench.submit().sink.error).to.include({ code: 'ERR_NO_REPLICA', outcome: 'not-started' })
  })

  describe('whatever happens', () => {
    type Step =
      | {
          readonly do: 'submit'
          readonly count: number
          readonly timeoutMs: number | undefined
          readonly idempotent: boolean
          readonly bad: boolean
        }
      | { readonly do: 'answer' | 'fail' | 'start' | 'cancel' | 'die' | 'stream'; readonly pick: number }
      | { readonly do: 'add' | 'run' }
      | { readonly do: 'advance'; readonly ms: number }

    const step: fc.Arbitrary<Step> = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          do: fc.constant('submit' as const),
          count: fc.integer({ min: 1, max: 6 }),
          timeoutMs: fc.constantFrom(undefined, 20, 60),
          idempotent: fc.boolean(),
          bad: fc.constantFrom(false, false, false, true),
        }),
      },
      {
        weight: 8,
        arbitrary: fc.record({
          do: fc.constantFrom(
            'answer' as const,
            'answer' as const,
            'fail' as const,
            'start' as const,
            'cancel' as const,
            'die' as const,
            'stream' as const,
          ),
          pick: fc.nat(99),
        }),
      },
      { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('add' as const, 'run' as const, 'run' as const) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 80 }) }) },
    )

    const pickFrom = <T>(items: readonly T[], pick: number): T | undefined => items[pick % Math.max(1, items.length)]

    it('every call hears of its end exactly once, and the counters balance', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer(), fc.boolean(), async (steps, seed, shared) => {
          const limits = { maxConcurrentQueries: 3, maxQueuedRequests: 5, requestTimeoutMs: 100, streamIdleTimeoutMs: 100 }
          const bench = new QueueBench(limits, seed)
          const calls: Submitted[] = []
          const { counters } = bench.queue
          const check = (): void => {
            expect(counters.received).to.equal(counters.admitted + counters.rejected)
            expect(counters.received).to.equal(calls.length)
            expect(bench.queue.queued).to.be.at.most(Math.max(5, bench.queue.open - 3 * bench.replicas.length))
            for (const { lane } of bench.replicas) expect(lane.outstanding).to.be.within(0, 256)
            for (const { sink } of calls) expect(sink.told).to.be.at.most(1)
          }
          const act = async (one: Step): Promise<void> => {
            switch (one.do) {
              case 'submit': {
                const { timeoutMs, idempotent } = one
                const room = 3 * bench.replicas.length + 5 - bench.queue.open
                const burst = Array.from({ length: one.count }, () =>
                  bench.submit({ data: one.bad ? { f: () => {} } : calls.length, timeoutMs, idempotent }),
                )
                calls.push(...burst)
                // A rate may refuse more, never let in more.
                expect(burst.filter(({ sink }) => sink.told === 0).length).to.be.at.most(Math.max(0, room))
                return
              }
              case 'add':
                if (bench.replicas.length < 3) bench.addReplica({ shared })
                return
              case 'run':
                return bench.run()
              case 'advance':
                return bench.advance(one.ms)
              case 'cancel':
                return pickFrom(calls, one.pick)?.call.cancel(new ServeError('ERR_CANCELLED', 'gone'))
              default:
                playReplica(pickFrom(bench.replicas, one.pick), one)
            }
          }
          const playReplica = (replica: FakeReplica | undefined, one: { readonly do: string; readonly pick: number }): void => {
            if (replica === undefined) return
            if (one.do === 'die') return bench.die(replica)
            const held = pickFrom(replica.held, one.pick)
            if (held === undefined) return
            if (one.do === 'answer') replica.answer('ok', held)
            else if (one.do === 'fail') replica.fail({ name: 'TaskError', message: 'm', code: 'ERR_TASK' }, held)
            else if (one.do === 'start') replica.start(held)
            else replica.open(held)
          }
          for (const one of steps) {
            await act(one)
            check()
          }
          // The end: every replica answers what it holds, every deadline passes.
          bench.addReplica({ shared })
          for (let round = 0; round < 30 && bench.queue.open > 0; round++) {
            for (const replica of bench.replicas) while (replica.held.length > 0) replica.answer('late')
            await bench.advance(50)
          }
          check()
          expect(bench.queue.open, 'open').to.equal(0)
          expect(bench.queue.queued).to.equal(0)
          for (const { lane } of bench.replicas) expect(lane.outstanding).to.equal(0)
          for (const { sink } of calls) expect(sink.told).to.equal(1)
          expect(counters.admitted).to.equal(counters.succeeded + counters.failed + counters.cancelled)
          await bench.advance(200)
          expect(bench.clock.pendingTimers, 'timers').to.equal(0)
        }),
      )
    })
  })
})
