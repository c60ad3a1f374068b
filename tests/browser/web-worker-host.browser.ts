import { realClock, realTurns } from '../../browser/clock.ts'
import { WebWorkerHost } from '../../browser/web-worker-host.ts'
import { checkPortable, WEB_WORKER_GLOBALS } from '../../core/adapters/portability/index.ts'
import { replicaHostCompliance } from '../compliance/replica-host.ts'
import { settle } from '../support/fake-clock.ts'

replicaHostCompliance(
  'Web Workers',
  () => ({
    host: new WebWorkerHost(),
    seams: { clock: realClock, turns: realTurns, turn: () => settle() },
    toCode: (target) => ({
      kind: 'source',
      portable: checkPortable(target as () => unknown, { globals: WEB_WORKER_GLOBALS, name: 'b' }),
    }),
  }),
  {
    isolation: true,
    memoryLimit: 'a page and its workers share one limit',
    exit: 'a worker has no process',
    exactStarts: globalThis.crossOriginIsolated || 'a page shares memory with its workers only where it is cross-origin isolated',
  },
)
