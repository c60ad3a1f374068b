import { expect } from 'chai'
import type { ServeRequest } from '../../../core/request/index.ts'
import { Deployment } from '../../support/deployment.ts'
import { failure } from '../../support/failure.ts'
import { gate } from '../../support/runtime-bench.ts'

/** Two backends that answer with their tag, behind one endpoint. */
async function split(weights: Readonly<Record<string, number>>, config = {}) {
  const deployment = new Deployment()
  await deployment.backend('a', () => 'a', config)
  await deployment.backend('b', () => 'b', config)
  await deployment.endpoint('e', 'a')
  await deployment.controller.setTraffic('e', weights)
  const handle = deployment.handle('e')
  const tally = async (count: number): Promise<Record<string, number>> => {
    const seen: Record<string, number> = { a: 0, b: 0 }
    for (let sent = 0; sent < count; sent += 50) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => handle.remote()))
      for (const tag of answers as string[]) seen[tag] = (seen[tag] ?? 0) + 1
    }
    return seen
  }
  return { deployment, handle, tally }
}

describe('Router', () => {
  describe('traffic', () => {
    it('is split by weight, within four and a half sigma', async () => {
      const { tally } = await split({ a: 0.75, b: 0.25 })
      const { a } = await tally(2_000)
      expect(Math.abs(a! - 1_500)).to.be.at.most(4.5 * Math.sqrt(2_000 * 0.75 * 0.25))
    })

    it('never goes to a backend of weight 0', async () => {
      const { tally } = await split({ a: 1, b: 0 })
      expect(await tally(200)).to.deep.equal({ a: 200, b: 0 })
    })

    it('goes to the others when a backend has no replica ready, and that is counted', async () => {
      const { deployment, tally } = await split({ a: 0.5, b: 0.5 })
      deployment.host.onStart = () => new Promise(() => {})
      await deployment.host.alive.find(({ spec }) => spec.backend === 'b')!.die()
      await deployment.settle()
      expect(await tally(100)).to.deep.equal({ a: 100, b: 0 })
      expect(deployment.controller.endpointStatus.e!.yielded).to.be.within(25, 75)
    })

    it('waits for a replica when every backend is down, until ERR_NO_REPLICA', async () => {
      const { deployment, handle } = await split({ a: 0.5, b: 0.5 }, { requestTimeoutMs: 100 })
      deployment.host.onStart = () => new Promise(() => {})
      for (const replica of deployment.host.alive) await replica.die()
      const failed = failure(handle.remote())
      await deployment.advance(120)
      expect((await failed).code).to.equal('ERR_NO_REPLICA')
    })

    it('of one shard key goes to one backend, while keys spread over all', async () => {
      const { handle } = await split({ a: 0.5, b: 0.5 })
      const byKey = await Promise.all(
        Array.from({ length: 40 }, async (_, key) => {
          const keyed = handle.options({ shardKey: `key ${key}` })
          const answers = await Promise.all([keyed.remote(), keyed.remote(), keyed.remote()])
          expect(new Set(answers).size).to.equal(1)
          return answers[0]
        }),
      )
      expect(new Set(byKey)).to.have.property('size', 2)
    })

    it('of the keys of a backend that is down goes to the others, and comes back', async () => {
      const { deployment, handle } = await split({ a: 0.5, b: 0.5 })
      const keys = Array.from({ length: 30 }, (_, key) => handle.options({ shardKey: `key ${key}` }))
      const all = (): Promise<unknown[]> => Promise.all(keys.map((keyed) => keyed.remote()))
      const before = await all()
      let goOn: (() => void) | undefined
      deployment.host.onStart = () => new Promise<void>((resolve) => (goOn = resolve))
      await deployment.host.alive.find(({ spec }) => spec.backend === 'b')!.die()
      await deployment.settle()
      expect(new Set(await all())).to.deep.equal(new Set(['a']))
      goOn?.()
      await deployment.settle()
      expect(await all()).to.deep.equal(before)
    })

    it('changes at once, for handles that exist too', async () => {
      const { deployment, tally } = await split({ a: 1 })
      await deployment.controller.setTraffic('e', { b: 1 })
      expect(await tally(50)).to.deep.equal({ a: 0, b: 50 })
    })
  })

  describe('shadows', () => {
    async function shadowed(target: unknown, config = {}, proportion = 1) {
      const deployment = new Deployment()
      await deployment.backend('main', (request: ServeRequest) => ({ main: request.data }))
      await deployment.backend('shadow', target, config)
      await deployment.endpoint('e', 'main')
      await deployment.controller.shadowTraffic('e', 'shadow', proportion)
      return { deployment, handle: deployment.handle('e'), counters: () => deployment.controller.endpointStatus.e! }
    }

    it('get a copy, and their answers are dropped', async () => {
      const seen: unknown[] = []
      const { deployment, handle } = await shadowed((request: ServeRequest) => void seen.push(request.data))
      expect(await handle.remote('x')).to.deep.equal({ main: 'x' })
      await deployment.settle()
      expect(seen).to.deep.equal(['x'])
    })

    it('never delay the main answer, even when they hang', async () => {
      const { handle } = await shadowed(() => new Promise(() => {}), { maxConcurrentQueries: 1 })
      for (let i = 0; i < 20; i++) await handle.remote(i)
    })

    it('take only a free slot: a copy that finds none is dropped and counted', async () => {
      const { waiting, handler } = gate()
      const { deployment, handle, counters } = await shadowed(handler, { maxConcurrentQueries: 2 })
      await Promise.all(Array.from({ length: 5 }, (_, i) => handle.remote(i)))
      await deployment.settle()
      expect(waiting).to.have.lengthOf(2)
      expect(counters()).to.include({ shadowed: 5, shadowsDropped: 3, shadowsFailed: 0 })
    })

    it('are dropped, not queued, while their backend has no replica', async () => {
      const { deployment, handle, counters } = await shadowed(() => 1)
      deployment.host.onStart = () => new Promise(() => {})
      await deployment.host.alive.find(({ spec }) => spec.backend === 'shadow')!.die()
      await deployment.settle()
      await handle.remote(1)
      expect(counters()).to.include({ shadowsDropped: 1 })
      expect(deployment.status('shadow').queued).to.equal(0)
    })

    it('that throw are counted and hurt nobody', async () => {
      const { deployment, handle, counters } = await shadowed(() => {
        throw new Error('shadow')
      })
      expect(await handle.remote('x')).to.deep.equal({ main: 'x' })
      await deployment.settle()
      expect(counters()).to.include({ shadowed: 1, shadowsFailed: 1 })
    })

    it('may answer with anything, a value that looks like a stream too', async () => {
      const { deployment, handle } = await shadowed(() => ({ cancel: 'not a function' }))
      await Promise.all([handle.remote(1), handle.remote(2)])
      await deployment.settle()
      expect(deployment.status('shadow').ongoing).to.equal(0)
    })

    it('that stream are ended, and give their slot back', async () => {
      const { deployment, handle } = await shadowed(async function* () {
        for (;;) yield 1
      })
      await handle.remote(1)
      await deployment.settle()
      await deployment.settle()
      expect(deployment.status('shadow').ongoing).to.equal(0)
    })

    it('see a copy of what the main call gives up', async () => {
      const seen: unknown[] = []
      const { deployment, handle } = await shadowed((request: ServeRequest) => void seen.push(request.data))
      const data = new Uint8Array([1, 2])
      expect(await handle.remote(data, undefined, [data.buffer])).to.deep.equal({ main: new Uint8Array([1, 2]) })
      await deployment.settle()
      expect(seen).to.deep.equal([new Uint8Array([1, 2])])
    })

    it('leave it to the main call to refuse what cannot travel', async () => {
      const { handle } = await shadowed(() => 1)
      const data = { bytes: new Uint8Array(2), f: () => {} }
      expect((await failure(handle.remote(data, undefined, [data.bytes.buffer]))).code).to.equal('ERR_NOT_SERIALIZABLE')
    })

    it('of different shares are nested', async () => {
      const seen = { wide: new Set<unknown>(), narrow: new Set<unknown>() }
      const deployment = new Deployment()
      await deployment.backend('main', () => 1)
      await deployment.backend('wide', (request: ServeRequest) => void seen.wide.add(request.data))
      await deployment.backend('narrow', (request: ServeRequest) => void seen.narrow.add(request.data))
      await deployment.endpoint('e', 'main')
      await deployment.controller.shadowTraffic('e', 'wide', 0.5)
      await deployment.controller.shadowTraffic('e', 'narrow', 0.1)
      for (let i = 0; i < 200; i++) await deployment.handle('e').remote(i)
      await deployment.settle()
      expect(seen.narrow.size).to.be.within(5, 40)
      expect(seen.wide.size).to.be.within(70, 130)
      for (const data of seen.narrow) expect(seen.wide.has(data)).to.equal(true)
    })

    it('get all copies of a shard key, or none', async () => {
      const { deployment, handle, counters } = await shadowed(() => 1, {}, 0.5)
      const copied: number[] = []
      for (let key = 0; key < 30; key++) {
        const before = counters().shadowed
        for (let i = 0; i < 4; i++) await handle.options({ shardKey: `key ${key}` }).remote()
        copied.push(counters().shadowed - before)
      }
      await deployment.settle()
      expect(new Set(copied)).to.deep.equal(new Set([0, 4]))
    })

    it('do not count as calls of the endpoint', async () => {
      const { handle, counters } = await shadowed(() => 1)
      await handle.remote(1)
      expect(counters().received).to.equal(1)
    })
  })

  it('fails a call of an unknown endpoint with ERR_ENDPOINT_NOT_FOUND, naming the nearest', async () => {
    const deployment = new Deployment()
    await deployment.serve('digits', () => 1)
    const error = await failure(deployment.handle('digit').remote())
    expect(error).to.include({ code: 'ERR_ENDPOINT_NOT_FOUND', outcome: 'not-started' })
    expect(error.message).to.contain('did you mean digits')
  })

  it('keeps the counters of an endpoint apart from those of a later one of its name', async () => {
    const deployment = new Deployment()
    const handle = await deployment.serve('b', () => 1)
    await handle.remote()
    await deployment.controller.deleteEndpoint('b')
    await deployment.endpoint('b', 'b')
    expect(deployment.controller.endpointStatus.b!.received).to.equal(0)
  })
})
