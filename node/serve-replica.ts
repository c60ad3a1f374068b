import type { Endpoint } from 'comlink'
import { type ControlPorts, exposeControl } from '../core/adapters/comlink/index.ts'
import { ServeError } from '../core/base/index.ts'
import {
  type CallPort,
  enterReplicaScope,
  prepareThreadGlobals,
  type ReplicaClient,
  type ReplicaCode,
  ReplicaService,
} from '../core/replica/index.ts'
import { OutboundCalls, ServeHandle } from '../core/router/index.ts'
import { realClock, realTurns } from './clock.ts'
import { readBytes } from './read-bytes.ts'

/** The ports of a replica, as its own side sees them. */
export interface OpenedPorts {
  readonly port: CallPort
  readonly outbound: CallPort
  readonly startedFlags?: Uint8Array | undefined
}

/** Makes this thread or process a replica. `open` turns what its host handed over into ports. */
export function serveReplica(
  load: (code: ReplicaCode) => Promise<unknown>,
  endpoint: Endpoint,
  open: (sent: ControlPorts | undefined) => OpenedPorts,
): void {
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
  exposeControl(
    {
      start(spec, sent) {
        const { outbound, ...ports } = open(sent)
        const calls = new OutboundCalls(outbound, realClock, realTurns)
        const connected: ReplicaClient = { getHandle: (name) => new ServeHandle(name, calls) }
        client = connected
        enterReplicaScope({ backend: spec.backend, replicaId: spec.replicaId, connect: () => connected })
        return service.start(spec, ports)
      },
      configure: (limits) => service.configure(limits),
      reconfigure: (userConfig) => service.reconfigure(userConfig),
      checkHealth: () => service.checkHealth(),
      ping: () => service.ping(),
    },
    endpoint,
  )
}
