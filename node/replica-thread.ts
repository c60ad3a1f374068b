import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type MessagePort, parentPort } from 'node:worker_threads'
import { exposeControl } from '../core/adapters/comlink/index.ts'
import { ServeError } from '../core/base/index.ts'
import { enterReplicaScope, prepareThreadGlobals, type ReplicaClient, type ReplicaCode, ReplicaService } from '../core/replica/index.ts'
import { OutboundCalls, ServeHandle } from '../core/router/index.ts'
import { realClock, realTurns } from './clock.ts'
import { nodeEndpoint } from './node-endpoint.ts'
import { toCallPort } from './node-port.ts'

/** Reads a file or, over HTTP, whatever an URL names. */
export async function readBytes(url: string): Promise<Uint8Array> {
  if (url.startsWith('file:')) return new Uint8Array(await readFile(fileURLToPath(url)))
  const response = await fetch(url)
  if (!response.ok) throw new ServeError('ERR_INVALID_ARG_VALUE', `asset ${url}: answered with status ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}

/** Makes this thread a replica: it waits for its host to start it. `load` gives the code; what arrives is passed to it. */
export function serveThread(load: (code: ReplicaCode) => Promise<unknown>): void {
  if (parentPort === null)
    throw new ServeError('ERR_UNSUPPORTED', 'expose() works in a worker that serve.worker() made, not in the main thread')
  prepareThreadGlobals()
  let client: ReplicaClient | undefined
  const service = new ReplicaService({
    clock: realClock,
    turns: realTurns,
    load,
    readBytes,
    connect: () => {
      if (client === undefined) throw new ServeError('ERR_NO_INSTANCE', 'the replica has not been started by its host')
      return client
    },
  })
  const control = {
    start: (spec, ports) => {
      const calls = new OutboundCalls(toCallPort(ports.outbound as MessagePort), realClock, realTurns)
      client = { getHandle: (endpoint) => new ServeHandle(endpoint, calls) }
      const connected = client
      enterReplicaScope({ backend: spec.backend, replicaId: spec.replicaId, connect: () => connected })
      return service.start(spec, { port: toCallPort(ports.port as MessagePort), startedFlags: ports.startedFlags })
    },
    configure: (limits) => service.configure(limits),
    reconfigure: (userConfig) => service.reconfigure(userConfig),
    checkHealth: () => service.checkHealth(),
    ping: () => service.ping(),
  } satisfies Parameters<typeof exposeControl>[0]
  exposeControl(control, nodeEndpoint(parentPort as never))
}
