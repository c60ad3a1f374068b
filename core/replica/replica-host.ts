import type { JsonLimits } from '../request/index.ts'
import type { CallPort } from './call-port.ts'
import type { ReplicaCode } from './replica-code.ts'
import type { RuntimeLimits } from './replica-runtime.ts'
import type { TargetDescription } from './served-target.ts'

/** What a host needs to start one replica. Plain data, but for an inline target. */
export interface ReplicaSpec {
  readonly backend: string
  /** `<backend>#<random>`. */
  readonly replicaId: string
  readonly code: ReplicaCode
  /** As encoded by `encodeInitArgs`. */
  readonly initArgs: readonly unknown[]
  readonly limits: RuntimeLimits
  readonly userConfig: unknown
  readonly jsonLimits: JsonLimits
  /** Environment of shipped code; it sees no other. */
  readonly env: Readonly<Record<string, string>>
  /** Heap of the replica in bytes; the platform's default without it. */
  readonly memoryLimitBytes?: number | undefined
  /** One replica for all tabs of the origin; only hosts of a page know how. */
  readonly shared?: boolean | undefined
}

/** Why a replica is gone. */
export interface ReplicaEnd {
  /** One clause for messages: `worker exited with code 1`. */
  readonly reason: string
  /** True when it was asked to stop. */
  readonly expected: boolean
  readonly cause?: unknown
  /** True when its place went away and no fault of its code ended it: it is started elsewhere at once, and no death is counted. */
  readonly placeGone?: boolean | undefined
}

/** What a replica takes of its machine. */
export interface ReplicaUsage {
  /** Heap in use, of the kind that `memoryLimitBytes` bounds; undefined where the platform cannot tell. */
  readonly heapBytes: number | undefined
}

/** The slow lane to a replica: what happens once per replica, change or minute. Every call may reject when the replica dies. */
export interface ReplicaControl {
  configure(limits: RuntimeLimits): Promise<void>
  /** `ERR_RECONFIGURE_FAILED` with the cause. */
  reconfigure(userConfig: unknown): Promise<void>
  /** Rejects when the class's `checkHealth` does. */
  checkHealth(): Promise<void>
  /** Answers as soon as the event loop of the replica turns. */
  ping(): Promise<void>
  /** Only where a replica has memory of its own. */
  usage?(): Promise<ReplicaUsage>
}

/** A replica that stands and serves. */
export interface HostedReplica {
  readonly description: TargetDescription
  /** Calls in, answers out. */
  readonly port: CallPort
  /** Calls that the replica's own code makes on the instance. */
  readonly outbound: CallPort
  /** Shared with the replica: one byte per ring slot, 1 once user code is about to see the call. */
  readonly startedFlags?: Uint8Array | undefined
  readonly control: ReplicaControl
  /** Resolves once, whatever ended it. */
  readonly whenGone: Promise<ReplicaEnd>
  /** True when it runs on another node: its port leads to that node, which gives the calls to any of its replicas of the backend. */
  readonly isRemote?: boolean | undefined
  /** Ends it now; a call inside is lost. Resolves when it is gone. */
  stop(): Promise<void>
}

/** Where replicas are started. One compliance suite runs on all. */
export interface ReplicaHost {
  /** For messages and the status. */
  readonly name: string
  /**
   * Starts a replica; resolves when its target is constructed, initialised and configured. Rejects with `ERR_BACKEND_START_FAILED` and the cause, or
   * with the code of a refusal of its own; nothing is left running then. An aborted signal ends the attempt.
   */
  start(spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica>
}
