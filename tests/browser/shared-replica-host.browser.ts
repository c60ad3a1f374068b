import { realClock, realTurns } from '../../browser/clock.ts'
import { SharedReplicaHost } from '../../browser/shared-replica-host.ts'
import { WebWorkerHost } from '../../browser/web-worker-host.ts'
import { checkPortable, WEB_WORKER_GLOBALS } from '../../core/adapters/portability/index.ts'
import { type ReplicaHost, raceAbort } from '../../core/replica/index.ts'
import { replicaHostCompliance } from '../compliance/replica-host.ts'
import { settle } from '../support/fake-clock.ts'

const newHost = (): ReplicaHost => new SharedReplicaHost(new WebWorkerHost({ sharedMemory: false }))

/** A tab that finds the replica running in another one: two hosts in this page are as good as two tabs. */
function secondTab(): ReplicaHost {
  const run = crypto.randomUUID()
  return {
    name: 'thread',
    async start(spec, signal) {
      // Replicas of other tests are called the same.
      const shared = { ...spec, jsonLimits: { ...spec.jsonLimits, run } }
      const leader = await raceAbort(newHost().start(shared, signal), signal)
      const hosted = await newHost().start(shared, signal)
      return {
        ...hosted,
        // What the replica calls, it calls in the tab that runs it.
        outbound: leader.outbound,
        async stop() {
          await hosted.stop()
          await leader.stop()
        },
      }
    },
  }
}

const toCode = (target: unknown) => ({
  kind: 'source' as const,
  portable: checkPortable(target as () => unknown, { globals: WEB_WORKER_GLOBALS, name: 'b' }),
})
const seams = { clock: realClock, turns: realTurns, turn: () => settle() }
const LIMITS = {
  isolation: true,
  memoryLimit: 'a page and its workers share one limit',
  exit: 'a worker has no process',
  exactStarts: 'start marks come as messages, so that every tab sees them',
} as const

replicaHostCompliance('a shared replica, in the tab that runs it', () => ({ host: newHost(), seams, toCode }), LIMITS)

replicaHostCompliance('a shared replica, from another tab', () => ({ host: secondTab(), seams, toCode }), {
  ...LIMITS,
  transfer: 'what goes to another tab is copied',
  lastWords: 'another tab learns only that the replica is gone',
})
