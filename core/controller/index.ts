/** Owns the desired state and makes it so. */
export type { AppSpec } from './app-plan.ts'
export {
  type BackendSpec,
  type BackendStatus,
  BackendSupervisor,
  queueLimits,
  type ReplicaEvent,
  type SupervisorSeams,
} from './backend-supervisor.ts'
export { Controller, type ControllerSeams, type EditConflict, type EndpointStatus, type ServeEvent } from './controller.ts'
export { MemoryStateStore } from './memory-state-store.ts'
export { betterNode, fitsOn, type PlacementNode, type PlacementRequest, place } from './placement.ts'
export { portabilityOf } from './portability.ts'
export { type Ledger, type Portability, type ReplicaWishes, ResourceLedger } from './resource-ledger.ts'
export { RestartPolicy } from './restart-policy.ts'
export type { RolloutGuard, RolloutOptions, RolloutResult } from './rollout.ts'
export type { StateEdit, StateStore } from './state-store.ts'
export { takeInEdits } from './take-in.ts'
export { answersWithin, within } from './within.ts'
