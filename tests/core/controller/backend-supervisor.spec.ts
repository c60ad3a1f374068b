import { expect } from 'chai'
import { ServeError } from '../../../core/base/index.ts'
import { resolveBackendConfig } from '../../../core/model/index.ts'
import type { ServeRequest } from '../../../core/request/index.ts'
import { Deployment } from '../../support/deployment.ts'
import { failure } from '../../support/failure.ts'
import { gate } from '../../support/runtime-bench.ts'

const echo = (request: ServeRequest): unknown => request.data

describe('BackendSupervisor', () => {
  describe('start', () => {
    it('starts all replicas side by side', async () => {
      const { deployment, host } = make()
      let starting = 0
      let most = 0
      host.onStart = async () => {
        most = Math.max(most, ++starting)
        await undefined
        starting--
      }
      await deployment.backend('b', echo, { numReplicas: 3 })
      expect([most, host.alive.length]).to.deep.equal([3, 3])
    })

    it('leaves nothing behind when one of them fails', async () => {
      const { deployment, host } = make()
      let starts = 0
      host.onStart = () => {
        if (++starts === 2) throw new ServeError('ERR_BACKEND_START_FAILED', 'no model')
      }
      const error = await failure(deployment.backend('b', echo, { numReplicas: 3 }))
      expect(error.code).to.equal('ERR_BACKEND_START_FAILED')
      expect(host.alive).to.have.lengthOf(0)
      expect(deployment.controller.listBackends()).to.deep.equal({})
      expect(deployment.clock.pendingTimers).to.equal(0)
    })

    it('does not wait for one that hangs when another has failed', async () => {
      const { deployment, host } = make()
      let starts = 0
      host.onStart = () => {
        if (++starts === 1) return new Promise(() => {})
        throw new ServeError('ERR_BACKEND_START_FAILED', 'no model')
      }
      expect((await failure(deployment.backend('b', echo, { numReplicas: 2 }))).message).to.equal('no model')
    })

    it('fails with ERR_BACKEND_START_FAILED after startTimeoutMs', async () => {
      const { deployment, host } = make()
      host.onStart = () => new Promise(() => {})
      const failed = failure(deployment.backend('b', echo, { startTimeoutMs: 500 }))
      await deployment.advance(500)
      expect((await failed).code).to.equal('ERR_BACKEND_START_FAILED')
      expect(deployment.clock.pendingTimers).to.equal(0)
    })

    it('stops a replica that turns up after it was given up', async () => {
      const { deployment, host } = make()
      let goOn = (): void => {}
      host.onStart = () =>
        new Promise<void>((resolve) => {
          goOn = resolve
        })
      const failed = failure(deployment.backend('b', echo, { startTimeoutMs: 500 }))
      await deployment.advance(500)
      await failed
      goOn()
      await deployment.settle()
      expect(host.alive).to.have.lengthOf(0)
    })

    for (const [what, target, config] of [
      ['maxBatchSize without a batch handler', echo, { maxBatchSize: 4 }],
      ['userConfig without reconfigure', echo, { userConfig: 1 }],
    ] as const) {
      it(`refuses ${what} with ERR_INVALID_CONFIG`, async () => {
        const { deployment, host } = make()
        expect((await failure(deployment.backend('b', target, config))).code).to.equal('ERR_INVALID_CONFIG')
        expect(host.alive).to.have.lengthOf(0)
      })
    }
  })

  describe('death', () => {
    it('brings a replacement at once, and calls that waited go on', async () => {
      const { deployment, host } = make()
      const handle = await deployment.serve('b', echo)
      await host.alive[0]!.die()
      await deployment.settle()
      expect(host.alive).to.have.lengthOf(1)
      expect(deployment.status('b').ready).to.equal(1)
      expect(await handle.remote('a')).to.equal('a')
    })

    it('brings a replacement for a replica that dies in the very moment it stands', async () => {
      const { deployment, host } = make()
      let deaths = 0
      host.onStarted = (replica) => {
        if (++deaths < 3) void replica.die()
      }
      await deployment.backend('b', echo)
      await deployment.settle()
      expect(host.alive).to.have.lengthOf(1)
      expect(deployment.status('b')).to.include({ ready: 1, starting: 0 })
    })

    it('holds back when replicas keep dying: a second after the fourth death', async () => {
      const { deployment, host } = make()
      await deployment.backend('b', echo)
      for (let i = 0; i < 4; i++) {
        await host.alive[0]!.die()
        await deployment.settle()
      }
      expect(host.alive).to.have.lengthOf(0)
      expect(deployment.status('b').crashLooping).to.equal(true)
      await deployment.advance(999)
      expect(host.alive).to.have.lengthOf(0)
      await deployment.advance(1)
      expect(host.alive).to.have.lengthOf(1)
    })

    it('waits for room without a crash loop when what replaces it fits nowhere, and starts within a second of there being some', async () => {
      const { deployment, host } = make()
      const handle = await deployment.serve('b', echo, { numReplicas: 2 })
      let tried = 0
      host.onStart = () => {
        tried++
        throw new ServeError('ERR_INFEASIBLE', 'no node fits')
      }
      for (const replica of [...host.alive]) await replica.die()
      await deployment.advance(90_000)
      expect(deployment.status('b')).to.include({ wanted: 2, ready: 0, crashLooping: false })
      expect(tried).to.be.at.most(2 * 92)
      const refused = failure(handle.options({ timeoutMs: 100 }).remote(1))
      await deployment.advance(1_000)
      expect((await refused).message).to.include('no node fits')
      host.onStart = () => undefined
      await deployment.advance(1_000)
      expect(deployment.status('b')).to.include({ ready: 2, crashLooping: false })
    })

    it('tries no longer for room when it is deleted', async () => {
      const { deployment, host } = make()
      await deployment.backend('b', echo)
      host.onStart = () => {
        throw new ServeError('ERR_INFEASIBLE', 'no node fits')
      }
      await host.alive[0]!.die()
      await deployment.settle()
      await deployment.controller.deleteBackend('b')
      expect(deployment.clock.pendingTimers).to.equal(0)
    })

    it('says no more that it crash-loops when a replica has lived for a minute', async () => {
      const { deployment, host } = make()
      await deployment.backend('b', echo)
      for (let i = 0; i < 4; i++) {
        await host.alive[0]!.die()
        await deployment.settle()
      }
      await deployment.advance(61_001)
      expect(deployment.status('b').crashLooping).to.equal(false)
    })

    it('tries again, ever later, when a replacement does not start', async () => {
      const { deployment, host } = make()
      await deployment.backend('b', echo)
      let starts = 0
      host.onStart = () => {
        if (++starts < 6) throw new ServeError('ERR_BACKEND_START_FAILED', 'no model')
      }
      await host.alive[0]!.die()
      await deployment.settle()
      expect(starts).to.equal(3)
      await deployment.advance(1_000 + 2_000 + 4_000)
      expect([starts, host.alive.length]).to.deep.equal([6, 1])
    })

    it('names in ERR_NO_REPLICA what the last replica died of', async () => {
      const { deployment, host } = make()
      const handle = await deployment.serve('b', echo, { requestTimeoutMs: 100 })
      host.onStart = () => new Promise(() => {})
      await host.alive[0]!.die('out of memory')
      const failed = failure(handle.remote('a'))
      await deployment.advance(200)
      const error = await failed
      expect(error.code).to.equal('ERR_NO_REPLICA')
      expect(error.message).to.contain('out of memory')
    })

    it('tells of every step', async () => {
      const { deployment, host } = make()
      await deployment.backend('b', echo)
      await host.alive[0]!.die('bang')
      await deployment.settle()
      const steps = deployment.events.flatMap((event) => (event.kind === 'replica' ? [event.state] : []))
      expect(steps).to.deep.equal(['starting', 'ready', 'died', 'starting', 'ready'])
    })
  })

  describe('hanging', () => {
    async function overdue(hangs: boolean) {
      const made = make()
      const { handler } = gate()
      const handle = await made.deployment.serve('b', handler, { requestTimeoutMs: 100 })
      if (hangs) made.host.alive[0]!.hang()
      const failed = failure(handle.remote('a'))
      await made.deployment.advance(120)
      await failed
      return made
    }

    it('replaces a replica whose event loop does not answer for three seconds once a call in it is overdue', async () => {
      const { deployment, host } = await overdue(true)
      await deployment.advance(3_000)
      expect(host.replicas).to.have.lengthOf(2)
      expect(host.alive).to.have.lengthOf(1)
      const died = deployment.events.find((event) => event.kind === 'replica' && event.state === 'died')
      expect(died).to.have.property('reason').that.contains('event loop')
    })

    it('leaves a replica alone that merely ignores its signal', async () => {
      const { deployment, host } = await overdue(false)
      await deployment.advance(10_000)
      expect(host.replicas).to.have.lengthOf(1)
    })
  })

  describe('checkHealth', () => {
    class Patient {
      sick = false
      checkHealth(): void {
        if (this.sick) throw new Error('sick')
      }
      call(request: { data: boolean }): boolean {
        this.sick = request.data
        return this.sick
      }
    }

    it('replaces a replica after three misses in a row', async () => {
      const { deployment, host } = make()
      const handle = await deployment.serve('b', Patient)
      await handle.remote(true)
      await deployment.advance(29_999)
      expect(host.replicas).to.have.lengthOf(1)
      await deployment.advance(1)
      expect(host.replicas).to.have.lengthOf(2)
      expect(host.alive).to.have.lengthOf(1)
    })

    it('forgives two misses, however often', async () => {
      const { deployment, host } = make()
      const handle = await deployment.serve('b', Patient)
      await handle.remote(true)
      await deployment.advance(20_000)
      await handle.remote(false)
      await deployment.advance(10_000)
      await handle.remote(true)
      await deployment.advance(20_000)
      await handle.remote(false)
      await deployment.advance(30_000)
      expect(host.replicas).to.have.lengthOf(1)
    })

    it('counts an answer that does not come within healthCheckTimeoutMs as a miss', async () => {
      const { deployment, host } = make()
      await deployment.serve('b', Patient)
      host.alive[0]!.hang()
      await deployment.advance(3 * 15_000)
      expect(host.replicas).to.have.lengthOf(2)
    })
  })

  describe('update', () => {
    it('scales up live', async () => {
      const { deployment, host } = make()
      await deployment.backend('b', echo)
      await deployment.controller.updateBackendConfig('b', { numReplicas: 3 })
      expect(host.alive).to.have.lengthOf(3)
    })

    it('scales down by draining the newest', async () => {
      const { deployment, host } = make()
      await deployment.backend('b', echo, { numReplicas: 3 })
      const [oldest] = host.alive
      await deployment.controller.updateBackendConfig('b', { numReplicas: 1 })
      await deployment.settle()
      expect(host.alive).to.deep.equal([oldest])
    })

    it('restarts no replica for new limits', async () => {
      const { deployment, host } = make()
      await deployment.backend('b', echo)
      await deployment.controller.updateBackendConfig('b', { maxConcurrentQueries: 7, maxQueuedRequests: 1 })
      expect(host.replicas).to.have.lengthOf(1)
      expect(deployment.controller.getBackendConfig('b')).to.include({ maxConcurrentQueries: 7, maxQueuedRequests: 1 })
    })

    it('lets a replica that stands start as many calls at once as the new limit says', async () => {
      const { deployment } = make()
      const { waiting, handler } = gate()
      const handle = await deployment.serve('b', handler)
      await deployment.controller.updateBackendConfig('b', { maxConcurrentQueries: 600 })
      for (let i = 0; i < 600; i++) handle.remote(i).catch(() => undefined)
      await deployment.settle()
      await deployment.settle()
      expect(waiting).to.have.lengthOf(600)
    })

    it('keeps the old config and the old count when new replicas do not start', async () => {
      const { deployment, host } = make()
      await deployment.backend('b', echo)
      host.onStart = () => {
        throw new ServeError('ERR_BACKEND_START_FAILED', 'no room')
      }
      const error = await failure(deployment.controller.updateBackendConfig('b', { numReplicas: 3, maxQueuedRequests: 5 }))
      expect(error.code).to.equal('ERR_BACKEND_START_FAILED')
      expect(deployment.controller.getBackendConfig('b')).to.include({ numReplicas: 1, maxQueuedRequests: 1_000 })
      expect(deployment.status('b')).to.include({ wanted: 1, ready: 1, starting: 0 })
    })

    class Configured {
      config: unknown
      configured = 0
      reconfigure(config: unknown): void {
        if (config === 'bad') throw new RangeError('bad')
        this.configured++
        this.config = config
      }
      call(): unknown {
        return [this.config, this.configured]
      }
    }

    it('gives userConfig to reconfigure when it changes, and only then', async () => {
      const { deployment } = make()
      const handle = await deployment.serve('b', Configured, { userConfig: { a: 1 } })
      await deployment.controller.updateBackendConfig('b', { maxQueuedRequests: 5 })
      await deployment.controller.updateBackendConfig('b', { userConfig: { a: 1 } })
      expect(await handle.remote()).to.deep.equal([{ a: 1 }, 1])
      await deployment.controller.updateBackendConfig('b', { userConfig: { a: 2 } })
      expect(await handle.remote()).to.deep.equal([{ a: 2 }, 2])
    })

    it('keeps the old userConfig when reconfigure throws', async () => {
      const { deployment } = make()
      await deployment.serve('b', Configured, { userConfig: 'good' })
      const error = await failure(deployment.controller.updateBackendConfig('b', { userConfig: 'bad' }))
      expect(error.code).to.equal('ERR_RECONFIGURE_FAILED')
      expect(deployment.controller.getBackendConfig('b').userConfig).to.equal('good')
    })

    it('gives the config in force to a replica that was starting meanwhile', async () => {
      const { deployment, host } = make()
      const handle = await deployment.serve('b', Configured, { userConfig: 'old', numReplicas: 1 })
      let goOn = (): void => {}
      host.onStart = () =>
        new Promise<void>((resolve) => {
          goOn = resolve
        })
      await host.alive[0]!.die()
      await deployment.settle()
      await deployment.controller.updateBackendConfig('b', { userConfig: 'new' })
      goOn()
      await deployment.settle()
      expect(await handle.remote()).to.deep.include('new')
    })

    it('goes through when a replica dies meanwhile', async () => {
      const { deployment, host } = make()
      const handle = await deployment.serve('b', Configured, { userConfig: 'old', numReplicas: 2 })
      const updating = deployment.controller.updateBackendConfig('b', { userConfig: 'new' })
      await host.alive[0]!.die()
      await updating
      await deployment.settle()
      expect(await handle.remote()).to.deep.include('new')
    })

    it('is a new chance for a backend that crash-loops', async () => {
      const { deployment, host } = make()
      await deployment.backend('b', echo)
      for (let i = 0; i < 4; i++) {
        await host.alive[0]!.die()
        await deployment.settle()
      }
      await deployment.controller.updateBackendConfig('b', { maxQueuedRequests: 7 })
      expect(deployment.status('b')).to.include({ ready: 1, crashLooping: false })
    })
  })

  describe('replace', () => {
    const one = (): string => 'one'
    const two = (): string => 'two'

    it('has the new replicas ready before the old ones drain', async () => {
      const { deployment, host } = make()
      const handle = await deployment.serve('b', one, { numReplicas: 2 })
      let aliveAtStart: number[] = []
      host.onStart = () => {
        aliveAtStart = [...aliveAtStart, host.alive.length]
      }
      await deployment.controller.replaceBackend(deployment.spec('b', two, { numReplicas: 2 }))
      await deployment.settle()
      expect(aliveAtStart).to.deep.equal([2, 2])
      expect(host.alive).to.have.lengthOf(2)
      expect(await handle.remote()).to.equal('two')
    })

    it('keeps the old replicas when the new ones do not start', async () => {
      const { deployment, host } = make()
      const handle = await deployment.serve('b', one)
      host.onStart = () => {
        throw new ServeError('ERR_BACKEND_START_FAILED', 'no')
      }
      expect((await failure(deployment.controller.replaceBackend(deployment.spec('b', two)))).code).to.equal('ERR_BACKEND_START_FAILED')
      expect(await handle.remote()).to.equal('one')
      expect(deployment.status('b').ready).to.equal(1)
    })

    it('lets a call that runs in an old replica end there', async () => {
      const { deployment } = make()
      const { waiting, handler } = gate()
      const handle = await deployment.serve('b', handler)
      const running = handle.remote('x')
      await deployment.settle()
      await deployment.controller.replaceBackend(deployment.spec('b', two))
      waiting[0]!.resolve('from the old one')
      expect(await running).to.equal('from the old one')
    })

    it('never brings back old code that was restarting meanwhile', async () => {
      const { deployment, host } = make()
      const handle = await deployment.serve('b', one)
      const late: (() => void)[] = []
      host.onStart = (spec) =>
        spec.code.kind === 'inline' && spec.code.value === one ? new Promise<void>((resolve) => late.push(resolve)) : undefined
      await host.alive[0]!.die()
      await deployment.settle()
      await deployment.controller.replaceBackend(deployment.spec('b', two))
      for (const goOn of late) goOn()
      await deployment.settle()
      expect(host.alive).to.have.lengthOf(1)
      expect(await handle.remote()).to.equal('two')
    })
  })

  describe('stop', () => {
    async function busy(config = {}) {
      const made = make()
      const { waiting, handler } = gate()
      const handle = await made.deployment.serve('b', handler, config)
      const running = handle.remote('x')
      running.catch(() => undefined)
      await made.deployment.settle()
      return { ...made, waiting, running, handle }
    }

    it('waits for what runs', async () => {
      const { deployment, host, waiting, running } = await busy()
      const closing = deployment.controller.close()
      await deployment.advance(1_000)
      expect(host.alive).to.have.lengthOf(1)
      waiting[0]!.resolve('done')
      await closing
      expect(await running).to.equal('done')
      expect(host.alive).to.have.lengthOf(0)
    })

    it('waits no longer than gracefulShutdownTimeoutMs', async () => {
      const { deployment, host, running } = await busy({ gracefulShutdownTimeoutMs: 5_000 })
      const closing = deployment.controller.close()
      await deployment.advance(5_000)
      await closing
      expect(host.alive).to.have.lengthOf(0)
      expect((await failure(running)).code).to.equal('ERR_REPLICA_DIED')
    })

    it('waits no longer than it is told, even for a replica that was draining already', async () => {
      const { deployment, host } = await busy({ numReplicas: 1 })
      await deployment.controller.replaceBackend(deployment.spec('b', echo))
      const closing = deployment.controller.close(100)
      await deployment.advance(100)
      await closing
      expect(host.alive).to.have.lengthOf(0)
    })

    it('fails what waits with ERR_NO_REPLICA as not started', async () => {
      const { deployment, handle } = await busy({ maxConcurrentQueries: 1, gracefulShutdownTimeoutMs: 100 })
      const waiting = failure(handle.remote('y'))
      const closing = deployment.controller.close()
      await deployment.advance(100)
      await closing
      expect(await waiting).to.include({ code: 'ERR_NO_REPLICA', outcome: 'not-started' })
    })

    it('leaves no timer behind', async () => {
      const { deployment, waiting } = await busy()
      const closing = deployment.controller.close()
      waiting[0]!.resolve(1)
      await closing
      await deployment.advance(20)
      expect(deployment.clock.pendingTimers).to.equal(0)
    })

    it('ends a start that is on its way, and leaves nothing of it', async () => {
      const { deployment, host } = make()
      let goOn = (): void => {}
      host.onStart = () =>
        new Promise<void>((resolve) => {
          goOn = resolve
        })
      const failed = failure(deployment.backend('b', echo))
      await deployment.settle()
      await deployment.controller.close(0)
      goOn()
      await failed
      await deployment.settle()
      expect(host.alive).to.have.lengthOf(0)
    })
  })

  it('reports what its replicas have in hand', async () => {
    const { deployment } = make()
    const { handler } = gate()
    const handle = await deployment.serve('b', handler, { maxConcurrentQueries: 2 })
    for (let i = 0; i < 3; i++) handle.remote(i).catch(() => undefined)
    await deployment.settle()
    expect(deployment.status('b')).to.include({ wanted: 1, starting: 0, ready: 1, draining: 0, queued: 1, ongoing: 2 })
    const [replica] = Object.values(deployment.status('b').replicas)
    expect(replica).to.include({ state: 'ready', outstanding: 2 })
  })

  it('resolves its config once, so that nothing a caller does later changes it', async () => {
    const { deployment } = make()
    const config = { numReplicas: 1 }
    await deployment.backend('b', echo, config)
    config.numReplicas = 9
    expect(deployment.controller.getBackendConfig('b').numReplicas).to.equal(resolveBackendConfig({}).numReplicas)
  })
})

function make() {
  const deployment = new Deployment()
  return { deployment, host: deployment.host }
}
