/** The platform-free core: everything an adapter for another platform needs. */
export {
  acceptBatch,
  assetOf,
  Client,
  type InstancePlatform,
  LocalInstance,
  moduleTarget,
  type OpenGateway,
  waitFor,
  workerTarget,
} from './api/index.ts'
export {
  type Clock,
  ERROR_TABLE,
  type ErrorCode,
  isServeError,
  type Logger,
  type Random,
  ServeError,
  TaskError,
  type Turns,
} from './base/index.ts'
export { Controller } from './controller/index.ts'
export { Gateway, resolveHttpOptions } from './gateway/index.ts'
export { CallLane, type CallPort, InProcessHost, type ReplicaHost, ReplicaRuntime, ReplicaService } from './replica/index.ts'
export { ServeRequest } from './request/index.ts'
export { BackendQueue, Router, ServeHandle, ServeResponse } from './router/index.ts'
