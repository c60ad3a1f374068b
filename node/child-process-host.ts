import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { explainEnd, wrapControl } from '../core/adapters/comlink/index.ts'
import type { HostedReplica, ReplicaEnd, ReplicaHost, ReplicaSpec } from '../core/replica/index.ts'
import { splitChannel } from './process-channel.ts'

/**
 * Replicas in child processes: a bound for memory as well as for the processor. A giant allocation or a crash of native code costs that replica only.
 * Everything is copied on the way; a call costs more than to a thread.
 */
export class ChildProcessHost implements ReplicaHost {
  readonly name = 'process'

  async start(spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> {
    const child = fork(fileURLToPath(new URL('./process-entry.ts', import.meta.url)), [], {
      serialization: 'advanced',
      env: { ...spec.env },
      execArgv:
        spec.memoryLimitBytes === undefined ? [] : [`--max-old-space-size=${Math.max(1, Math.ceil(spec.memoryLimitBytes / 2 ** 20))}`],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const { whenGone, stop } = watch(child)
    const { control: endpoint, port, outbound } = splitChannel(child as never)
    const control = wrapControl(endpoint, whenGone)
    const abort = (): void => void stop()
    signal.addEventListener('abort', abort, { once: true })
    try {
      if (signal.aborted) throw signal.reason
      const description = await control.start(spec)
      return { description, port, outbound, control, whenGone, stop }
    } catch (error) {
      await stop()
      if (signal.aborted) throw signal.reason
      throw await explainEnd(error, spec, whenGone)
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }
}

function watch(child: ChildProcess): { whenGone: Promise<ReplicaEnd>; stop(): Promise<void> } {
  let stopping = false
  let failure: unknown
  const whenGone = new Promise<ReplicaEnd>((resolve) => {
    const end = (reason: string): void => resolve({ reason: stopping ? 'stopped' : reason, expected: stopping, cause: failure })
    child.on('error', (error) => {
      failure = error
      if (child.pid === undefined) end(`process could not be started: ${error.message}`)
    })
    // Not `exit`: what the process said last is delivered before its channel closes.
    child.once('close', (exitCode, signalName) => {
      end(signalName === null ? `process exited with code ${exitCode}` : `process was ended by ${signalName}`)
    })
  })
  return {
    whenGone,
    async stop() {
      stopping = true
      child.kill('SIGKILL')
      await whenGone
    },
  }
}
