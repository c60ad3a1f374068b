import { MessageChannel, Worker, type WorkerOptions } from 'node:worker_threads'
import { explainEnd, wrapControl } from '../core/adapters/comlink/index.ts'
import { ServeError } from '../core/base/index.ts'
import { type HostedReplica, type ReplicaEnd, type ReplicaHost, type ReplicaSpec, startedFlagsSize } from '../core/replica/index.ts'
import { nodeEndpoint } from './node-endpoint.ts'
import { toCallPort } from './node-port.ts'

/**
 * Replicas in worker threads. A thread bounds what its code can do with the processor: `stop` ends any loop. It bounds memory only in part: one
 * giant allocation ends the whole process.
 */
export class WorkerThreadsHost implements ReplicaHost {
  readonly name = 'thread'

  async start(spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> {
    signal.throwIfAborted()
    const worker = makeWorker(spec)
    const { whenGone, stop } = watch(worker)
    const calls = new MessageChannel()
    const outbound = new MessageChannel()
    const control = wrapControl(nodeEndpoint(worker), whenGone)
    const startedFlags = new Uint8Array(new SharedArrayBuffer(startedFlagsSize(spec.limits.maxConcurrentQueries)))
    const abort = (): void => void stop()
    signal.addEventListener('abort', abort, { once: true })
    try {
      // The factory of a worker backend stays here; the worker knows its own code.
      const { code, ...rest } = spec
      const sent = { ...rest, code: code.kind === 'worker' ? { kind: 'worker' } : code } as ReplicaSpec
      const description = await control.start(sent, { port: calls.port2, outbound: outbound.port2, startedFlags })
      const port = toCallPort(calls.port1)
      const outboundPort = toCallPort(outbound.port1)
      const closed = whenGone.then((end) => {
        port.deliverWaiting()
        return end
      })
      return { description, port, outbound: outboundPort, startedFlags, control, whenGone: closed, stop }
    } catch (error) {
      calls.port1.close()
      outbound.port1.close()
      await stop()
      signal.throwIfAborted()
      throw await explainEnd(error, spec, whenGone)
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }
}

function makeWorker(spec: ReplicaSpec): Worker {
  const options: WorkerOptions = {
    env: { ...spec.env },
    name: spec.replicaId,
    // A program given on the command line says of what kind it is; a worker is a file and refuses the flag.
    ...(process.execArgv.some((flag) => flag.startsWith('--input-type')) && { execArgv: [] }),
    ...(spec.memoryLimitBytes !== undefined && { resourceLimits: { maxOldGenerationSizeMb: Math.ceil(spec.memoryLimitBytes / 2 ** 20) } }),
  }
  if (spec.code.kind !== 'worker') return new Worker(new URL('./worker-entry.ts', import.meta.url), options)
  const made = spec.code.factory(Worker as never)
  if (made instanceof Worker) return made
  throw new ServeError(
    'ERR_INVALID_ARG_TYPE',
    `backend ${spec.backend}: the factory given to serve.worker() must return a Worker of node:worker_threads`,
  )
}

/** Joins `error` and `exit` into one end; Node tells of both when a thread throws. */
function watch(worker: Worker): { whenGone: Promise<ReplicaEnd>; stop(): Promise<void> } {
  let stopping = false
  let failure: unknown
  const whenGone = new Promise<ReplicaEnd>((resolve) => {
    worker.on('error', (error) => {
      failure = error
    })
    worker.on('messageerror', (error) => {
      failure = error
      void worker.terminate()
    })
    worker.once('exit', (exitCode) => {
      const reason =
        failure === undefined
          ? `worker exited with code ${exitCode}`
          : `worker failed: ${failure instanceof Error ? failure.message : String(failure)}`
      resolve({ reason: stopping ? 'stopped' : reason, expected: stopping, cause: failure })
    })
  })
  return {
    whenGone,
    async stop() {
      stopping = true
      await worker.terminate()
    },
  }
}
