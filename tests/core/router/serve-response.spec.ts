import { expect } from 'chai'
import type { ServeRequest } from '../../../core/request/index.ts'
import { ServeResponse } from '../../../core/router/index.ts'
import { Deployment } from '../../support/deployment.ts'
import { failure } from '../../support/failure.ts'
import { gate } from '../../support/runtime-bench.ts'

async function collect(parts: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = []
  for await (const part of parts) all.push(part)
  return all
}

/** Counts to `count`, and tells how it ended. */
function counting(count: number) {
  const state = { produced: 0, ended: false }
  const handler = async function* (): AsyncGenerator<number> {
    try {
      for (let i = 0; i < count; i++) {
        state.produced++
        yield i
      }
    } finally {
      state.ended = true
    }
  }
  return { state, handler }
}

describe('ServeResponse', () => {
  it('is a promise of the result', async () => {
    const handle = await new Deployment().serve('b', (request: ServeRequest) => request.data)
    const response = handle.remote('a')
    expect(response).to.be.instanceOf(ServeResponse)
    expect(response).to.be.instanceOf(Promise)
    expect(await response).to.equal('a')
  })

  it('gives plain promises by then, catch and finally', async () => {
    const handle = await new Deployment().serve('b', (request: ServeRequest) => request.data)
    const derived = handle.remote(1).then((value) => value)
    expect(derived).not.to.be.instanceOf(ServeResponse)
    expect(await derived).to.equal(1)
  })

  it('is no unhandled rejection when nobody awaits it', async () => {
    const unhandled: unknown[] = []
    const stop = onUnhandled((reason) => unhandled.push(reason))
    try {
      const deployment = new Deployment()
      const handle = await deployment.serve('b', () => {
        throw new Error('no')
      })
      handle.remote()
      handle.remote({ f: () => {} })
      handle.remote().cancel()
      deployment.handle('nowhere').remote()
      handle.remote(handle.remote())
      await deployment.settle()
      await deployment.settle()
    } finally {
      stop()
    }
    expect(unhandled).to.deep.equal([])
  })

  describe('cancel', () => {
    it('before the call has left takes it back: no replica sees it', async () => {
      const deployment = new Deployment()
      let calls = 0
      const handle = await deployment.serve('b', () => calls++)
      const response = handle.remote()
      response.cancel()
      expect((await failure(response)).code).to.equal('ERR_CANCELLED')
      await deployment.settle()
      expect(calls).to.equal(0)
    })

    it('aborts the request of a call that runs', async () => {
      const deployment = new Deployment()
      const { waiting, handler } = gate()
      const response = (await deployment.serve('b', handler)).remote()
      await deployment.settle()
      response.cancel()
      expect((await failure(response)).code).to.equal('ERR_CANCELLED')
      await deployment.settle()
      expect(waiting[0]!.request.signal.aborted).to.equal(true)
    })

    it('reaches a call that still waits for its argument', async () => {
      const deployment = new Deployment()
      const { waiting, handler } = gate()
      const slow = await deployment.serve('slow', handler)
      const echo = await deployment.serve('echo', (request: ServeRequest) => request.data)
      const response = echo.remote(slow.remote())
      response.cancel()
      expect((await failure(response)).code).to.equal('ERR_CANCELLED')
      await deployment.settle()
      waiting[0]!.resolve(1)
      await deployment.settle()
      expect(deployment.queue('echo').counters.received).to.equal(0)
    })

    it('reaches a call whose Request is still being read', async () => {
      const deployment = new Deployment()
      let calls = 0
      const handle = await deployment.serve('b', () => calls++)
      const response = handle.remote(new Request('http://h/', { method: 'POST', body: 'text' }))
      response.cancel()
      expect((await failure(response)).code).to.equal('ERR_CANCELLED')
      await deployment.settle()
      expect(calls).to.equal(0)
      expect(deployment.status('b').ongoing).to.equal(0)
    })

    it('after the answer changes nothing', async () => {
      const handle = await new Deployment().serve('b', () => 'a')
      const response = handle.remote()
      await response
      response.cancel()
      expect(await response).to.equal('a')
    })
  })

  describe('iteration', () => {
    it('gives the parts of a streamed answer', async () => {
      const handle = await new Deployment().serve('b', counting(100).handler)
      expect(await collect(handle.remote())).to.deep.equal(Array.from({ length: 100 }, (_, i) => i))
    })

    it('gives a plain answer as one part', async () => {
      const handle = await new Deployment().serve('b', () => [1, 2])
      expect(await collect(handle.remote())).to.deep.equal([[1, 2]])
    })

    it('gives an async iterable to who awaits first', async () => {
      const handle = await new Deployment().serve('b', counting(3).handler)
      expect(await collect((await handle.remote()) as AsyncIterable<unknown>)).to.deep.equal([0, 1, 2])
    })

    it('throws what the handler threw half way, after the parts before', async () => {
      const handle = await new Deployment().serve('b', async function* () {
        yield 1
        throw new RangeError('half way')
      })
      const parts: unknown[] = []
      const error = await failure(
        (async () => {
          for await (const part of handle.remote()) parts.push(part)
        })(),
      )
      expect([parts, error.code]).to.deep.equal([[1], 'ERR_TASK'])
    })

    it('left early runs the finally of the producer and frees its slot', async () => {
      const deployment = new Deployment()
      const { state, handler } = counting(1_000)
      const handle = await deployment.serve('b', handler)
      for await (const part of handle.remote()) if (part === 5) break
      await deployment.settle()
      expect(state.ended).to.equal(true)
      expect(deployment.status('b').ongoing).to.equal(0)
    })

    it('lets a producer run ahead of a slow reader by a bounded number of parts', async () => {
      const deployment = new Deployment()
      const { state, handler } = counting(10_000)
      const parts = (await deployment.serve('b', handler)).remote()[Symbol.asyncIterator]()
      await parts.next()
      for (let i = 0; i < 50; i++) await deployment.settle()
      // A window in the reader's hand, and the wider one that it was granted for taking the first at once.
      expect(state.produced).to.be.at.most(32 + 64)
      await parts.return?.(undefined)
    })

    it('never loses, doubles or reorders a part, however the reader pauses', async () => {
      const deployment = new Deployment()
      const { handler } = counting(700)
      const handle = await deployment.serve('b', handler)
      const parts: unknown[] = []
      for await (const part of handle.remote()) {
        parts.push(part)
        if (parts.length % 37 === 0) await deployment.settle()
      }
      expect(parts).to.deep.equal(Array.from({ length: 700 }, (_, i) => i))
    })

    it('takes a ReadableStream for a streamed answer', async () => {
      const handle = await new Deployment().serve(
        'b',
        () =>
          new ReadableStream({
            start(controller) {
              controller.enqueue('a')
              controller.enqueue('b')
              controller.close()
            },
          }),
      )
      expect(await collect(handle.remote())).to.deep.equal(['a', 'b'])
    })
  })

  describe('a Response of the handler', () => {
    it('arrives as a Response', async () => {
      const handle = await new Deployment().serve('b', () => new Response('body', { status: 201, headers: { 'x-a': 'b' } }))
      const response = (await handle.remote()) as Response
      expect(response).to.be.instanceOf(Response)
      expect([response.status, response.headers.get('x-a'), await response.text()]).to.deep.equal([201, 'b', 'body'])
    })

    it('without a body arrives without one', async () => {
      const handle = await new Deployment().serve('b', () => new Response(null, { status: 204 }))
      const response = (await handle.remote()) as Response
      expect([response.status, response.body]).to.deep.equal([204, null])
    })

    it('with a broken status fails the call with ERR_BAD_RESPONSE, and no other', async () => {
      const handle = await new Deployment().serve('b', (request: ServeRequest) => (request.data === 'bad' ? Response.error() : 'fine'))
      const [bad, good] = [handle.remote('bad'), handle.remote('good')]
      expect((await failure(bad)).code).to.equal('ERR_BAD_RESPONSE')
      expect(await good).to.equal('fine')
    })

    it('passes a broken body on as an error of its reader', async () => {
      const handle = await new Deployment().serve(
        'b',
        () =>
          new Response(
            new ReadableStream({
              pull(controller) {
                controller.error(new Error('body broke'))
              },
            }),
          ),
      )
      const response = (await handle.remote()) as Response
      // Not `text()`: there a browser replaces the error by one of its own.
      const reader = (response.body as ReadableStream).getReader()
      expect((await failure(reader.read())).code).to.equal('ERR_TASK')
    })
  })
})

/** Tells of unhandled rejections, in Node and in a page, instead of failing the run. */
function onUnhandled(listener: (reason: unknown) => void): () => void {
  const { process } = globalThis as unknown as {
    process?: { on?(name: string, listener: (reason: unknown) => void): void; off(name: string, listener: (reason: unknown) => void): void }
  }
  if (typeof process?.on === 'function') {
    process.on('unhandledRejection', listener)
    return () => process.off('unhandledRejection', listener)
  }
  const onEvent = (event: PromiseRejectionEvent): void => {
    event.preventDefault()
    listener(event.reason)
  }
  globalThis.addEventListener('unhandledrejection', onEvent)
  return () => globalThis.removeEventListener('unhandledrejection', onEvent)
}
