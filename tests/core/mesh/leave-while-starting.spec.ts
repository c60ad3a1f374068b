import { expect } from 'chai'
import { MeshWorld } from '../../support/mesh-world.ts'

/** A backend whose replicas take a second to start. */
const slowIn = (world: MeshWorld) =>
  class {
    async init(): Promise<void> {
      await new Promise<void>((resolve) => world.clock.after(1_000, resolve))
    }
    call(): string {
      return 'there'
    }
  }

describe('a peer that goes while replicas start on it', () => {
  for (const how of ['leaves', 'dies'] as const) {
    it(`is no failure of theirs when it ${how}: they start elsewhere at once`, async () => {
      const world = await MeshWorld.make()
      await world.join('p')
      const q = await world.join('q')
      const serving = world.serve('slow', slowIn(world), { config: { numReplicas: 3 } })
      await world.until(() => world.spread('slow').q === 1)
      if (how === 'leaves') await world.drive(q.client.close())
      else world.network.crash('q')
      await world.drive(serving)
      const { backends } = await world.client.status()
      expect(backends.slow).to.include({ wanted: 3, ready: 3, crashLooping: false })
      expect(world.logged.filter((name) => name === 'replica.start-failed' || name === 'backend.crash-loop')).to.deep.equal([])
    })
  }

  it('leaves without waiting for them', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p')
    const serving = world.serve('slow', slowIn(world), { config: { numReplicas: 2 } })
    await world.until(() => world.spread('slow').p === 1)
    const atMs = world.clock.nowMs()
    await world.drive(p.client.close())
    expect(world.clock.nowMs() - atMs).to.be.below(1_000)
    await world.drive(serving)
    expect(world.spread('slow')).to.deep.equal({ controller: 2 })
  })

  it('fails the creation of a backend that fits nowhere else: ERR_INFEASIBLE', async () => {
    const world = await MeshWorld.make()
    const p = await world.join('p', { labels: { at: 'p' } })
    const options = { replicaOptions: { placement: { labels: { at: 'p' } } } }
    const serving = world.codeOf(world.serve('slow', slowIn(world), options))
    await world.until(() => world.spread('slow').p === 1)
    await world.drive(p.client.close())
    expect(await serving).to.equal('ERR_INFEASIBLE')
  })
})
