import { expect } from 'chai'
import { ServeError } from '../../../core/base/index.ts'
import type { ServeRequest } from '../../../core/request/index.ts'
import { Deployment } from '../../support/deployment.ts'
import { failure } from '../../support/failure.ts'
import { gate } from '../../support/runtime-bench.ts'

const echo = (request: ServeRequest): unknown => request.data
const hello = (): string => 'hello'

describe('Controller', () => {
  describe('backends', () => {
    it('are listed with their config, until they are deleted', async () => {
      const deployment = new Deployment()
      await deployment.backend('b', echo, { maxQueuedRequests: 7 })
      expect(deployment.controller.listBackends().b).to.include({ maxQueuedRequests: 7 })
      await deployment.controller.deleteBackend('b')
      expect(deployment.controller.listBackends()).to.deep.equal({})
      expect(deployment.host.alive).to.have.lengthOf(0)
    })

    it('refuse a tag in use with ERR_BACKEND_EXISTS', async () => {
      const deployment = new Deployment()
      await deployment.backend('b', echo)
      expect((await failure(deployment.backend('b', echo))).code).to.equal('ERR_BACKEND_EXISTS')
    })

    it('refuse a tag whose first replicas are still on their way', async () => {
      const deployment = new Deployment()
      const [first, second] = await Promise.allSettled([deployment.backend('b', echo), deployment.backend('b', echo)])
      expect(first!.status).to.equal('fulfilled')
      expect((second as PromiseRejectedResult).reason.code).to.equal('ERR_BACKEND_EXISTS')
    })

    it('free their tag when they do not start', async () => {
      const deployment = new Deployment()
      deployment.host.onStart = () => {
        throw new ServeError('ERR_BACKEND_START_FAILED', 'no')
      }
      await failure(deployment.backend('b', echo))
      deployment.host.onStart = () => undefined
      await deployment.backend('b', echo)
    })

    it('free their tag when they are deleted', async () => {
      const deployment = new Deployment()
      await deployment.backend('b', echo)
      await deployment.controller.deleteBackend('b')
      const handle = await deployment.serve('b', hello)
      expect(await handle.remote()).to.equal('hello')
    })

    it('are not found under an unknown tag, but may be deleted there', async () => {
      const { controller } = new Deployment()
      expect(() => controller.getBackendConfig('b'))
        .to.throw()
        .with.property('code', 'ERR_BACKEND_NOT_FOUND')
      expect((await failure(controller.updateBackendConfig('b', {}))).code).to.equal('ERR_BACKEND_NOT_FOUND')
      await controller.deleteBackend('b')
    })

    it('refuse an unknown key of their config, and keep the old one', async () => {
      const deployment = new Deployment()
      await deployment.backend('b', echo)
      expect((await failure(deployment.controller.updateBackendConfig('b', { maxQueued: 1 }))).code).to.equal('ERR_INVALID_CONFIG')
      expect(deployment.controller.getBackendConfig('b').maxQueuedRequests).to.equal(1_000)
    })

    for (const [how, use] of [
      ['weight', (it: Deployment) => it.controller.setTraffic('e', { a: 1, b: 0 })],
      ['shadow', (it: Deployment) => it.controller.shadowTraffic('e', 'b', 0.1)],
    ] as const) {
      it(`refuse to go while a ${how} names them, saying which endpoint`, async () => {
        const deployment = new Deployment()
        await deployment.backend('a', echo)
        await deployment.backend('b', echo)
        await deployment.endpoint('e', 'a')
        await use(deployment)
        const error = await failure(deployment.controller.deleteBackend('b'))
        expect(error).to.deep.include({ code: 'ERR_BACKEND_IN_USE', details: { backend: 'b', endpoints: ['e'] } })
      })
    }
  })

  describe('endpoints', () => {
    it('are listed with route, methods, traffic and shadows', async () => {
      const deployment = new Deployment()
      await deployment.backend('b', echo)
      await deployment.endpoint('e', 'b', { route: '/e', methods: ['post'] })
      expect(deployment.controller.listEndpoints()).to.deep.equal({
        e: { route: '/e', methods: ['POST'], traffic: { b: 1 }, shadows: {} },
      })
    })

    it('refuse a name, a route or a backend that does not do', async () => {
      const deployment = new Deployment()
      await deployment.backend('b', echo)
      await deployment.endpoint('e', 'b', { route: '/e' })
      expect((await failure(deployment.endpoint('e', 'b'))).code).to.equal('ERR_ENDPOINT_EXISTS')
      expect((await failure(deployment.endpoint('f', 'b', { route: '/e' }))).code).to.equal('ERR_ROUTE_EXISTS')
      expect((await failure(deployment.endpoint('f', 'c'))).code).to.equal('ERR_BACKEND_NOT_FOUND')
      expect(Object.keys(deployment.controller.listEndpoints())).to.deep.equal(['e'])
    })

    it('free name and route when they are deleted', async () => {
      const deployment = new Deployment()
      await deployment.backend('b', echo)
      await deployment.endpoint('e', 'b', { route: '/e' })
      await deployment.controller.deleteEndpoint('e')
      await deployment.endpoint('e', 'b', { route: '/e' })
    })

    it('that are unknown may be deleted', async () => {
      await new Deployment().controller.deleteEndpoint('e')
    })

    it('fail the calls that wait for them when they are deleted', async () => {
      const deployment = new Deployment()
      const { handler } = gate()
      const handle = await deployment.serve('b', handler, { maxConcurrentQueries: 1 })
      const running = handle.remote(1)
      running.catch(() => undefined)
      await deployment.settle()
      const waiting = failure(handle.remote(2))
      await deployment.controller.deleteEndpoint('b')
      expect(await waiting).to.include({ code: 'ERR_ENDPOINT_NOT_FOUND', outcome: 'not-started' })
      expect((await failure(handle.remote(3))).code).to.equal('ERR_ENDPOINT_NOT_FOUND')
    })

    it('leave the calls of other endpoints of the backend alone', async () => {
      const deployment = new Deployment()
      const { waiting, handler } = gate()
      const one = await deployment.serve('b', handler, { maxConcurrentQueries: 1 })
      await deployment.endpoint('other', 'b')
      const other = deployment.handle('other').remote('other')
      one.remote('one').catch(() => undefined)
      await deployment.settle()
      await deployment.controller.deleteEndpoint('b')
      waiting[0]!.resolve('done')
      expect(await other).to.equal('done')
    })
  })

  describe('edits', () => {
    it('run one after the other, in the order they were asked for', async () => {
      const deployment = new Deployment()
      await deployment.backend('a', echo)
      await deployment.backend('b', echo)
      const edits = [
        deployment.endpoint('e', 'a'),
        deployment.controller.setTraffic('e', { b: 1 }),
        deployment.controller.deleteBackend('a'),
        deployment.controller.deleteEndpoint('e'),
        deployment.controller.deleteBackend('b'),
      ]
      await Promise.all(edits)
      expect(deployment.controller.listBackends()).to.deep.equal({})
    })

    it('go on after one that failed', async () => {
      const deployment = new Deployment()
      const [failed, worked] = await Promise.allSettled([deployment.endpoint('e', 'nowhere'), deployment.backend('b', echo)])
      expect([failed!.status, worked!.status]).to.deep.equal(['rejected', 'fulfilled'])
    })

    it('do not wait for a backend that starts slowly', async () => {
      const deployment = new Deployment()
      await deployment.backend('b', echo)
      deployment.host.onStart = () => new Promise(() => {})
      const slow = failure(deployment.backend('slow', echo))
      await deployment.endpoint('e', 'b')
      expect(await deployment.handle('e').remote('a')).to.equal('a')
      await deployment.controller.close(0)
      await slow
    })

    it('make each table newer than the last, and leave tables given out as they are', async () => {
      const deployment = new Deployment()
      await deployment.backend('b', echo)
      const before = deployment.controller.table
      await deployment.endpoint('e', 'b')
      const after = deployment.controller.table
      expect(after.version).to.be.above(before.version)
      expect([before.endpoints.has('e'), after.endpoints.has('e')]).to.deep.equal([false, true])
    })

    it('that fail change no table', async () => {
      const deployment = new Deployment()
      await deployment.backend('b', echo)
      await deployment.endpoint('e', 'b')
      const before = deployment.controller.table
      await failure(deployment.controller.setTraffic('e', { b: 0.5 }))
      await failure(deployment.controller.shadowTraffic('e', 'nowhere', 0.5))
      expect(deployment.controller.table).to.equal(before)
    })

    it('fail with ERR_CLIENT_CLOSED once the controller is closed', async () => {
      const deployment = new Deployment()
      await deployment.controller.close()
      expect((await failure(deployment.backend('b', echo))).code).to.equal('ERR_CLIENT_CLOSED')
      expect(deployment.host.replicas).to.have.lengthOf(0)
    })
  })

  it('stops the replicas of all its backends when it closes, once and again', async () => {
    const deployment = new Deployment()
    await deployment.backend('a', echo, { numReplicas: 2 })
    await deployment.backend('b', echo)
    await deployment.controller.close()
    await deployment.controller.close()
    expect(deployment.host.alive).to.have.lengthOf(0)
    expect(deployment.clock.pendingTimers).to.equal(0)
  })

  it('closes at once when told to, although an edit waits for a replica that does not start', async () => {
    const deployment = new Deployment()
    await deployment.backend('b', echo)
    deployment.host.onStart = () => new Promise(() => {})
    const replacing = failure(deployment.controller.replaceBackend(deployment.spec('b', hello)))
    await deployment.settle()
    await deployment.controller.close(0)
    await replacing
    expect(deployment.host.alive).to.have.lengthOf(0)
  })

  it('closes at once when told to, although a deleted backend still drains', async () => {
    const deployment = new Deployment()
    const { handler } = gate()
    await deployment.backend('b', handler)
    await deployment.endpoint('e', 'b')
    deployment
      .handle('e')
      .remote()
      .catch(() => undefined)
    await deployment.settle()
    await deployment.controller.deleteEndpoint('e')
    const deleting = deployment.controller.deleteBackend('b')
    await deployment.settle()
    await deployment.controller.close(0)
    await deleting
    expect(deployment.host.alive).to.have.lengthOf(0)
  })

  it('shows calls and counters in its status', async () => {
    const deployment = new Deployment()
    const handle = await deployment.serve('b', echo)
    await handle.remote(1)
    expect(deployment.controller.backendStatus.b!.calls).to.include({ received: 1, admitted: 1, succeeded: 1 })
    expect(deployment.controller.endpointStatus.b).to.include({ received: 1, yielded: 0 })
  })
})
