import { checkPortable, NODE_WORKER_GLOBALS } from '../../core/adapters/portability/index.ts'
import { realClock, realTurns } from '../../node/clock.ts'
import { WorkerThreadsHost } from '../../node/worker-threads-host.ts'
import { replicaHostCompliance } from '../compliance/replica-host.ts'
import { settle } from '../support/fake-clock.ts'

replicaHostCompliance(
  'worker threads',
  () => ({
    host: new WorkerThreadsHost(),
    seams: { clock: realClock, turns: realTurns, turn: () => settle() },
    toCode: (target) => ({
      kind: 'source',
      portable: checkPortable(target as () => unknown, { globals: NODE_WORKER_GLOBALS, name: 'b' }),
    }),
  }),
  { isolation: true, memoryLimit: true, exit: true },
)
