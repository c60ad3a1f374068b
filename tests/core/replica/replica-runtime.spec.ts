import { expect } from 'chai'
import { ServeError } from '../../../core/base/index.ts'
import { ACCEPTS_BATCH } from '../../../core/replica/index.ts'
import type { ServeRequest } from '../../../core/request/index.ts'
import { AnswerKind, gate, RuntimeBench } from '../../support/runtime-bench.ts'

const echo = (request: ServeRequest): unknown => request.data
const batch = <F extends (requests: ServeRequest[]) => unknown>(handler: F): F => Object.assign(handler, { [ACCEPTS_BATCH]: true })

/** A batch handler that the test settles, and the data of every batch it got. */
function batchGate() {
  const { waiting, handler } = gate()
  const held = waiting as unknown as { request: ServeRequest[]; resolve(values: unknown[]): void; reject(error: unknown): void }[]
  return {
    handler: batch(handler as never),
    get batches(): unknown[][] {
      return held.map(({ request }) => request.map(({ data }) => data))
    },
    answer(index: number): void {
      const { request, resolve } = held[index]!
      resolve(request.map(({ data }) => data))
    },
    reject: (index: number, error: unknown) => held[index]!.reject(error),
  }
}

describe('ReplicaRuntime', () => {
  describe('answers', () => {
    it('sends what a synchronous handler returns, all calls of a message in one message', () => {
      const bench = new RuntimeBench(echo)
      bench.send([0, 'a'], [1, 'b'])
      expect(bench.messages).to.deep.equal([
        [
          { id: 0, kind: AnswerKind.VALUE, value: 'a' },
          { id: 1, kind: AnswerKind.VALUE, value: 'b' },
        ],
      ])
    })

    it('sends what an asynchronous handler resolves to', async () => {
      const bench = new RuntimeBench(async (request: ServeRequest) => request.data)
      bench.send([3, 'a'])
      await bench.settle()
      expect(bench.frames).to.deep.equal([{ id: 3, kind: AnswerKind.VALUE, value: 'a' }])
    })

    for (const [what, handler] of [
      [
        'throws',
        () => {
          throw new TypeError('broken')
        },
      ],
      [
        'rejects',
        async () => {
          throw new TypeError('broken')
        },
      ],
    ] as const) {
      it(`sends ERR_TASK with the cause when a handler ${what}`, async () => {
        const bench = new RuntimeBench(handler)
        bench.send([0])
        await bench.settle()
        const { kind, value } = bench.frames[0]!
        expect(kind).to.equal(AnswerKind.ERROR)
        expect([value.code, value.outcome, value.cause.name, value.cause.message]).to.deep.equal([
          'ERR_TASK',
          'completed',
          'TypeError',
          'broken',
        ])
      })
    }

    it('passes on an error about the request itself', async () => {
      const bench = new RuntimeBench(async () => {
        throw new ServeError('ERR_BAD_REQUEST', 'no form')
      })
      bench.send([0])
      await bench.settle()
      expect(bench.frames[0]!.value.code).to.equal('ERR_BAD_REQUEST')
    })

    it('answers ERR_METHOD_NOT_FOUND, listing the methods, for a method that is not there', () => {
      class Digits {
        call(): void {}
        classify(): void {}
      }
      const bench = new RuntimeBench(new Digits())
      bench.send([0, undefined, 'clasify'])
      expect(bench.frames[0]!.value.code).to.equal('ERR_METHOD_NOT_FOUND')
      expect(bench.frames[0]!.value.details.methods).to.deep.equal(['call', 'classify'])
    })

    it('fails only the call whose result cannot travel', () => {
      const bench = new RuntimeBench((request: ServeRequest) => (request.data === 'bad' ? { f: () => {} } : 'fine'))
      bench.send([0, 'bad'], [1, 'good'])
      expect(bench.of(0)[0]!.value).to.deep.include({ code: 'ERR_NOT_SERIALIZABLE', outcome: 'completed' })
      expect(bench.of(1)[0]!.value).to.equal('fine')
    })

    it('sends a list that two calls share as two lists', () => {
      const shared = [1]
      const bench = new RuntimeBench(() => shared)
      bench.send([0], [1])
      expect(bench.of(0)[0]!.value).to.deep.equal([1])
      expect(bench.of(0)[0]!.value).not.to.equal(bench.of(1)[0]!.value)
    })

    it('answers a thenable that breaks in then() and gives its slot back', async () => {
      const broken = {
        // biome-ignore lint/suspicious/noThenProperty: the point of the test
        then: () => {
          throw new Error('no promise')
        },
      }
      const bench = new RuntimeBench((request: ServeRequest) => (request.data === 'bad' ? broken : 'fine'), { maxConcurrentQueries: 1 })
      bench.send([0, 'bad'], [1, 'good'])
      await bench.settle()
      expect(bench.of(0)[0]!.value.code).to.equal('ERR_TASK')
      expect(bench.of(1)[0]?.value).to.equal('fine')
      expect(bench.runtime.running).to.equal(0)
    })
  })

  describe('the limit of started calls', () => {
    it('starts maxConcurrentQueries, however many were handed over', () => {
      const { waiting, handler } = gate()
      const bench = new RuntimeBench(handler, { maxConcurrentQueries: 2 })
      bench.send(...Array.from({ length: 10 }, (_, id) => [id, id] as const))
      expect(waiting.map(({ request }) => request.data)).to.deep.equal([0, 1])
      expect(bench.runtime.waiting).to.equal(8)
    })

    it('starts the next one when one is answered, oldest first', async () => {
      const { waiting, handler } = gate()
      const bench = new RuntimeBench(handler, { maxConcurrentQueries: 2 })
      bench.send(...Array.from({ length: 5 }, (_, id) => [id, id] as const))
      waiting[1]!.resolve(undefined)
      await bench.settle()
      expect(waiting.map(({ request }) => request.data)).to.deep.equal([0, 1, 2])
    })

    it('marks exactly the started ones in shared memory', () => {
      const { handler } = gate()
      const bench = new RuntimeBench(handler, { maxConcurrentQueries: 2 })
      bench.send([0], [1], [2])
      expect([...bench.flags.slice(0, 3)]).to.deep.equal([1, 1, 0])
    })

    it('says of every call of a message that it is started before it runs one, where memory is not shared', () => {
      const bench = new RuntimeBench(echo, { maxConcurrentQueries: 1 }, { shared: false })
      bench.send([0, 'a'], [1, 'b'], [5, 'c'])
      expect(bench.messages[0]).to.deep.equal([
        { id: 0, kind: AnswerKind.STARTED, value: 2 },
        { id: 5, kind: AnswerKind.STARTED, value: 1 },
      ])
    })

    it('starts more at once when the limit is raised', async () => {
      const { waiting, handler } = gate()
      const bench = new RuntimeBench(handler, { maxConcurrentQueries: 1 })
      bench.send([0], [1], [2])
      bench.runtime.configure({ maxConcurrentQueries: 3, maxBatchSize: 1, batchWaitTimeoutMs: 0 })
      await bench.settle()
      expect(waiting).to.have.lengthOf(3)
    })

    it('lets a call through when a handler failed', async () => {
      const { waiting, handler } = gate()
      const bench = new RuntimeBench(handler, { maxConcurrentQueries: 1 })
      bench.send([0], [1])
      waiting[0]!.reject(new Error('no'))
      await bench.settle()
      expect(waiting).to.have.lengthOf(2)
    })
  })

  describe('cancel and deadlines', () => {
    it('drops a call that waits, and answers it', () => {
      const { waiting, handler } = gate()
      const bench = new RuntimeBench(handler, { maxConcurrentQueries: 1 })
      bench.send([0], [1])
      bench.cancel(1)
      expect(bench.of(1)[0]!.value.code).to.equal('ERR_CANCELLED')
      waiting[0]!.resolve(undefined)
      expect(waiting).to.have.lengthOf(1)
    })

    it('never starts a call that was cancelled while it waited', async () => {
      const { waiting, handler } = gate()
      const bench = new RuntimeBench(handler, { maxConcurrentQueries: 1 })
      bench.send([0, 0], [1, 1], [2, 2])
      bench.cancel(1)
      waiting[0]!.resolve(undefined)
      await bench.settle()
      expect(waiting.map(({ request }) => request.data)).to.deep.equal([0, 2])
      expect(bench.of(1)).to.have.lengthOf(1)
    })

    it('aborts the signal of a call that runs, and keeps its slot until the handler settles', async () => {
      const { waiting, handler } = gate()
      const bench = new RuntimeBench(handler, { maxConcurrentQueries: 1 })
      bench.send([0], [1])
      const { signal } = waiting[0]!.request
      bench.cancel(0)
      expect(signal.aborted).to.equal(true)
      expect((signal.reason as ServeError).code).to.equal('ERR_CANCELLED')
      await bench.settle()
      expect(waiting).to.have.lengthOf(1)
      waiting[0]!.resolve(undefined)
      await bench.settle()
      expect(waiting).to.have.lengthOf(2)
    })

    it('gives an aborted signal to a handler that asks only after the cancel', async () => {
      const { waiting, handler } = gate()
      const bench = new RuntimeBench(handler)
      bench.send([0])
      bench.cancel(0)
      expect(waiting[0]!.request.signal.aborted).to.equal(true)
    })

    it('does nothing for an id that it does not know', () => {
      const bench = new RuntimeBench(echo)
      bench.cancel(77)
      bench.credit(77, 1)
      expect(bench.frames).to.have.lengthOf(0)
    })

    it('takes a cancelled call out of the batch it waits for', async () => {
      const gated = batchGate()
      const bench = new RuntimeBench(gated.handler, { maxBatchSize: 4, batchWaitTimeoutMs: 10 })
      bench.send([0, 'a'], [1, 'b'])
      bench.cancel(0)
      await bench.advance(10)
      expect(gated.batches).to.deep.equal([['b']])
    })

    it('drops a call whose deadline passed while it waited, as not started', async () => {
      const { waiting, handler } = gate()
      const bench = new RuntimeBench(handler, { maxConcurrentQueries: 1 })
      bench.send([0, 0], [1, 1, undefined, 5])
      await bench.clock.advance(5)
      waiting[0]!.resolve(undefined)
      await bench.settle()
      expect(waiting).to.have.lengthOf(1)
      expect(bench.of(1)[0]!.value).to.deep.include({ code: 'ERR_TIMEOUT', outcome: 'not-started' })
    })
  })

  describe('batches', () => {
    it('hands over what is queued, at most maxBatchSize', () => {
      const gated = batchGate()
      const bench = new RuntimeBench(gated.handler, { maxBatchSize: 4, maxConcurrentQueries: 8 })
      bench.send(...Array.from({ length: 6 }, (_, id) => [id, id] as const))
      expect(gated.batches).to.deep.equal([[0, 1, 2, 3]])
    })

    it('composes the next batch of all that came while the last one ran', async () => {
      const gated = batchGate()
      const bench = new RuntimeBench(gated.handler, { maxBatchSize: 4, maxConcurrentQueries: 8 })
      bench.send([0, 0])
      bench.send([1, 1])
      bench.send([2, 2])
      gated.answer(0)
      await bench.settle()
      expect(gated.batches).to.deep.equal([[0], [1, 2]])
    })

    it('takes along what lies unread in the port when it composes a batch', () => {
      const gated = batchGate()
      const bench = new RuntimeBench(gated.handler, { maxBatchSize: 4, maxConcurrentQueries: 8 }, { polls: true })
      bench.leave([1, 'b'])
      bench.send([0, 'a'])
      expect(gated.batches).to.deep.equal([['a', 'b']])
    })

    it('starts a single call that lay in the port while a batch was composed', async () => {
      class Mixed {
        static batch = ['many']
        async many(requests: ServeRequest[]): Promise<unknown[]> {
          return requests.map(({ data }) => data)
        }
        one(request: ServeRequest): unknown {
          return request.data
        }
      }
      const bench = new RuntimeBench(new Mixed(), { maxBatchSize: 4, batchWaitTimeoutMs: 50 }, { polls: true })
      bench.leave([1, 'single', 'one'])
      bench.send([0, 'a', 'many'])
      await bench.settle()
      expect(bench.of(1)[0]?.value).to.equal('single')
    })

    it('waits for a full batch until batchWaitTimeoutMs after its first call', async () => {
      const gated = batchGate()
      const bench = new RuntimeBench(gated.handler, { maxBatchSize: 4, batchWaitTimeoutMs: 10 })
      bench.send([0, 'a'])
      await bench.advance(7)
      bench.send([1, 'b'])
      await bench.advance(2)
      expect(gated.batches).to.deep.equal([])
      await bench.advance(1)
      expect(gated.batches).to.deep.equal([['a', 'b']])
    })

    it('sends a full batch without waiting', () => {
      const gated = batchGate()
      const bench = new RuntimeBench(gated.handler, { maxBatchSize: 2, batchWaitTimeoutMs: 10_000 })
      bench.send([0, 'a'], [1, 'b'])
      expect(gated.batches).to.deep.equal([['a', 'b']])
    })

    it('starts as many single-item batches as maxConcurrentQueries when no batch size is set', () => {
      const gated = batchGate()
      const bench = new RuntimeBench(gated.handler, { maxConcurrentQueries: 4 })
      bench.send(...Array.from({ length: 6 }, (_, id) => [id, id] as const))
      expect(gated.batches).to.deep.equal([[0], [1], [2], [3]])
    })

    it('never has more calls started than maxConcurrentQueries, even when a batch could be larger', () => {
      const gated = batchGate()
      const bench = new RuntimeBench(gated.handler, { maxConcurrentQueries: 2, maxBatchSize: 8 })
      bench.send(...Array.from({ length: 6 }, (_, id) => [id, id] as const))
      expect(gated.batches).to.deep.equal([[0, 1]])
    })

    it('batches the methods of a class apart', async () => {
      const seen: [string, unknown[]][] = []
      class Two {
        static batch = ['call', 'other']
        call(requests: ServeRequest[]): unknown[] {
          seen.push(['call', requests.map(({ data }) => data)])
          return requests.map(() => 1)
        }
        other(requests: ServeRequest[]): unknown[] {
          seen.push(['other', requests.map(({ data }) => data)])
          return requests.map(() => 2)
        }
      }
      const bench = new RuntimeBench(new Two(), { maxBatchSize: 4 })
      bench.send([0, 'a'], [1, 'b', 'other'], [2, 'c'])
      await bench.settle()
      expect(seen).to.deep.equal([
        ['call', ['a', 'c']],
        ['other', ['b']],
      ])
    })

    it('answers every item with its own result', async () => {
      const bench = new RuntimeBench(
        batch((requests) => requests.map(({ data }) => `${data}!`)),
        { maxBatchSize: 4 },
      )
      bench.send([0, 'a'], [1, 'b'])
      await bench.settle()
      expect([bench.of(0)[0]!.value, bench.of(1)[0]!.value]).to.deep.equal(['a!', 'b!'])
    })

    it('fails alone the item whose result is an Error', () => {
      const bench = new RuntimeBench(
        batch((requests) => requests.map(({ data }) => (data === 'bad' ? new RangeError('no') : data))),
        {
          maxBatchSize: 4,
        },
      )
      bench.send([0, 'bad'], [1, 'good'])
      expect(bench.of(0)[0]!.value.cause.name).to.equal('RangeError')
      expect(bench.of(1)[0]!.value).to.equal('good')
    })

    it('takes any ordered iterable for the results', () => {
      const bench = new RuntimeBench(
        batch(function* (requests) {
          for (const { data } of requests) yield data
        } as (requests: ServeRequest[]) => unknown),
        { maxBatchSize: 4 },
      )
      bench.send([0, 'a'], [1, 'b'])
      expect(bench.frames.map(({ value }) => value)).to.deep.equal(['a', 'b'])
    })

    for (const [what, result] of [
      ['a single value', 5],
      ['a text', 'ab'],
      [
        'a Map',
        new Map([
          [0, 1],
          [1, 2],
        ]),
      ],
      ['a Set', new Set([1, 2])],
      ['an object', { length: 2 }],
      ['nothing', undefined],
      ['too few', [1]],
      ['too many', [1, 2, 3]],
    ] as const) {
      it(`fails every item with ERR_BATCH_RESULT when the handler returns ${what}`, () => {
        const bench = new RuntimeBench(
          batch(() => result),
          { maxBatchSize: 4 },
        )
        bench.send([0], [1])
        expect(bench.frames.map(({ value }) => value.code)).to.deep.equal(['ERR_BATCH_RESULT', 'ERR_BATCH_RESULT'])
      })
    }

    it('fails every item when the handler throws, and goes on', async () => {
      const gated = batchGate()
      const bench = new RuntimeBench(gated.handler, { maxBatchSize: 2, maxConcurrentQueries: 4 })
      bench.send([0], [1], [2])
      gated.reject(0, new Error('no'))
      await bench.settle()
      expect(bench.frames.map(({ value }) => value.code)).to.deep.equal(['ERR_TASK', 'ERR_TASK'])
      expect(gated.batches).to.have.lengthOf(2)
    })

    it('fails every item when reading the results throws, and goes on', async () => {
      let runs = 0
      const bench = new RuntimeBench(
        batch(async (requests) => {
          if (++runs > 1) return requests.map(() => 'fine')
          return (function* () {
            yield 1
            throw new Error('half way')
          })()
        }),
        { maxBatchSize: 2, maxConcurrentQueries: 4 },
      )
      bench.send([0], [1], [2])
      await bench.settle()
      expect(bench.frames.map(({ value }) => value.code ?? value)).to.deep.equal(['ERR_TASK', 'ERR_TASK', 'fine'])
    })
  })

  describe('streams', () => {
    /** Counts how far its consumer let it come. */
    function counting(length = Number.POSITIVE_INFINITY) {
      const state = { produced: 0, finallyRan: false }
      const handler = async function* (): AsyncGenerator<number> {
        try {
          for (let i = 0; i < length; i++) {
            state.produced++
            yield i
          }
        } finally {
          state.finallyRan = true
        }
      }
      return { state, handler }
    }

    it('opens, sends its parts in order, and ends', async () => {
      const bench = new RuntimeBench(counting(3).handler)
      bench.send([0])
      await bench.settle()
      expect(bench.frames).to.deep.equal([
        { id: 0, kind: AnswerKind.STREAM, value: undefined },
        { id: 0, kind: AnswerKind.CHUNK, value: 0 },
        { id: 0, kind: AnswerKind.CHUNK, value: 1 },
        { id: 0, kind: AnswerKind.CHUNK, value: 2 },
        { id: 0, kind: AnswerKind.END, value: undefined },
      ])
    })

    it('stops its producer at the window of 32 until there is credit', async () => {
      const { state, handler } = counting()
      const bench = new RuntimeBench(handler)
      bench.send([0])
      await bench.advance(0)
      await bench.advance(0)
      expect(state.produced).to.equal(32)
      bench.credit(0, 16)
      await bench.advance(0)
      await bench.advance(0)
      expect(state.produced).to.equal(48)
    })

    it('takes credit for several streams in one message', async () => {
      const { state, handler } = counting()
      const bench = new RuntimeBench(handler)
      bench.send([0], [1])
      await bench.advance(0)
      await bench.advance(0)
      expect(state.produced).to.equal(64)
      bench.credits([0, 16], [77, 1], [1, 8])
      await bench.advance(0)
      await bench.advance(0)
      expect(state.produced).to.equal(88)
    })

    it('keeps its parts in order, whether they share messages or not', async () => {
      const parts = (): unknown[] => [1, { a: 2 }, 'three', new Uint8Array([4]), 5, 6, [7], null]
      const bench = new RuntimeBench(async function* () {
        yield* parts()
      })
      bench.send([0])
      await bench.settle()
      expect(bench.frames.slice(1, -1).map(({ value }) => value)).to.deep.equal(parts())
    })

    it('holds a slot until it ends', async () => {
      const { handler } = counting()
      const bench = new RuntimeBench(handler, { maxConcurrentQueries: 1 })
      bench.send([0], [1])
      await bench.settle()
      expect(bench.of(1)).to.have.lengthOf(0)
      bench.cancel(0)
      await bench.settle()
      expect(bench.of(1)[0]?.kind).to.equal(AnswerKind.STREAM)
    })

    it('runs the finally of its producer when the consumer lets go, and ends', async () => {
      const { state, handler } = counting()
      const bench = new RuntimeBench(handler)
      bench.send([0])
      await bench.settle()
      bench.cancel(0)
      await bench.settle()
      expect(state.finallyRan).to.equal(true)
      expect(bench.frames.at(-1)).to.deep.equal({ id: 0, kind: AnswerKind.END, value: undefined })
    })

    it('ends with the error that its producer throws half way', async () => {
      const bench = new RuntimeBench(async function* () {
        yield 1
        throw new RangeError('half way')
      })
      bench.send([0])
      await bench.settle()
      expect(bench.frames.map(({ kind }) => kind)).to.deep.equal([AnswerKind.STREAM, AnswerKind.CHUNK, AnswerKind.ERROR])
      expect(bench.frames.at(-1)!.value.cause.name).to.equal('RangeError')
    })

    it('ends with ERR_NOT_SERIALIZABLE at a part that cannot travel, and its producer with it', async () => {
      const state = { finallyRan: false }
      const bench = new RuntimeBench(async function* () {
        try {
          yield 1
          yield () => {}
          for (;;) yield 2
        } finally {
          state.finallyRan = true
        }
      })
      bench.send([0])
      await bench.settle()
      expect(bench.frames.map(({ kind }) => kind)).to.deep.equal([AnswerKind.STREAM, AnswerKind.CHUNK, AnswerKind.ERROR])
      expect(bench.frames.at(-1)!.value.code).to.equal('ERR_NOT_SERIALIZABLE')
      expect(state.finallyRan).to.equal(true)
      expect(bench.runtime.running).to.equal(0)
    })
  })

  describe('calls that came over HTTP', () => {
    it('renders their results, and leaves those of handles alone', () => {
      const bench = new RuntimeBench(() => ({ a: 1 }))
      bench.sendHttp(0, [], undefined)
      bench.send([1])
      expect(bench.of(0)[0]).to.deep.equal({ id: 0, kind: AnswerKind.JSON, value: '{"a":1}' })
      expect(bench.of(1)[0]).to.deep.equal({ id: 1, kind: AnswerKind.VALUE, value: { a: 1 } })
    })

    it('are dropped when they are cancelled while their form is read', async () => {
      let calls = 0
      const bench = new RuntimeBench(() => calls++)
      const body = '--x\r\ncontent-disposition: form-data; name="name"\r\n\r\nAda\r\n--x--\r\n'
      bench.sendHttp(0, ['content-type', 'multipart/form-data; boundary=x'], body)
      bench.cancel(0)
      for (let i = 0; i < 20; i++) await bench.settle()
      expect(calls).to.equal(0)
      expect(bench.frames.map(({ value }) => value.code)).to.deep.equal(['ERR_CANCELLED'])
    })

    it('decodes a multipart form before the handler asks', async () => {
      const bench = new RuntimeBench((request: ServeRequest) => (request.form as { name: string }).name)
      const body = '--x\r\ncontent-disposition: form-data; name="name"\r\n\r\nAda\r\n--x--\r\n'
      bench.sendHttp(0, ['Content-Type', 'Multipart/Form-Data; boundary=x'], body)
      // The platform reads the form in turns of its own.
      while (bench.frames.length === 0) await bench.settle()
      expect(bench.frames[0]).to.deep.equal({ id: 0, kind: AnswerKind.TEXT, value: 'Ada' })
    })
  })
})
