import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'chai'
import { MeshUnderLoad } from '../node/fixtures/mesh-load.ts'

const SECONDS = Number(process.env.SOAK_SECONDS ?? 60)
const FROZEN_MS = 8_000
/** What is promised after a process died or came back: replicas are where they should be. */
const HEALED_MS = 10_000
/** And after one froze or was cut off: its replicas are elsewhere. */
const MOVED_MS = 5_000
const ROUNDS = 3

describe('a mesh under load while processes join, leave, die, freeze and are cut off', function () {
  this.timeout((SECONDS + 300) * 1_000)

  it('gives each call one outcome, runs none twice, and heals in the promised time', async () => {
    const net = openNamespace()
    if (typeof net === 'string') console.log(`cut off: left out, ${net}`)
    const space = typeof net === 'string' ? undefined : net
    const rig = await MeshUnderLoad.start(6, space === undefined ? [] : [`/ip4/${space.address}/tcp/0`])
    const healedMs: Record<string, number> = {}
    const movedMs: Record<string, number> = {}
    try {
      const endAtMs = performance.now() + SECONDS * 1_000
      let a = await rig.join('a0')
      const b = await rig.join('b')
      const c = await rig.join('c', space?.within)
      await rig.whenHealed(4, performance.now())
      rig.startLoad()
      await delay(2_000)

      let sinceMs = performance.now()
      for (let round = 1; round <= ROUNDS; round++) {
        sinceMs = performance.now()
        a.kill('SIGKILL')
        healedMs[`killed ${round}`] = await rig.whenHealed(3, sinceMs)
        sinceMs = performance.now()
        a = await rig.join(`a${round}`)
        healedMs[`joined ${round}`] = await rig.whenHealed(4, sinceMs)

        sinceMs = performance.now()
        b.kill('SIGSTOP')
        movedMs[`frozen ${round}`] = await rig.whenHealed(3, sinceMs)
        await delay(Math.max(0, sinceMs + FROZEN_MS - performance.now()))
        sinceMs = performance.now()
        b.kill('SIGCONT')
        healedMs[`woken ${round}`] = await rig.whenHealed(4, sinceMs)
      }

      if (space !== undefined) {
        sinceMs = performance.now()
        space.cut()
        movedMs['cut off'] = await rig.whenHealed(3, sinceMs)
        await delay(Math.max(0, sinceMs + FROZEN_MS - performance.now()))
        sinceMs = performance.now()
        space.mend()
        healedMs.mended = await rig.whenHealed(4, sinceMs)
      }

      sinceMs = performance.now()
      b.send('leave')
      await once(b, 'exit')
      healedMs.left = await rig.whenHealed(3, sinceMs)
      await rig.join('b2')
      await rig.whenHealed(4, performance.now())
      sinceMs = performance.now()
      c.kill('SIGKILL')
      healedMs.killedAgain = await rig.whenHealed(3, sinceMs)
      await delay(Math.max(0, endAtMs - performance.now()))

      const { sent, outcomes, withoutOutcome, ranTwice, answeredUnrun, backend, ...latencyMs } = await rig.stopLoad()
      console.log({ sent, outcomes, latencyMs, calls: backend.calls })
      expect({ withoutOutcome, ranTwice, answeredUnrun }).to.deep.equal({ withoutOutcome: 0, ranTwice: [], answeredUnrun: [] })
      expect(['answered', '502 ERR_REPLICA_DIED']).to.include.members(Object.keys(outcomes))
      expect(backend).to.include({ ready: 6, queued: 0, ongoing: 0 })
      const { received, admitted, rejected, succeeded, failed, cancelled } = backend.calls
      expect(received).to.equal(sent)
      expect(received).to.equal((admitted ?? 0) + (rejected ?? 0))
      expect(admitted).to.equal((succeeded ?? 0) + (failed ?? 0) + (cancelled ?? 0))
      expect(succeeded).to.equal(outcomes.answered)
      expect(Object.entries(healedMs).filter(([, ms]) => ms > HEALED_MS)).to.deep.equal([])
      expect(Object.entries(movedMs).filter(([, ms]) => ms > MOVED_MS)).to.deep.equal([])
    } finally {
      console.log({ healedMs, movedMs })
      await rig.close()
      space?.close()
    }
  })
})

interface Namespace {
  /** Of this side, in a network of its own that does not leave the machine. */
  readonly address: string
  /** Command that runs what follows inside. */
  readonly within: readonly string[]
  cut(): void
  mend(): void
  close(): void
}

/** A network namespace joined to this one by a pair of virtual interfaces; the reason when this machine does not allow it. */
function openNamespace(): Namespace | string {
  const name = `shoal-${process.pid}`
  const [outer, inner] = [`so${process.pid}`, `si${process.pid}`]
  const network = `10.231.${process.pid % 250}`
  const ip = (line: string): string | undefined => {
    const { status, stderr, error } = spawnSync('ip', line.split(' '), { encoding: 'utf8' })
    return status === 0 ? undefined : `ip ${line}: ${error?.message ?? stderr.trim()}`
  }
  const close = (): void => {
    ip(`link del ${outer}`)
    ip(`netns del ${name}`)
  }
  const failed = [
    `netns add ${name}`,
    `link add ${outer} type veth peer name ${inner}`,
    `link set ${inner} netns ${name}`,
    `addr add ${network}.1/24 dev ${outer}`,
    `link set ${outer} up`,
    `-n ${name} addr add ${network}.2/24 dev ${inner}`,
    `-n ${name} link set ${inner} up`,
    `-n ${name} link set lo up`,
  ].reduce<string | undefined>((before, line) => before ?? ip(line), undefined)
  if (failed !== undefined) {
    close()
    return failed
  }
  return {
    address: `${network}.1`,
    within: ['ip', 'netns', 'exec', name],
    cut: () => void ip(`link set ${outer} down`),
    mend: () => void ip(`link set ${outer} up`),
    close,
  }
}
