import { type Endpoint, releaseProxy, transfer, wrap } from 'comlink'
import { type ErrorEnvelope, fromErrorEnvelope, ServeError } from '../../base/index.ts'
import type { ReplicaControl, ReplicaEnd, ReplicaSpec, ReplicaUsage, RuntimeLimits, TargetDescription } from '../../replica/index.ts'

/** What a replica's thread offers. Results and errors are plain data: comlink and structured clone lose code and cause of an error. */
export interface ControlTarget extends ReplicaControl {
  /** `ports` are missing where the one channel carries everything. */
  start(spec: ReplicaSpec, ports?: ControlPorts): Promise<TargetDescription>
  usage(): Promise<ReplicaUsage>
}

/** The ports that are handed over at start: calls in, calls out, and the memory of the start marks. */
export interface ControlPorts {
  readonly port: object
  readonly outbound: object
  readonly startedFlags?: Uint8Array | undefined
  /** Name of a Web Lock that the replica holds for as long as it lives; in pages. */
  readonly lifeLock?: string | undefined
}

export type Reply<T> = { readonly value: T } | { readonly error: ErrorEnvelope }
type Wire = Record<keyof ControlTarget, (...args: never[]) => Promise<Reply<unknown>>>

/**
 * The host's end. comlink never settles a call whose other side is gone, so each is raced with the end of the replica and fails with
 * `ERR_REPLICA_DIED` then. The proxy is held by what is returned: a collected proxy drops its calls.
 */
export function wrapControl(endpoint: Endpoint, whenGone: Promise<ReplicaEnd>): ControlTarget & { release(): void } {
  const proxy = wrap<Wire>(endpoint)
  const died = whenGone.then((end): never => {
    throw new ServeError('ERR_REPLICA_DIED', `replica ended (${end.reason})`, { outcome: 'started-unknown', cause: end.cause })
  })
  died.catch(() => undefined)
  const call = async <T>(name: keyof ControlTarget, ...args: unknown[]): Promise<T> => {
    const remote = proxy[name] as unknown as (...args: unknown[]) => Promise<Reply<T>>
    const reply = await Promise.race([remote(...args), died])
    if ('error' in reply) throw fromErrorEnvelope(reply.error)
    return reply.value
  }
  return {
    start: (spec, ports) =>
      ports === undefined ? call('start', spec) : call('start', spec, transfer(ports, [ports.port, ports.outbound] as Transferable[])),
    configure: (limits: RuntimeLimits) => call('configure', limits),
    reconfigure: (userConfig) => call('reconfigure', userConfig),
    checkHealth: () => call('checkHealth'),
    ping: () => call('ping'),
    usage: () => call('usage'),
    release: () => proxy[releaseProxy](),
  }
}
