import { type Clock, ServeError, type Turns } from '../base/index.ts'
import { createPortPair } from './port-pair.ts'
import type { HostedReplica, ReplicaEnd, ReplicaHost, ReplicaSpec } from './replica-host.ts'
import { type ReplicaClient, ReplicaService } from './replica-service.ts'

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
    const description = await raceAbort(service.start(spec, { port: inner }), signal)
    let end: (end: ReplicaEnd) => void = () => {}
    const whenGone = new Promise<ReplicaEnd>((resolve) => {
      end = resolve
    })
    return {
      description,
      port,
      outbound,
      control: service,
      whenGone,
      async stop() {
        service.stop()
        inner.close()
        innerOutbound.close()
        end({ reason: 'stopped', expected: true })
      },
    }
  }
}

/** Settles as `work` does, or rejects with the signal's reason; `work` is left to itself then. */
export function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

async function refuseToLoad(code: ReplicaSpec['code']): Promise<never> {
  throw new ServeError('ERR_UNSUPPORTED', `an inline replica cannot load code of kind ${code.kind} here`)
}
