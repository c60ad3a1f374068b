import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'chai'
import { MeshUnderLoad } from './fixtures/mesh-load.ts'

describe('a mesh under load from its gateway', function () {
  this.timeout(90_000)

  it('gives each call one outcome, runs none twice and is whole again when a process is killed', async () => {
    const rig = await MeshUnderLoad.start(4)
    try {
      const [child] = await Promise.all([rig.join('a'), rig.join('b')])
      await rig.whenHealed(3, performance.now())
      rig.startLoad()
      await delay(2_000)
      const killedAtMs = performance.now()
      child.kill('SIGKILL')
      await once(child, 'exit')
      await rig.whenHealed(2, killedAtMs)
      await delay(Math.max(0, killedAtMs + 4_000 - performance.now()))
      const { sent, outcomes, withoutOutcome, ranTwice, answeredUnrun, backend } = await rig.stopLoad()
      expect({ withoutOutcome, ranTwice, answeredUnrun }).to.deep.equal({ withoutOutcome: 0, ranTwice: [], answeredUnrun: [] })
      expect(['answered', '502 ERR_REPLICA_DIED']).to.include.members(Object.keys(outcomes))
      expect(backend).to.include({ ready: 4, queued: 0, ongoing: 0 })
      const { received, admitted, rejected, succeeded, failed, cancelled } = backend.calls
      expect(received).to.equal(sent)
      expect(received).to.equal((admitted ?? 0) + (rejected ?? 0))
      expect(admitted).to.equal((succeeded ?? 0) + (failed ?? 0) + (cancelled ?? 0))
      expect(succeeded).to.equal(outcomes.answered)
    } finally {
      await rig.close()
    }
  })
})
