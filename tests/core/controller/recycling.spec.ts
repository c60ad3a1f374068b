import { expect } from 'chai'
import type { ServeRequest } from '../../../core/request/index.ts'
import { Deployment } from '../../support/deployment.ts'

const MIB = 2 ** 20

/** A backend with a memory limit of 100 MiB that is looked at every second. */
async function limited(limitBytes: number | 'none' = 100 * MIB, handler: unknown = (request: ServeRequest) => request.data) {
  const deployment = new Deployment()
  const spec = deployment.spec('b', handler, { healthCheckPeriodMs: 1_000 })
  await deployment.controller.createBackend({
    ...spec,
    replicaOptions: { ...spec.replicaOptions, memoryLimitBytes: limitBytes === 'none' ? undefined : limitBytes },
  })
  await deployment.endpoint('b', 'b')
  return {
    deployment,
    handle: deployment.handle('b'),
    states: () => deployment.events.filter(({ kind }) => kind === 'replica').map((event) => 'state' in event && event.state),
  }
}

describe('soft recycling', () => {
  it('replaces a replica above 90 % of its memory limit, the new one ready before the old one drains', async () => {
    const { deployment, states } = await limited()
    deployment.host.replicas[0]?.grow(90 * MIB + 1)
    await deployment.advance(1_000)
    expect(states()).to.deep.equal(['starting', 'ready', 'starting', 'ready', 'recycled', 'draining', 'stopped'])
    expect(deployment.status('b')).to.include({ ready: 1, wanted: 1 })
  })

  it('leaves a replica alone that stays below', async () => {
    const { deployment, states } = await limited()
    deployment.host.replicas[0]?.grow(90 * MIB)
    await deployment.advance(10_000)
    expect(states()).to.deep.equal(['starting', 'ready'])
  })

  it('goes on looking at the replica that took its place', async () => {
    const { deployment, states } = await limited()
    for (let i = 0; i < 3; i++) {
      deployment.host.alive[0]?.grow(99 * MIB)
      await deployment.advance(1_000)
    }
    expect(states().filter((state) => state === 'recycled')).to.have.lengthOf(3)
    expect(deployment.host.alive).to.have.lengthOf(1)
  })

  it('looks at nothing without a limit', async () => {
    const { deployment, states } = await limited('none')
    deployment.host.replicas[0]?.grow(2 ** 40)
    await deployment.advance(10_000)
    expect(states()).to.deep.equal(['starting', 'ready'])
    expect(deployment.clock.pendingTimers).to.equal(0)
  })

  it('lets calls in the old replica end', async () => {
    const gates: (() => void)[] = []
    const { deployment, handle } = await limited(100 * MIB, () => new Promise<string>((resolve) => gates.push(() => resolve('done'))))
    const answer = handle.remote()
    await deployment.settle()
    deployment.host.replicas[0]?.grow(99 * MIB)
    await deployment.advance(1_000)
    expect(deployment.status('b')).to.include({ ready: 1, draining: 1 })
    for (const open of gates) open()
    expect(await answer).to.equal('done')
    await deployment.settle()
    expect(deployment.status('b')).to.include({ ready: 1, draining: 0 })
  })

  it('keeps the old replica while no new one can be started, and tries again', async () => {
    const { deployment, states } = await limited()
    deployment.host.replicas[0]?.grow(99 * MIB)
    deployment.host.onStart = () => {
      throw new Error('no room')
    }
    await deployment.advance(1_000)
    expect(deployment.status('b')).to.include({ ready: 1, draining: 0 })
    deployment.host.onStart = () => undefined
    await deployment.advance(1_000)
    expect(states().at(-1)).to.equal('stopped')
    expect(deployment.host.alive).to.have.lengthOf(1)
  })

  it('counts as no death: a backend that leaks is not in a crash loop', async () => {
    const { deployment } = await limited()
    for (let i = 0; i < 6; i++) {
      deployment.host.alive[0]?.grow(99 * MIB)
      await deployment.advance(1_000)
    }
    expect(deployment.status('b').crashLooping).to.equal(false)
  })

  it('leaves no more replicas than are wanted when the backend is scaled down meanwhile', async () => {
    const { deployment } = await limited()
    await deployment.controller.updateBackendConfig('b', { numReplicas: 3 })
    let letStart: () => void = () => {}
    deployment.host.onStart = () =>
      new Promise<void>((resolve) => {
        letStart = resolve
      })
    deployment.host.alive[0]?.grow(99 * MIB)
    await deployment.advance(1_000)
    await deployment.controller.updateBackendConfig('b', { numReplicas: 1 })
    letStart()
    await deployment.settle()
    expect(deployment.status('b')).to.include({ wanted: 1, ready: 1 })
  })
})
