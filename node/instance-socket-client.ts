import { setTimeout as delay } from 'node:timers/promises'
import { RemoteInstance } from '../core/api/index.ts'
import { SILENT } from '../core/base/index.ts'
import { realClock, realTurns } from './clock.ts'
import { connectToSocket } from './instance-socket.ts'
import { isRunning } from './is-running.ts'
import { nodePlatform } from './node-platform.ts'

/** Longest wait for the processes of an instance that was shut down, in milliseconds. */
const END_WAIT_MS = 10_000

/** Attaches to the running instance of a name: `ERR_NO_INSTANCE`, `ERR_PROTOCOL_VERSION`. It keeps this process alive only while something is open. */
export async function attachToInstance(name: string): Promise<RemoteInstance> {
  const link = await connectToSocket(name)
  const { callerOf, toPortableCode } = nodePlatform(SILENT)
  try {
    return await RemoteInstance.attach(link, { clock: realClock, turns: realTurns, callerOf, toPortableCode, whenEnded })
  } catch (error) {
    link.close()
    throw error
  }
}

/** Resolves when none of the processes is there any more, or after a while: a process that hangs is its supervisor's business. */
async function whenEnded(processes: readonly number[]): Promise<void> {
  const stopAtMs = performance.now() + END_WAIT_MS
  while (processes.some(isRunning) && performance.now() < stopAtMs) await delay(10)
}
