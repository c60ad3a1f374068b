import { type Clock, ServeError, type Turns } from '../base/index.ts'
import { createPortPair } from './port-pair.ts'
import { raceAbort } from './race-abort.ts'
import type { HostedReplica, ReplicaControl, ReplicaEnd, ReplicaHost, ReplicaSpec } from './replica-host.ts'
import { type ReplicaClient, ReplicaService } from './replica-service.ts'
import { startedFlagsSize } from './started-flags.ts'

export interface InProcessHostOptions {
  /** Loads modules by URL; without it only inline code can be served. */
  readonly load?: (code: ReplicaSpec['code']) => Promise<unknown>
  readonly readBytes: (url: string) => Promise<Uint8Array>
  /** Makes the client of `connect()` from the replica's end of its outbound port. */
  readonly connect: (outbound: HostedReplica['outbound']) => ReplicaClient
}

/**
 * Replicas in the thread of their callers: for closures, for tests, and where a worker would cost more than it gives. Values are cloned as between
 * threads. Such a replica never dies by itself, and a loop in it stops everything.
 */
export class InProcessHost implements ReplicaHost {
  readonly name = 'inline'
  readonly #options: InProcessHostOptions
  readonly #clock: Clock
  readonly #turns: Turns

  constructor(options: InProcessHostOptions, clock: Clock, turns: Turns) {
    this.#options = options
    this.#clock = clock
    this.#turns = turns
  }

  async start(spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> {
    const [port, inner] = createPortPair(this.#turns)
    const [outbound, innerOutbound] = createPortPair(this.#turns)
    let client: ReplicaClient | undefined
    const connect = (): ReplicaClient => {
      client ??= this.#options.connect(innerOutbound)
      return client
    }
    const service = new ReplicaService({
      clock: this.#clock,
      turns: this.#turns,
      load: this.#options.load ?? refuseToLoad,
      readBytes: this.#options.readBytes,
      connect,
    })
    const startedFlags = new Uint8Array(startedFlagsSize(spec.limits.maxConcurrentQueries))
    let isGone = false
    let end: (end: ReplicaEnd) => void = () => {}
    const whenGone = new Promise<ReplicaEnd>((resolve) => {
      end = resolve
    })
    const stop = async (): Promise<void> => {
      isGone = true
      service.stop()
      inner.close()
      innerOutbound.close()
      end({ reason: 'stopped', expected: true })
    }
    try {
      signal.throwIfAborted()
      const description = await raceAbort(service.start(spec, { port: inner, startedFlags }), signal)
      return { description, port, outbound, startedFlags, control: whileAlive(service, () => isGone), whenGone, stop }
    } catch (error) {
      await stop()
      throw error
    }
  }
}

/** The control of a replica that is gone answers nothing, wherever it ran. */
function whileAlive(control: ReplicaControl, isGone: () => boolean): ReplicaControl {
  const guard = <A extends unknown[]>(work: (...args: A) => Promise<void>) => {
    return async (...args: A): Promise<void> => {
      if (isGone()) throw new ServeError('ERR_REPLICA_DIED', 'replica ended (stopped)', { outcome: 'not-started' })
      await work(...args)
    }
  }
  return {
    configure: guard((limits) => control.configure(limits)),
    reconfigure: guard((userConfig) => control.reconfigure(userConfig)),
    checkHealth: guard(() => control.checkHealth()),
    ping: guard(() => control.ping()),
  }
}

async function refuseToLoad(code: ReplicaSpec['code']): Promise<never> {
  throw new ServeError('ERR_UNSUPPORTED', `an inline replica cannot load code of kind ${code.kind} here`)
}
