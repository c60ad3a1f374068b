import { type MessagePort, parentPort } from 'node:worker_threads'
import { ServeError } from '../core/base/index.ts'
import type { ReplicaCode } from '../core/replica/index.ts'
import { nodeEndpoint } from './node-endpoint.ts'
import { toCallPort } from './node-port.ts'
import { serveReplica } from './serve-replica.ts'

/** Makes this worker thread a replica: it waits for its host to start it. `load` gives the code; what arrives is passed to it. */
export function serveThread(load: (code: ReplicaCode) => Promise<unknown>): void {
  if (parentPort === null)
    throw new ServeError('ERR_UNSUPPORTED', 'expose() works in a worker that serve.worker() made, not in the main thread')
  serveReplica(load, nodeEndpoint(parentPort as never), (sent) => {
    if (sent === undefined) throw new ServeError('ERR_BACKEND_START_FAILED', 'the host handed over no ports')
    return {
      port: toCallPort(sent.port as MessagePort),
      outbound: toCallPort(sent.outbound as MessagePort),
      startedFlags: sent.startedFlags,
    }
  })
}
