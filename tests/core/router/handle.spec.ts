import { expect } from 'chai'
import { ServeRequest } from '../../../core/request/index.ts'
import { ServeHandle } from '../../../core/router/index.ts'
import { Deployment } from '../../support/deployment.ts'
import { failure } from '../../support/failure.ts'
import { gate } from '../../support/runtime-bench.ts'

// biome-ignore lint/suspicious/noExplicitAny: methods of any name
type AnyHandle = any

class Digits {
  count = 0
  call(request: ServeRequest): unknown {
    return ['call', request.data]
  }
  classify(request: ServeRequest): unknown {
    return ['classify', request.data]
  }
  endpoint(): string {
    return 'a method named like a property of the handle'
  }
  // biome-ignore lint/suspicious/noThenProperty: the point of the test
  then(): string {
    return 'a method named then'
  }
  add(request: number): number {
    this.count += request
    return this.count
  }
}

const describeRequest = (request: ServeRequest): unknown => ({
  isServeRequest: request instanceof ServeRequest,
  method: request.method,
  headers: [...request.headers],
  args: { ...request.args },
  data: request.data,
  url: request.url,
})

describe('ServeHandle', () => {
  describe('options', () => {
    const bare = (): ServeHandle => new ServeHandle('e', { dispatch: () => {} })

    it('give a new handle and leave the old one as it was', async () => {
      const deployment = new Deployment()
      const handle = await deployment.serve('b', Digits)
      const other = handle.options({ methodName: 'classify' })
      expect(other).not.to.equal(handle)
      expect([await handle.remote(1), await other.remote(1)]).to.deep.equal([
        ['call', 1],
        ['classify', 1],
      ])
    })

    it('add up, and the last value of each wins', async () => {
      const deployment = new Deployment()
      const handle = await deployment.serve('b', describeRequest)
      const changed = handle.options({ httpMethod: 'POST', httpHeaders: { a: '1' } }).options({ httpMethod: 'PUT' })
      expect(await changed.remote()).to.deep.include({ method: 'PUT', headers: [['a', '1']] })
    })

    for (const [what, options, code] of [
      ['an unknown name', { metodName: 'x' }, 'ERR_INVALID_ARG_VALUE'],
      ['a timeoutMs of 0', { timeoutMs: 0 }, 'ERR_INVALID_ARG_VALUE'],
      ['a timeoutMs that is no number', { timeoutMs: Number.NaN }, 'ERR_INVALID_ARG_VALUE'],
      ['a methodName that is no string', { methodName: 5 }, 'ERR_INVALID_ARG_TYPE'],
      ['a shardKey that is no string', { shardKey: 5 }, 'ERR_INVALID_ARG_TYPE'],
      ['an httpMethod that is no string', { httpMethod: 5 }, 'ERR_INVALID_ARG_TYPE'],
      ['httpHeaders that are no object', { httpHeaders: 'a: 1' }, 'ERR_INVALID_ARG_TYPE'],
      ['a signal that is none', { signal: {} }, 'ERR_INVALID_ARG_TYPE'],
      ['a parent without a signal', { parent: {} }, 'ERR_INVALID_ARG_TYPE'],
      ['an idempotent that is no boolean', { idempotent: 1 }, 'ERR_INVALID_ARG_TYPE'],
      ['an unknown reach', { reach: 'galaxy' }, 'ERR_INVALID_ARG_VALUE'],
      ['no object', 5, 'ERR_INVALID_ARG_TYPE'],
      ['null', null, 'ERR_INVALID_ARG_TYPE'],
    ] as const) {
      it(`refuse ${what}`, () => {
        expect(() => bare().options(options as never))
          .to.throw()
          .with.property('code', code)
      })
    }

    it('name the nearest option in the refusal', () => {
      expect(() => bare().options({ shardkey: 'x' } as never)).to.throw('did you mean shardKey')
    })

    it("let a call that may reach no further than 'thread' through to an inline replica", async () => {
      const handle = await new Deployment().serve('b', () => 'here')
      expect(await handle.options({ reach: 'thread' }).remote()).to.equal('here')
      expect(await handle.options({ reach: 'thread', shardKey: 'k' }).remote()).to.equal('here')
    })

    it('bring the deadline of one call', async () => {
      const deployment = new Deployment()
      const { handler } = gate()
      const handle = await deployment.serve('b', handler)
      const failed = failure(handle.options({ timeoutMs: 50 }).remote())
      await deployment.advance(70)
      expect((await failed).code).to.equal('ERR_TIMEOUT')
    })
  })

  describe('methods by name', () => {
    it('are there without being declared', async () => {
      const handle: AnyHandle = await new Deployment().serve('b', Digits)
      expect(await handle.classify.remote(7)).to.deep.equal(['classify', 7])
    })

    it('give way to the names of the handle itself', async () => {
      const handle: AnyHandle = await new Deployment().serve('b', Digits)
      expect(handle.endpoint).to.equal('b')
      expect(await handle.options({ methodName: 'endpoint' }).remote()).to.contain('named like a property')
    })

    it('never make a promise of a handle', async () => {
      const handle: AnyHandle = await new Deployment().serve('b', Digits)
      expect(handle.then).to.equal(undefined)
      expect(await handle).to.equal(handle)
      expect(await handle.options({ methodName: 'then' }).remote()).to.equal('a method named then')
    })

    it('are none for symbols, for names that begin with _ and for what the life of a replica uses', () => {
      const handle: AnyHandle = new ServeHandle('e', { dispatch: () => {} })
      for (const name of [Symbol.iterator, '_hidden', 'init', 'reconfigure', 'checkHealth', 'toJSON']) {
        expect(handle[name], String(name)).to.equal(undefined)
      }
      expect(handle.constructor).not.to.be.instanceOf(ServeHandle)
    })

    it('that are not there fail with ERR_METHOD_NOT_FOUND', async () => {
      const handle: AnyHandle = await new Deployment().serve('b', Digits)
      const error = await failure(handle.clasify.remote())
      expect(error.code).to.equal('ERR_METHOD_NOT_FOUND')
      expect(error.message).to.contain('did you mean classify')
    })
  })

  it('prints as what it is', () => {
    expect(String(new ServeHandle('e', { dispatch: () => {} }))).to.equal("ServeHandle(endpoint='e')")
  })

  describe('what the handler gets', () => {
    it('is a ServeRequest with data, args, method, headers and url', async () => {
      const handle = await new Deployment().serve('b', describeRequest)
      const configured = handle.options({ httpMethod: 'POST', httpHeaders: { 'X-A': '1' } })
      expect(await configured.remote({ x: 1 }, { n: 5, s: 'a b' })).to.deep.equal({
        isServeRequest: true,
        method: 'POST',
        headers: [['x-a', '1']],
        args: { n: 5, s: 'a b' },
        data: { x: 1 },
        url: 'shoal://b/?n=5&s=a+b',
      })
    })

    it('keeps args that JSON would change', async () => {
      const handle = await new Deployment().serve('b', (request: ServeRequest) => request.args.when)
      expect(await handle.remote(undefined, { when: new Date(5) })).to.deep.equal(new Date(5))
    })

    it('adds like the number that was sent', async () => {
      const handle: AnyHandle = await new Deployment().serve('b', Digits)
      await handle.add.remote(5)
      expect(await handle.add.remote(5)).to.equal(10)
    })

    it('has an id of its own for every call', async () => {
      const handle = await new Deployment().serve('b', (request: ServeRequest) => request.id)
      const ids = await Promise.all(Array.from({ length: 20 }, () => handle.remote()))
      expect(new Set(ids).size).to.equal(20)
    })

    it('is a Request when one was passed, its body readable as often as one likes', async () => {
      const handle = await new Deployment().serve('b', async (request: Request) => [
        request instanceof Request,
        request.method,
        request.url,
        request.headers.get('x-a'),
        await request.text(),
        await request.text(),
      ])
      const request = new Request('http://h/p?a=1', { method: 'PUT', headers: { 'x-a': 'b' }, body: 'text' })
      expect(await handle.remote(request)).to.deep.equal([true, 'PUT', 'http://h/p?a=1', 'b', 'text', 'text'])
    })

    it('of a Request answers with a value, not with an HTTP answer', async () => {
      const handle = await new Deployment().serve('b', () => ({ a: new Date(5) }))
      expect(await handle.remote(new Request('http://h/'))).to.deep.equal({ a: new Date(5) })
    })

    it('of a Request reaches the method that was named', async () => {
      const handle: AnyHandle = await new Deployment().serve('b', Digits)
      expect((await handle.classify.remote(new Request('http://h/')))[0]).to.equal('classify')
    })
  })

  describe('arguments', () => {
    it('that are responses are awaited before the callee runs', async () => {
      const deployment = new Deployment()
      const double = await deployment.serve('double', (request: ServeRequest<number>) => request.data * 2)
      const join = await deployment.serve('join', (request: ServeRequest) => [request.data, request.args.other])
      expect(await join.remote(double.remote(2), { other: double.remote(5) })).to.deep.equal([4, 10])
    })

    it('that are failed responses fail the call with their error', async () => {
      const deployment = new Deployment()
      const broken = await deployment.serve('broken', () => {
        throw new Error('no')
      })
      const echo = await deployment.serve('echo', (request: ServeRequest) => request.data)
      expect((await failure(echo.remote(broken.remote()))).code).to.equal('ERR_TASK')
      expect(deployment.queue('echo').counters.received).to.equal(0)
    })

    it('are moved when they are listed in transfer', async () => {
      const handle = await new Deployment().serve('b', (request: ServeRequest<Uint8Array>) => request.data.length)
      const data = new Uint8Array(9)
      expect(await handle.remote(data, undefined, [data.buffer])).to.equal(9)
      expect(data.byteLength).to.equal(0)
    })

    it('that cannot travel fail the call, never the caller', async () => {
      const handle = await new Deployment().serve('b', () => 1)
      const error = await failure(handle.remote({ model: { session: () => {} } }))
      expect([error.code, error.details?.path, error.outcome]).to.deep.equal(['ERR_NOT_SERIALIZABLE', 'data.model.session', 'not-started'])
    })

    it('that hold a handle fail the call, for it would arrive as an empty object', async () => {
      const handle = await new Deployment().serve('b', (request: ServeRequest) => request.data)
      for (const [data, path] of [
        [handle, 'data'],
        [{ next: [handle] }, 'data.next[0]'],
      ] as const) {
        const error = await failure(handle.remote(data))
        expect([error.code, error.details?.path]).to.deep.equal(['ERR_NOT_SERIALIZABLE', path])
      }
    })

    it('that are no object of args fail the call with ERR_INVALID_ARG_TYPE', async () => {
      const handle = await new Deployment().serve('b', () => 1)
      for (const args of [null, 5, 'a=1', [1]]) {
        expect((await failure(handle.remote(1, args as never))).code, String(args)).to.equal('ERR_INVALID_ARG_TYPE')
      }
    })
  })

  describe('signals', () => {
    async function running(options: (abort: AbortController) => object) {
      const deployment = new Deployment()
      const { waiting, handler } = gate()
      const handle = await deployment.serve('b', handler)
      const abort = new AbortController()
      const failed = failure(handle.options(options(abort)).remote())
      await deployment.settle()
      return { deployment, waiting, abort, failed, handle }
    }

    it('cancel a running call, and abort its request', async () => {
      const { deployment, waiting, abort, failed } = await running((abort) => ({ signal: abort.signal }))
      abort.abort(new Error('enough'))
      const error = await failed
      expect([error.code, (error.cause as Error).message]).to.deep.equal(['ERR_CANCELLED', 'enough'])
      await deployment.settle()
      expect(waiting[0]!.request.signal.aborted).to.equal(true)
    })

    it('that have aborted fail the call before it is sent', async () => {
      const deployment = new Deployment()
      const handle = await deployment.serve('b', () => 1)
      const error = await failure(handle.options({ signal: AbortSignal.abort() }).remote())
      expect([error.code, error.outcome]).to.deep.equal(['ERR_CANCELLED', 'not-started'])
      expect(deployment.queue('b').counters.received).to.equal(0)
    })

    it('of a parent request are followed as well', async () => {
      const { abort, failed } = await running((abort) => ({ parent: { signal: abort.signal }, signal: new AbortController().signal }))
      abort.abort()
      expect((await failed).code).to.equal('ERR_CANCELLED')
    })

    it('are let go of when the call is answered', async () => {
      const deployment = new Deployment()
      const handle = await deployment.serve('b', () => 1)
      const { signal, listening } = countingSignal()
      await handle.options({ signal }).remote()
      expect(listening()).to.equal(0)
    })

    it('are let go of when the stream of the call has ended', async () => {
      const deployment = new Deployment()
      const handle = await deployment.serve('b', async function* () {
        yield 1
      })
      const { signal, listening } = countingSignal()
      for await (const _ of handle.options({ signal }).remote());
      expect(listening()).to.equal(0)
    })

    it('are let go of when one of two has aborted before', async () => {
      const handle = new ServeHandle('e', { dispatch: () => {} })
      const { signal, listening } = countingSignal()
      await failure(handle.options({ signal: AbortSignal.abort(), parent: { signal } }).remote())
      expect(listening()).to.equal(0)
    })

    it('end a stream that is being read', async () => {
      const deployment = new Deployment()
      const handle = await deployment.serve('b', async function* (request: ServeRequest) {
        yield 1
        await new Promise((resolve) => request.signal.addEventListener('abort', resolve))
      })
      const abort = new AbortController()
      const error = await failure(
        (async () => {
          for await (const _ of handle.options({ signal: abort.signal }).remote()) abort.abort()
        })(),
      )
      expect(error.code).to.equal('ERR_CANCELLED')
    })
  })
})

/** A signal that counts who listens to it. */
function countingSignal() {
  const { signal } = new AbortController()
  let listening = 0
  const { addEventListener, removeEventListener } = signal
  Object.assign(signal, {
    addEventListener: (...args: Parameters<typeof addEventListener>) => {
      listening++
      addEventListener.apply(signal, args)
    },
    removeEventListener: (...args: Parameters<typeof removeEventListener>) => {
      listening--
      removeEventListener.apply(signal, args)
    },
  })
  return { signal, listening: () => listening }
}

describe('what a caller changes after remote()', () => {
  it('is not seen by the replica, even when both calls are made in one turn', async () => {
    const deployment = new Deployment()
    const handle = await deployment.serve('b', (request: ServeRequest) => (request.data as { n: number }).n)
    const data = { n: 1 }
    const first = handle.remote(data)
    data.n = 2
    const second = handle.remote(data)
    data.n = 3
    expect(await Promise.all([first, second])).to.deep.equal([1, 2])
  })

  it('is not seen either by a call that has to wait for a slot', async () => {
    const deployment = new Deployment()
    const gates: (() => void)[] = []
    const handler = (request: ServeRequest) => new Promise((resolve) => gates.push(() => resolve((request.data as { n: number }).n)))
    const handle = await deployment.serve('b', handler, { maxConcurrentQueries: 1 })
    const data = { n: 1 }
    const first = handle.remote(data)
    data.n = 2
    const second = handle.remote(data)
    data.n = 3
    for (let i = 0; i < 2; i++) {
      await deployment.settle()
      gates[i]?.()
    }
    expect(await Promise.all([first, second])).to.deep.equal([1, 2])
  })

  it('holds for args that are more than JSON', async () => {
    const deployment = new Deployment()
    const handle = await deployment.serve('b', (request: ServeRequest) => request.args.when)
    const args = { when: new Date(1) }
    const answer = handle.remote(undefined, args)
    args.when.setTime(2)
    expect(await answer).to.deep.equal(new Date(1))
  })
})
