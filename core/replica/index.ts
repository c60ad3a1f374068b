/** Replicas: their hosts, the lanes to them, and the runtime inside them. */
export { ACCEPTS_BATCH } from './accepts-batch.ts'
export { AnswerOutbox } from './answer-outbox.ts'
export { Asset, type AssetData, assetUrl } from './asset.ts'
export { chooseReplica, type Loaded } from './balancer.ts'
export { CallLane, type CallLaneOptions, type LaneOwner } from './call-lane.ts'
export type { CallPort } from './call-port.ts'
export { exportedTarget } from './exported-target.ts'
export { InProcessHost, type InProcessHostOptions } from './in-process-host.ts'
export { encodeInitArgs } from './init-args.ts'
export { type LivingArgument, TO_LIVING } from './living-argument.ts'
export { type BatchPlan, planBatches } from './plan-batches.ts'
export { createPortPair } from './port-pair.ts'
export { raceAbort } from './race-abort.ts'
export type { BlobRef, BundleRef, ReplicaCode } from './replica-code.ts'
export type { HostedReplica, ReplicaControl, ReplicaEnd, ReplicaHost, ReplicaSpec, ReplicaUsage } from './replica-host.ts'
export { ReplicaRuntime, type ReplicaRuntimeOptions, type RuntimeLimits } from './replica-runtime.ts'
export { currentReplica, enterReplicaScope, type ReplicaScope } from './replica-scope.ts'
export {
  type InitContext,
  isClass,
  type ReplicaClient,
  type ReplicaPlatform,
  type ReplicaPorts,
  ReplicaService,
} from './replica-service.ts'
export { decodeInitArgs, rewriteLiving } from './revive-init-args.ts'
export { ServedTarget, type TargetDescription } from './served-target.ts'
export { startedFlagsSize } from './started-flags.ts'
export { prepareThreadGlobals } from './thread-globals.ts'
