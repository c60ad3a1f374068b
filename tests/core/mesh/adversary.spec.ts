import { expect } from 'chai'
import type { Random } from '../../../core/base/index.ts'
import type { MeshRole } from '../../../core/mesh/index.ts'
import { MeshWorld, type Stranger } from '../../support/mesh-world.ts'
import { seededRandom } from '../../support/seeded-random.ts'

const echo = (request: { data: unknown }): unknown => request.data
const MEMBERS = 60
const MESSAGES_OF_EACH = 20

/** What a member may say to the controller, and what it may not. */
const TOPICS = ['inventory', 'load', 'starved', 'gone', 'bundle-refused', 'peers', 'nonsense', '__proto__', 'constructor', 'toString']
const METHODS = ['enter', 'leave', 'table', 'start', 'stop', 'lead', 'nonsense', 'hasOwnProperty', '__proto__']
const PORTS = ['control', 'instance', 'backend:echo', 'backend:none', 'backend:', 'bundles', 'group', 'relay', '', 'x'.repeat(256)]
const ROLES: readonly (readonly MeshRole[])[] = [['replica'], ['caller'], ['gateway'], ['replica', 'caller']]

describe('a member that says anything', () => {
  for (const seed of [1, 2, 3]) {
    it(`changes nothing for others, nor in the state, seed ${seed}`, async () => {
      const random = seededRandom(seed)
      const world = await MeshWorld.make()
      const good = await world.join('good', { labels: { at: 'good' } })
      const replicaOptions = { placement: { labels: { at: 'good' } } }
      await world.serve('echo', echo, { config: { numReplicas: 2 }, replicaOptions })
      const prototypes = JSON.stringify([Object.prototype, Array.prototype].map((it) => Reflect.ownKeys(it).map(String)))
      const before = await world.drive(world.client.status())
      for (let i = 0; i < MEMBERS; i++) {
        const liar = await world.stranger(`liar ${i}`, { ticket: { roles: pick(random, ROLES) } })
        for (let m = 0; m < MESSAGES_OF_EACH; m++) babble(liar, random)
        await world.settle()
        liar.member.link.close('enough')
        await world.settle()
      }
      expect(await world.drive(good.client.getHandle('echo').remote('still there') as unknown as Promise<unknown>)).to.equal('still there')
      const after = await world.drive(world.client.status())
      expect(Object.keys(after.nodes)).to.deep.equal(Object.keys(before.nodes))
      expect([after.endpoints.echo?.traffic, Object.keys(after.backends)]).to.deep.equal([before.endpoints.echo?.traffic, ['echo']])
      expect(world.spread('echo')).to.deep.equal({ good: 2 })
      expect(JSON.stringify([Object.prototype, Array.prototype].map((it) => Reflect.ownKeys(it).map(String)))).to.equal(prototypes)
    })
  }
})

function babble({ member, control }: Stranger, random: Random): void {
  if (member.link.isGone) return
  try {
    const what = random()
    if (what < 0.4) control.tell(pick(random, TOPICS), anything(random))
    else if (what < 0.7) void control.request(pick(random, METHODS), anything(random), anything(random)).catch(() => undefined)
    else member.link.openPort(pick(random, PORTS)).post([anything(random), anything(random), anything(random), anything(random)])
  } catch {
    // Its own end of the link did not let that through.
  }
}

function anything(random: Random, depth = 0): unknown {
  const choices: readonly (() => unknown)[] = [
    () => undefined,
    () => null,
    () => Math.floor(random() * 5),
    () => pick(random, [-1, -2, -3, -4, 1e308, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]),
    () => pick(random, ['', 'echo', '__proto__', 'x'.repeat(1_000), 'getBackendConfig', 'shutdown']),
    () => new Uint8Array(random() * 100),
    () => Array.from({ length: random() * 4 }, () => (depth > 3 ? 0 : anything(random, depth + 1))),
    () => new Map([[pick(random, TOPICS), depth > 3 ? 0 : anything(random, depth + 1)]]),
    () => ({ replicas: anything(random, 4), replicaId: anything(random, 4), end: anything(random, 4), echo: anything(random, 4) }),
    () => ({ digest: anything(random, 4), from: 7, reason: [] }),
  ]
  const made = pick(random, choices)
  return depth > 3 ? pick(random, [0, null, 'echo', undefined]) : made()
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)] as T
}
