import { InProcessHost } from '../../../core/replica/index.ts'
import { OutboundCalls, ServeHandle } from '../../../core/router/index.ts'
import { replicaHostCompliance } from '../../compliance/replica-host.ts'
import { FakeClock, settle, testTurns } from '../../support/fake-clock.ts'

const NO_THREAD = 'an inline replica has no thread of its own'

replicaHostCompliance(
  'inline',
  () => {
    const seams = { clock: new FakeClock(), turns: testTurns(), turn: () => settle() }
    const host = new InProcessHost(
      {
        readBytes: async (url) => new TextEncoder().encode(url),
        connect: (outbound) => {
          const calls = new OutboundCalls(outbound, seams.clock, seams.turns)
          return { getHandle: (endpoint) => new ServeHandle(endpoint, calls) }
        },
      },
      seams.clock,
      seams.turns,
    )
    return { host, seams, toCode: (target) => ({ kind: 'inline', value: target }) }
  },
  { isolation: NO_THREAD, memoryLimit: NO_THREAD, exit: NO_THREAD },
)
