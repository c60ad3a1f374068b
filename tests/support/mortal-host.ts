import type { HostedReplica, ReplicaEnd, ReplicaHost, ReplicaSpec } from '../../core/replica/index.ts'

/** A replica of a {@link MortalHost} and what a test may do to it. */
export interface MortalReplica {
  readonly spec: ReplicaSpec
  /** Ends it as a crash does. */
  die(reason?: string): Promise<void>
  /** Its event loop stops: pings and health checks stay without an answer. */
  hang(): void
  /** What it says of its heap from now on. */
  grow(heapBytes: number): void
  readonly stopped: boolean
}

/** Puts another host under the control of a test: its replicas die, hang, or do not start when told to. */
export class MortalHost implements ReplicaHost {
  readonly name: string
  /** Every replica that ever stood, in the order of their starts. */
  readonly replicas: MortalReplica[] = []
  /** Asked of every start; an error that it returns or throws is what the start fails with. */
  onStart: (spec: ReplicaSpec, signal: AbortSignal) => unknown = () => undefined
  /** Told of every replica that stands, before whoever asked for it. */
  onStarted: (replica: MortalReplica) => void = () => {}
  readonly #inner: ReplicaHost

  constructor(inner: ReplicaHost) {
    this.#inner = inner
    this.name = inner.name
  }

  /** Those that stand now. */
  get alive(): MortalReplica[] {
    return this.replicas.filter((replica) => !replica.stopped)
  }

  async start(spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> {
    await this.onStart(spec, signal)
    const hosted = await this.#inner.start(spec, signal)
    let hangs = false
    let heapBytes = 0
    let stopped = false
    let end: (end: ReplicaEnd) => void = () => {}
    const whenGone = new Promise<ReplicaEnd>((resolve) => {
      end = resolve
    })
    void hosted.whenGone.then(end)
    const finish = async (why: ReplicaEnd): Promise<void> => {
      stopped = true
      end(why)
      await hosted.stop()
    }
    const replica: MortalReplica = {
      spec,
      die: (reason = 'killed by the test') => finish({ reason, expected: false }),
      hang: () => {
        hangs = true
      },
      grow: (bytes) => {
        heapBytes = bytes
      },
      get stopped() {
        return stopped
      },
    }
    this.replicas.push(replica)
    this.onStarted(replica)
    const orHang = (work: () => Promise<void>): Promise<void> => (hangs ? new Promise<void>(() => {}) : work())
    return {
      ...hosted,
      whenGone,
      control: {
        configure: (limits) => hosted.control.configure(limits),
        reconfigure: (userConfig) => hosted.control.reconfigure(userConfig),
        checkHealth: () => orHang(() => hosted.control.checkHealth()),
        ping: () => orHang(() => hosted.control.ping()),
        usage: async () => ({ heapBytes }),
      },
      stop: () => finish({ reason: 'stopped', expected: true }),
    }
  }
}
