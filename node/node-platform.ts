import { availableParallelism, totalmem } from 'node:os'
import type { BackendTarget, InstancePlatform } from '../core/api/index.ts'
import type { Logger } from '../core/base/index.ts'
import type { ReplicaCode, ReplicaHost } from '../core/replica/index.ts'
import { ChildProcessHost } from './child-process-host.ts'
import { realClock, realTurns } from './clock.ts'
import { callerFile, locateSource } from './evaluate-source.ts'
import { startHttpGateway } from './http-gateway.ts'
import { loadModule } from './load-code.ts'
import { readBytes } from './read-bytes.ts'
import { WorkerThreadsHost } from './worker-threads-host.ts'

/** Everything an instance needs of Node. */
export function nodePlatform(log: Logger): InstancePlatform {
  return {
    runtime: 'node',
    clock: realClock,
    turns: realTurns,
    random: Math.random,
    log,
    hosts: new Map<string, ReplicaHost>([
      ['thread', new WorkerThreadsHost()],
      ['process', new ChildProcessHost()],
    ]),
    resources: { cpu: availableParallelism(), gpu: 0, memoryBytes: totalmem() },
    readBytes,
    callerOf: callerFile,
    toPortableCode,
    loadModule,
    openGateway: (source, options, random, gatewayLog) => startHttpGateway({ source, options, random, log: gatewayLog }),
  }
}

/** Checks that a function or class needs nothing but itself, and gives it as source. `filename` is where it was written. */
export async function toPortableCode(tag: string, target: BackendTarget, filename: string | undefined): Promise<ReplicaCode> {
  const { checkPortable, NODE_WORKER_GLOBALS } = await import('../core/adapters/portability/index.ts')
  const portable = checkPortable(target as () => unknown, { globals: NODE_WORKER_GLOBALS, name: tag })
  return { kind: 'source', portable, filename, ...(filename !== undefined && locateSource(portable, filename)) }
}
