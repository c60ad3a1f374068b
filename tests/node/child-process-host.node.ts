import { checkPortable, NODE_WORKER_GLOBALS } from '../../core/adapters/portability/index.ts'
import { ChildProcessHost } from '../../node/child-process-host.ts'
import { realClock, realTurns } from '../../node/clock.ts'
import { replicaHostCompliance } from '../compliance/replica-host.ts'
import { settle } from '../support/fake-clock.ts'

replicaHostCompliance(
  'child processes',
  () => ({
    host: new ChildProcessHost(),
    seams: { clock: realClock, turns: realTurns, turn: () => settle() },
    toCode: (target) => ({
      kind: 'source',
      portable: checkPortable(target as () => unknown, { globals: NODE_WORKER_GLOBALS, name: 'b' }),
    }),
  }),
  {
    isolation: true,
    memoryLimit: true,
    exit: true,
    transfer: 'a process shares no memory with another: all is copied',
    exactStarts: 'a process shares no memory with another: the calls of a message count as started when it is opened',
    lastWords: 'what a process says last goes to its stderr',
  },
)
