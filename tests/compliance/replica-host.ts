import { expect } from 'chai'
import { ServeError } from '../../core/base/index.ts'
import {
  ACCEPTS_BATCH,
  Asset,
  encodeInitArgs,
  type ReplicaCode,
  type ReplicaHost,
  type ReplicaSpec,
  type RuntimeLimits,
} from '../../core/replica/index.ts'
import { AnswerKind, encodeHttpHead, JSON_LIMITS, type StreamAnswer } from '../../core/request/index.ts'
import { ServeHandle } from '../../core/router/index.ts'
import type { Call } from '../../core/service/index.ts'
import { type BenchSeams, HostBench } from '../support/host-bench.ts'

/** A host under test. */
export interface HostSetup {
  readonly host: ReplicaHost
  /** Makes the code of a target, as the host wants to receive it. */
  toCode(target: unknown): ReplicaCode
  readonly seams: BenchSeams
}

/** What a kind of host can do; what it cannot is skipped, with the reason. */
export interface HostSupport {
  /** Its code runs apart: a loop or a crash in it ends the replica and nothing else. */
  readonly isolation: true | string
  /** A heap that runs full ends the replica alone. */
  readonly memoryLimit: true | string
  /** Its code may call `process.exit()`. */
  readonly exit: true | string
  /** Buffers that a caller gives up are moved. @default true */
  readonly transfer?: true | string
  /** It knows of every single call whether it was started; else of a whole message, to be on the safe side. @default true */
  readonly exactStarts?: true | string
  /** It knows what an uncaught error said. @default true */
  readonly lastWords?: true | string
}

const LIMITS: RuntimeLimits = { maxConcurrentQueries: 100, maxBatchSize: 1, batchWaitTimeoutMs: 0 }

/** The targets. Each is sent by value, so none may use anything of this file. */
const TARGETS = {
  echo: (request: { data: unknown }) => request.data,
  echoLater: async (request: { data: unknown }) => {
    await undefined
    return request.data
  },
  Counter: class Counter {
    count: number
    ready = false
    config: unknown
    constructor(start: number) {
      this.count = start
    }
    async init(context: { backend: string; replicaId: string }): Promise<void> {
      await undefined
      this.ready = context.backend === 'b' && context.replicaId === 'b#1'
    }
    reconfigure(config: unknown): void {
      if (config === 'refused') throw new RangeError('no such config')
      this.config = config
    }
    checkHealth(): void {
      if (this.config === 'sick') throw new Error('sick')
    }
    call(request: { data: number }): unknown {
      this.count += request.data
      return { count: this.count, ready: this.ready, config: this.config }
    }
    _hidden(): number {
      return 1
    }
  },
  FailsToConstruct: class FailsToConstruct {
    constructor() {
      throw Object.assign(new RangeError('no model'), { path: 'model.onnx' })
    }
  },
  FailsToInit: class FailsToInit {
    async init(): Promise<void> {
      throw new RangeError('no model')
    }
  },
  HangsInInit: class HangsInInit {
    async init(): Promise<void> {
      await new Promise(() => {})
    }
  },
  throwing: () => {
    throw Object.assign(new TypeError('broken'), { detail: { line: 7 }, unsendable: () => {} })
  },
  throwingText: () => {
    throw 'only a text'
  },
  notCloneable: (request: { data: unknown }) => (request.data === 'bad' ? { deep: { f: () => {} } } : 'fine'),
  Kept: class Kept {
    readonly list = [1]
    call(): number[] {
      return this.list
    }
  },
  touchArgument: (request: { data: { list: number[] } }) => {
    request.data.list.push(99)
    return request.data.list.length
  },
  bytes: (request: { data: number }) => ({ whole: new Uint8Array(request.data).fill(7) }),
  batch: Object.assign((requests: { data: unknown }[]) => requests.map(({ data }) => [data, requests.length]), { [ACCEPTS_BATCH]: true }),
  Mixed: class Mixed {
    static batch = ['many']
    many(requests: { data: unknown }[]): unknown[] {
      return requests.map(({ data }) => data)
    }
    one(request: { data: unknown }): unknown {
      return request.data
    }
  },
  Producer: class Producer {
    produced = 0
    ended = 'no'
    async *call(request: { data: { count: number; failAt?: number } }): AsyncGenerator<number> {
      const { count, failAt } = request.data
      try {
        for (let i = 0; i < count; i++) {
          if (i === failAt) throw new RangeError('half way')
          this.produced++
          yield i
        }
      } finally {
        this.ended = 'yes'
      }
    }
    state(): unknown {
      return { produced: this.produced, ended: this.ended }
    }
  },
  Waiter: class Waiter {
    aborted = 0
    started = 0
    wait(request: { signal: AbortSignal }): Promise<string> {
      this.started++
      request.signal.addEventListener('abort', () => this.aborted++)
      return new Promise((resolve) => request.signal.addEventListener('abort', () => resolve('let go')))
    }
    state(): unknown {
      return { started: this.started, aborted: this.aborted }
    }
  },
  Caller: class Caller {
    readonly #handle: { remote(data: unknown): PromiseLike<unknown> & AsyncIterable<unknown> & { cancel(): void } }
    constructor(handle: never) {
      this.#handle = handle
    }
    async call(request: { data: unknown }): Promise<unknown> {
      return ['through', await this.#handle.remote(request.data)]
    }
    async code(request: { data: unknown }): Promise<unknown> {
      try {
        return await this.#handle.remote(request.data)
      } catch (error) {
        return [(error as { code: string }).code, (error as Error).message]
      }
    }
    async parts(request: { data: unknown }): Promise<unknown> {
      const parts: unknown[] = []
      for await (const part of this.#handle.remote(request.data)) parts.push(part)
      return parts
    }
    async firstParts(request: { data: unknown }): Promise<unknown> {
      const parts: unknown[] = []
      for await (const part of this.#handle.remote(request.data)) {
        parts.push(part)
        if (parts.length === 2) break
      }
      return parts
    }
    async cancelled(request: { data: unknown }): Promise<unknown> {
      const response = this.#handle.remote(request.data)
      response.cancel()
      try {
        return await response
      } catch (error) {
        return (error as { code: string }).code
      }
    }
    async cancelledMidStream(request: { data: unknown }): Promise<unknown> {
      const response = this.#handle.remote(request.data)
      try {
        for await (const _ of response) response.cancel()
        return 'ended'
      } catch (error) {
        return (error as { code: string }).code
      }
    }
  },
  UsesAsset: class UsesAsset {
    readonly #asset: { url: string; bytes(): Promise<Uint8Array> }
    constructor(options: { model: never }) {
      this.#asset = options.model
    }
    async call(): Promise<unknown> {
      return [this.#asset.url, (await this.#asset.bytes()).length > 0]
    }
  },
  environment: () => ({ ...process.env }),
  exit: () => process.exit(3),
  ExitsInInit: class ExitsInInit {
    init(): void {
      process.exit(3)
    }
  },
  answerAndExit: (request: { data: unknown }) => {
    if (request.data !== 'exit') return request.data
    setImmediate(() => process.exit(3))
    return 'last word'
  },
  throwsInTimer: () =>
    new Promise(() => {
      setTimeout(() => {
        throw new RangeError('out of the blue')
      })
    }),
  loop: () => {
    for (;;);
  },
  eat: () => {
    const eaten: unknown[] = []
    for (;;) eaten.push(new Array(100_000).fill({}))
  },
  answersResponse: () => new Response('body', { status: 201, headers: { 'x-a': 'b' } }),
}

/** What every host does alike. */
export function replicaHostCompliance(name: string, setup: () => HostSetup, supports: HostSupport): void {
  describe(`replica host: ${name}`, () => {
    const open: HostBench[] = []
    afterEach(async () => {
      for (const bench of open.splice(0)) await bench.close()
    })

    const specOf = (code: ReplicaCode, more: Partial<ReplicaSpec> = {}): ReplicaSpec => ({
      backend: 'b',
      replicaId: 'b#1',
      code,
      initArgs: [],
      limits: LIMITS,
      userConfig: undefined,
      jsonLimits: JSON_LIMITS,
      env: {},
      ...more,
    })

    /** A replica of a target, and a bench that calls it. */
    async function start(
      target: unknown,
      more: Partial<ReplicaSpec> & { readonly initArgs?: readonly unknown[] } = {},
    ): Promise<HostBench> {
      const { host, toCode, seams } = setup()
      const spec = specOf(toCode(target), { ...more, initArgs: encodeInitArgs('b', more.initArgs ?? []) })
      const bench = new HostBench(await host.start(spec, new AbortController().signal), spec.limits, seams)
      open.push(bench)
      return bench
    }

    async function failure(work: Promise<unknown>): Promise<ServeError> {
      try {
        await work
      } catch (error) {
        return error as ServeError
      }
      throw new Error('it did not fail')
    }

    /** A test of what not every host can do. */
    const when = (support: true | string | undefined, title: string, test: () => Promise<void>): void => {
      if (typeof support !== 'string') it(title, test)
      else it.skip(`${title} (${support})`)
    }

    describe('start', () => {
      it('describes a function', async () => {
        const { hosted } = await start(TARGETS.echo)
        expect(hosted.description).to.deep.equal({
          form: 'function',
          methods: [],
          batchMethods: [],
          hasReconfigure: false,
          hasCheckHealth: false,
        })
      })

      it('describes a class by its public methods', async () => {
        const { hosted } = await start(TARGETS.Counter, { initArgs: [0] })
        expect(hosted.description).to.deep.equal({
          form: 'class',
          methods: ['call'],
          batchMethods: [],
          hasReconfigure: true,
          hasCheckHealth: true,
        })
      })

      it('describes what takes batches', async () => {
        expect((await start(TARGETS.Mixed)).hosted.description.batchMethods).to.deep.equal(['many'])
      })

      it('constructs with initArgs, awaits init, then gives the userConfig', async () => {
        const bench = await start(TARGETS.Counter, { initArgs: [40], userConfig: { level: 1 } })
        expect(await bench.call(2)).to.deep.equal({ count: 42, ready: true, config: { level: 1 } })
      })

      it('rejects with ERR_BACKEND_START_FAILED and the cause when the constructor throws', async () => {
        const error = await failure(start(TARGETS.FailsToConstruct))
        expect(error.code).to.equal('ERR_BACKEND_START_FAILED')
        expect(error.cause).to.include({ name: 'RangeError', message: 'no model', path: 'model.onnx' })
      })

      it('rejects with ERR_BACKEND_START_FAILED when init rejects', async () => {
        const error = await failure(start(TARGETS.FailsToInit))
        expect([error.code, (error.cause as Error).name]).to.deep.equal(['ERR_BACKEND_START_FAILED', 'RangeError'])
      })

      it('rejects with ERR_RECONFIGURE_FAILED when the first reconfigure throws', async () => {
        expect((await failure(start(TARGETS.Counter, { initArgs: [0], userConfig: 'refused' }))).code).to.equal('ERR_RECONFIGURE_FAILED')
      })

      it('rejects with ERR_INVALID_ARG_VALUE when a function is given initArgs', async () => {
        expect((await failure(start(TARGETS.echo, { initArgs: [1] }))).code).to.equal('ERR_INVALID_ARG_VALUE')
      })

      it('gives up a hanging start with the reason of the signal', async () => {
        const { host, toCode, seams } = setup()
        const abort = new AbortController()
        const starting = failure(host.start(specOf(toCode(TARGETS.HangsInInit)), abort.signal))
        const reason = new Error('took too long')
        await seams.turn()
        abort.abort(reason)
        expect(await starting).to.equal(reason)
      })

      it('does not start at all when the signal has aborted', async () => {
        const { host, toCode } = setup()
        const reason = new Error('too late')
        expect(await failure(host.start(specOf(toCode(TARGETS.echo)), AbortSignal.abort(reason)))).to.equal(reason)
      })

      when(supports.exit, 'shows the code no environment but the one it was given', async () => {
        const bench = await start(TARGETS.environment, { env: { GIVEN: 'yes' } })
        expect(await bench.call()).to.deep.equal({ GIVEN: 'yes' })
      })

      it('keeps calls that come right after the start', async () => {
        const bench = await start(TARGETS.echo)
        const calls = [1, 2, 3].map((data) => bench.send(data))
        expect(await Promise.all(calls.map(({ end }) => end))).to.deep.equal([1, 2, 3])
      })
    })

    describe('calls', () => {
      it('answers synchronous and asynchronous handlers', async () => {
        expect(await (await start(TARGETS.echo)).call('a')).to.equal('a')
        expect(await (await start(TARGETS.echoLater)).call('b')).to.equal('b')
      })

      it('carries all that structured clone does', async () => {
        const bench = await start(TARGETS.echo)
        const cycle: { self?: unknown } = {}
        cycle.self = cycle
        const values = [new Map([[1, new Set([2])]]), new Date(5), 12n, new Float32Array([1.5]), new RangeError('e'), undefined, null]
        const [map, date, big, floats, error, none, nothing] = (await Promise.all(values.map((value) => bench.call(value)))) as never[]
        expect([map, date, big, floats, none, nothing]).to.deep.equal([values[0], values[1], 12n, values[3], undefined, null])
        expect(error).to.be.instanceOf(RangeError)
        const back = (await bench.call(cycle)) as { self: unknown }
        expect(back.self).to.equal(back)
      })

      it('calls methods by name', async () => {
        const bench = await start(TARGETS.Mixed)
        expect(await bench.call('x', { method: 'one' })).to.equal('x')
      })

      it('refuses a hidden method with ERR_METHOD_NOT_FOUND', async () => {
        const bench = await start(TARGETS.Counter, { initArgs: [0] })
        expect((await failure(bench.call(0, { method: '_hidden' }))).code).to.equal('ERR_METHOD_NOT_FOUND')
      })

      it('gives class, message, stack and own data of what user code threw', async () => {
        const error = await failure((await start(TARGETS.throwing)).call())
        expect([error.code, error.outcome]).to.deep.equal(['ERR_TASK', 'completed'])
        expect(error.message).to.contain('broken')
        const cause = error.cause as Error & { detail: unknown }
        expect([cause.name, cause.message, cause.detail]).to.deep.equal(['TypeError', 'broken', { line: 7 }])
        expect(cause.stack).to.contain('broken')
      })

      it('gives the text of a thrown text', async () => {
        const error = await failure((await start(TARGETS.throwingText)).call())
        expect([error.code, error.message]).to.deep.equal(['ERR_TASK', 'only a text'])
      })

      it('lives on after a throw', async () => {
        const bench = await start(TARGETS.notCloneable)
        const error = await failure(bench.call('bad'))
        expect([error.code, error.details?.path]).to.deep.equal(['ERR_NOT_SERIALIZABLE', 'result.deep.f'])
        expect(await bench.call('good')).to.equal('fine')
      })

      it('fails only the call whose argument cannot travel', async () => {
        const bench = await start(TARGETS.echo)
        const calls = [bench.send('a'), bench.send({ f: () => {} }), bench.send('b')]
        const ends = await Promise.allSettled(calls.map(({ end }) => end))
        expect(ends.map(({ status }) => status)).to.deep.equal(['fulfilled', 'rejected', 'fulfilled'])
      })

      it('never gives two callers one object', async () => {
        const bench = await start(TARGETS.Kept)
        const [a, b] = (await Promise.all([bench.call(), bench.call()])) as [number[], number[]]
        a.push(2)
        expect(b).to.deep.equal([1])
        expect(await bench.call()).to.deep.equal([1])
      })

      it('never lets a handler change the argument of its caller, or of another call', async () => {
        const bench = await start(TARGETS.touchArgument)
        const shared = { list: [1] }
        expect(await Promise.all([bench.call(shared), bench.call(shared)])).to.deep.equal([2, 2])
        expect(shared.list).to.deep.equal([1])
      })

      when(supports.transfer, 'copies an argument, and moves what the caller gives up', async () => {
        const bench = await start(TARGETS.echo)
        const [copied, moved] = [new Uint8Array([1, 2]), new Uint8Array([3, 4])]
        await bench.call(copied)
        expect(await bench.call(moved, { transfer: [moved.buffer] })).to.deep.equal(new Uint8Array([3, 4]))
        expect([copied.byteLength, moved.byteLength]).to.deep.equal([2, 0])
      })

      it('brings large buffers back', async () => {
        const { whole } = (await (await start(TARGETS.bytes)).call(300_000)) as { whole: Uint8Array }
        expect([whole.byteLength, whole[299_999]]).to.deep.equal([300_000, 7])
      })

      it('answers a call that came over HTTP in the form of an answer', async () => {
        const bench = await start(TARGETS.echo)
        const meta = encodeHttpHead({
          rendered: true,
          callMethod: '',
          httpMethod: 'POST',
          url: 'http://h/',
          requestId: 'r',
          rawHeaders: ['content-type', 'application/json'],
        })
        const sent = bench.send('{"a":[1]}', { meta })
        await sent.end
        expect([sent.kind, sent.value]).to.deep.equal([AnswerKind.JSON, '{"a":[1]}'])
      })

      it('sends status, headers and body of a Response', async () => {
        const bench = await start(TARGETS.answersResponse)
        const sent = bench.send()
        await sent.end
        // A native Response keeps its body in a stream; the stand-in of a thread keeps it as it is.
        const isStream = sent.kind === AnswerKind.STREAM
        const [status, headers] = (isStream ? (sent.value as StreamAnswer).head : sent.value) as [number, string[]]
        const body = isStream ? (await (sent.value as StreamAnswer).read())?.[0] : (sent.value as unknown[])[2]
        expect(status).to.equal(201)
        expect(headers).to.include.members(['x-a', 'b'])
        expect(typeof body === 'string' ? body : new TextDecoder().decode(body as Uint8Array)).to.equal('body')
      })
    })

    describe('limits and cancel', () => {
      it('starts no more than maxConcurrentQueries, and never what was cancelled before', async () => {
        const bench = await start(TARGETS.Waiter, { limits: { ...LIMITS, maxConcurrentQueries: 2 } })
        bench.lane.configure(50, false)
        const calls = bench.sendAll([1, 2, 3, 4, 5], { method: 'wait' })
        for (const { call } of calls.slice(2)) bench.lane.cancel(call)
        for (const { end } of calls.slice(2)) expect((await failure(end)).code).to.equal('ERR_CANCELLED')
        bench.lane.cancel(calls[0]!.call)
        expect(await calls[0]!.end).to.equal('let go')
        expect(await bench.call(undefined, { method: 'state' })).to.deep.equal({ started: 2, aborted: 1 })
      })

      it('takes a higher limit at once', async () => {
        const bench = await start(TARGETS.Waiter, { limits: { ...LIMITS, maxConcurrentQueries: 1 } })
        bench.lane.configure(50, false)
        bench.send(undefined, { method: 'wait' })
        await bench.hosted.control.configure({ ...LIMITS, maxConcurrentQueries: 2 })
        expect(await bench.call(undefined, { method: 'state' })).to.deep.equal({ started: 1, aborted: 0 })
      })

      it('answers a cancel of what it never heard of with silence', async () => {
        const bench = await start(TARGETS.echo)
        const { call, end } = bench.send(1)
        await end
        bench.lane.cancel(call)
        expect(await bench.call(2)).to.equal(2)
      })
    })

    describe('batches', () => {
      const limits = { maxConcurrentQueries: 8, maxBatchSize: 4, batchWaitTimeoutMs: 0 }

      it('hands over what came together as one list, and answers each item', async () => {
        const bench = await start(TARGETS.batch, { limits })
        const calls = bench.sendAll(['a', 'b', 'c'])
        expect(await Promise.all(calls.map(({ end }) => end))).to.deep.equal([
          ['a', 3],
          ['b', 3],
          ['c', 3],
        ])
      })

      it('makes no batch larger than maxBatchSize', async () => {
        const bench = await start(TARGETS.batch, { limits })
        const ends = await Promise.all(bench.sendAll([0, 1, 2, 3, 4, 5]).map(({ end }) => end as Promise<[number, number]>))
        expect(ends.map(([data]) => data)).to.deep.equal([0, 1, 2, 3, 4, 5])
        for (const [, size] of ends) expect(size).to.be.at.most(4)
      })

      it('serves single and batch methods of one class side by side', async () => {
        const bench = await start(TARGETS.Mixed, { limits })
        const calls = [bench.send('a', { method: 'many' }), bench.send('b', { method: 'one' }), bench.send('c', { method: 'many' })]
        expect(await Promise.all(calls.map(({ end }) => end))).to.deep.equal(['a', 'b', 'c'])
      })
    })

    describe('streams', () => {
      const state = (bench: HostBench): Promise<unknown> => bench.call(undefined, { method: 'state' })

      async function readAll(stream: StreamAnswer): Promise<unknown[]> {
        const all: unknown[] = []
        for (let parts = await stream.read(); parts !== undefined; parts = await stream.read()) all.push(...parts)
        return all
      }

      it('give every part in order', async () => {
        const bench = await start(TARGETS.Producer)
        expect(await readAll(await bench.stream({ count: 500 }))).to.deep.equal(Array.from({ length: 500 }, (_, i) => i))
        expect(await state(bench)).to.deep.equal({ produced: 500, ended: 'yes' })
      })

      it('hold their producer at the window while nobody reads', async () => {
        const bench = await start(TARGETS.Producer)
        await bench.stream({ count: 1_000 })
        while (((await state(bench)) as { produced: number }).produced < 32);
        for (let i = 0; i < 10; i++) await bench.turn()
        expect(await state(bench)).to.deep.equal({ produced: 32, ended: 'no' })
      })

      it('run the finally of their producer when the reader lets go', async () => {
        const bench = await start(TARGETS.Producer)
        const stream = await bench.stream({ count: 1_000 })
        await stream.read()
        stream.cancel()
        await state(bench)
        expect(await state(bench)).to.include({ ended: 'yes' })
      })

      it('give the parts before an error, and then the error', async () => {
        const bench = await start(TARGETS.Producer)
        const stream = await bench.stream({ count: 10, failAt: 2 })
        const parts: unknown[] = []
        const error = await failure(
          (async () => {
            for (let some = await stream.read(); some !== undefined; some = await stream.read()) parts.push(...some)
          })(),
        )
        expect(parts).to.deep.equal([0, 1])
        expect([error.code, (error.cause as Error).name]).to.deep.equal(['ERR_TASK', 'RangeError'])
      })

      it('keep several apart', async () => {
        const bench = await start(TARGETS.Producer)
        const streams = await Promise.all([3, 70, 5].map((count) => bench.stream({ count })))
        expect((await Promise.all(streams.map(readAll))).map((parts) => parts.length)).to.deep.equal([3, 70, 5])
      })
    })

    describe('calls from inside', () => {
      const nowhere = new ServeHandle('inner', { dispatch: () => {} })
      const caller = async (answer: (call: Call) => void): Promise<HostBench> => {
        const bench = await start(TARGETS.Caller, { initArgs: [nowhere] })
        bench.endpoints.inner = answer
        return bench
      }
      /** An endless stream of counting numbers. */
      const counting = (onCancel: () => void): StreamAnswer => {
        let next = 0
        let wake: (() => void) | undefined
        let ended = false
        return {
          async read() {
            if (next >= 40 && !ended) {
              await new Promise<void>((resolve) => {
                wake = resolve
              })
            }
            return ended ? undefined : [next++]
          },
          cancel() {
            if (ended) return
            ended = true
            onCancel()
            wake?.()
          },
        }
      }

      it('go through a handle that came in initArgs', async () => {
        const bench = await caller((call) => call.sink.answer(AnswerKind.VALUE, { got: call.data }))
        expect(await bench.call('x')).to.deep.equal(['through', { got: 'x' }])
      })

      it('get the error of the one they call', async () => {
        const bench = await caller((call) => call.sink.fail(new ServeError('ERR_TIMEOUT', 'late')))
        expect(await bench.call('x', { method: 'code' })).to.deep.equal(['ERR_TIMEOUT', 'late'])
      })

      it('get ERR_ENDPOINT_NOT_FOUND for an endpoint that is gone', async () => {
        const bench = await start(TARGETS.Caller, { initArgs: [nowhere] })
        expect(await bench.call('x', { method: 'code' })).to.deep.equal(['ERR_ENDPOINT_NOT_FOUND', 'there is no endpoint inner'])
      })

      it('read streams', async () => {
        const parts = [['a', 'b'], ['c'], undefined]
        const bench = await caller((call) => call.sink.answer(AnswerKind.STREAM, { read: async () => parts.shift(), cancel: () => {} }))
        expect(await bench.call('x', { method: 'parts' })).to.deep.equal(['a', 'b', 'c'])
      })

      it('end the stream that they leave', async () => {
        let cancels = 0
        const bench = await caller((call) =>
          call.sink.answer(
            AnswerKind.STREAM,
            counting(() => cancels++),
          ),
        )
        expect(await bench.call('x', { method: 'firstParts' })).to.deep.equal([0, 1])
        await bench.call('x', { method: 'firstParts' })
        expect(cancels).to.be.at.least(1)
      })

      it('are told ERR_CANCELLED when they cancel before the call has left', async () => {
        const bench = await caller(() => {})
        expect(await bench.call('x', { method: 'cancelled' })).to.equal('ERR_CANCELLED')
      })

      it('are told ERR_CANCELLED when they cancel in the middle of a stream', async () => {
        const bench = await caller((call) =>
          call.sink.answer(
            AnswerKind.STREAM,
            counting(() => {}),
          ),
        )
        expect(await bench.call('x', { method: 'cancelledMidStream' })).to.equal('ERR_CANCELLED')
      })

      it('reach a file that came in initArgs', async () => {
        const bench = await start(TARGETS.UsesAsset, { initArgs: [{ model: new Asset('data:,hello', async () => new Uint8Array()) }] })
        expect(await bench.call()).to.deep.equal(['data:,hello', true])
      })
    })

    describe('control', () => {
      it('answers a ping while calls run', async () => {
        const bench = await start(TARGETS.Waiter)
        bench.send(undefined, { method: 'wait' })
        await bench.hosted.control.ping()
      })

      it('gives a new userConfig', async () => {
        const bench = await start(TARGETS.Counter, { initArgs: [0] })
        await bench.hosted.control.reconfigure('new')
        expect(await bench.call(1)).to.include({ config: 'new' })
      })

      it('fails a reconfigure that throws, and the replica lives on', async () => {
        const bench = await start(TARGETS.Counter, { initArgs: [0], userConfig: 'old' })
        const error = await failure(bench.hosted.control.reconfigure('refused'))
        expect([error.code, (error.cause as Error).name]).to.deep.equal(['ERR_RECONFIGURE_FAILED', 'RangeError'])
        expect(await bench.call(1)).to.include({ config: 'old' })
      })

      it('passes on what checkHealth says', async () => {
        const bench = await start(TARGETS.Counter, { initArgs: [0] })
        await bench.hosted.control.checkHealth()
        await bench.hosted.control.reconfigure('sick')
        expect((await failure(bench.hosted.control.checkHealth())).message).to.equal('sick')
      })
    })

    describe('the end', () => {
      it('comes expected when it was asked for, once, however often', async () => {
        const { hosted } = await start(TARGETS.echo)
        await Promise.all([hosted.stop(), hosted.stop()])
        await hosted.stop()
        expect(await hosted.whenGone).to.include({ reason: 'stopped', expected: true })
      })

      it('settles calls in the replica, saying which of them were started', async () => {
        const bench = await start(TARGETS.Waiter, { limits: { ...LIMITS, maxConcurrentQueries: 1 } })
        bench.lane.configure(50, false)
        const [first, second] = bench.sendAll([1, 2], { method: 'wait' })
        while (!bench.lane.hasStarted(first!.call)) await bench.turn()
        await bench.hosted.stop()
        expect((await failure(first!.end)).code).to.equal('ERR_REPLICA_DIED')
        expect((await failure(second!.end)).code).to.equal('ERR_REPLICA_DIED')
        expect([first!.started, second!.started]).to.deep.equal([true, typeof supports.exactStarts === 'string'])
      })

      it('makes every control call reject with ERR_REPLICA_DIED', async () => {
        const { hosted } = await start(TARGETS.Counter, { initArgs: [0] })
        await hosted.stop()
        await hosted.whenGone
        const { control } = hosted
        for (const work of [
          () => control.ping(),
          () => control.checkHealth(),
          () => control.reconfigure(1),
          () => control.configure(LIMITS),
        ]) {
          expect((await failure(work())).code).to.equal('ERR_REPLICA_DIED')
        }
      })

      it('lets what is sent afterwards fall without a throw', async () => {
        const { hosted } = await start(TARGETS.echo)
        await hosted.stop()
        hosted.port.post([0, 1_000, 0, 'late'])
        hosted.outbound.post([0, 1_000, 0, 'late'])
      })

      when(supports.exit, 'comes unexpected when the code ends its thread', async () => {
        const bench = await start(TARGETS.exit)
        const { end } = bench.send()
        expect((await failure(end)).code).to.equal('ERR_REPLICA_DIED')
        const gone = await bench.hosted.whenGone
        expect(gone.expected).to.equal(false)
        expect(gone.reason).to.contain('3')
      })

      when(supports.exit, 'does not swallow answers that were posted just before', async () => {
        for (let round = 0; round < 3; round++) {
          const bench = await start(TARGETS.answerAndExit)
          expect(await bench.call('exit')).to.equal('last word')
          await bench.hosted.whenGone
        }
      })

      when(supports.exit, 'fails a start during which it comes', async () => {
        const { host, toCode } = setup()
        const error = await failure(host.start(specOf(toCode(TARGETS.ExitsInInit)), new AbortController().signal))
        expect(error.code).to.equal('ERR_BACKEND_START_FAILED')
      })

      when(supports.isolation, 'comes by an error that was thrown outside of any call', async () => {
        const bench = await start(TARGETS.throwsInTimer)
        expect((await failure(bench.call())).code).to.equal('ERR_REPLICA_DIED')
        const gone = await bench.hosted.whenGone
        expect(gone.expected).to.equal(false)
        if (typeof supports.lastWords !== 'string') expect(gone.reason).to.contain('out of the blue')
      })

      when(supports.isolation, 'comes to an endless loop by stop', async () => {
        const bench = await start(TARGETS.loop)
        const { call, end } = bench.send()
        while (!bench.lane.hasStarted(call)) await bench.turn()
        await bench.hosted.stop()
        expect((await failure(end)).code).to.equal('ERR_REPLICA_DIED')
      })

      when(supports.memoryLimit, 'comes to the replica alone when its heap runs full', async () => {
        const bench = await start(TARGETS.eat, { memoryLimitBytes: 24 * 2 ** 20 })
        expect((await failure(bench.call())).code).to.equal('ERR_REPLICA_DIED')
        expect((await bench.hosted.whenGone).expected).to.equal(false)
      })
    })
  })
}
