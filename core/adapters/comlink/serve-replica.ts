import type { Endpoint } from 'comlink'
import { type Clock, ServeError, type Turns } from '../../base/index.ts'
import {
  type CallPort,
  enterReplicaScope,
  prepareThreadGlobals,
  type ReplicaClient,
  type ReplicaCode,
  ReplicaService,
} from '../../replica/index.ts'
import { OutboundCalls, ServeHandle } from '../../router/index.ts'
import type { ControlPorts } from './control-link.ts'
import { exposeControl } from './expose-control.ts'

/** The ports of a replica, as its own side sees them. */
export interface OpenedPorts {
  readonly port: CallPort
  readonly outbound: CallPort
  readonly startedFlags?: Uint8Array | undefined
}

/** What the platform brings to a thread that is to be a replica. */
export interface ReplicaThread {
  readonly clock: Clock
  readonly turns: Turns
  /** Makes a function or class of code that arrived. */
  load(code: ReplicaCode): Promise<unknown>
  readBytes(url: string): Promise<Uint8Array>
  /** Turns what the host handed over into ports. */
  open(sent: ControlPorts | undefined): OpenedPorts | Promise<OpenedPorts>
  /** Heap in use, of the kind that `memoryLimitBytes` bounds; left out where that cannot be told. */
  heapBytes?(): number
}

/** Makes this thread or process a replica: it waits for its host, on `endpoint`, to start it. */
export function serveReplica(thread: ReplicaThread, endpoint: Endpoint): void {
  const { clock, turns, load, readBytes } = thread
  prepareThreadGlobals()
  let client: ReplicaClient | undefined
  const service = new ReplicaService({
    clock,
    turns,
    load,
    readBytes,
    connect: () => {
      if (client === undefined) throw new ServeError('ERR_NO_INSTANCE', 'the replica has not been started by its host')
      return client
    },
  })
  exposeControl(
    {
      async start(spec, sent) {
        const { outbound, ...ports } = await thread.open(sent)
        const calls = new OutboundCalls(outbound, clock, turns)
        const connected: ReplicaClient = { getHandle: (name) => new ServeHandle(name, calls) }
        client = connected
        enterReplicaScope({ backend: spec.backend, replicaId: spec.replicaId, connect: () => connected })
        return service.start(spec, ports)
      },
      configure: (limits) => service.configure(limits),
      reconfigure: (userConfig) => service.reconfigure(userConfig),
      checkHealth: () => service.checkHealth(),
      ping: () => service.ping(),
      usage: async () => ({ heapBytes: thread.heapBytes?.() }),
    },
    endpoint,
  )
}
