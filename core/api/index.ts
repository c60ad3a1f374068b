/** Puts a whole system together from seams. */
export { type BackendOptions, type BackendTarget, Client, type CloseOptions } from './client.ts'
export { ControlChannel } from './control-channel.ts'
export { EventStream } from './event-stream.ts'
export type { Handle, UntypedHandle } from './handle.ts'
export type { Instance } from './instance.ts'
export type { InstanceLink } from './instance-link.ts'
export {
  type InstanceMesh,
  type InstanceOptions,
  type InstancePlatform,
  type InstanceStatus,
  LocalInstance,
  type NodeStatus,
  type OpenGateway,
} from './local-instance.ts'
export { PeerInstance, type PeerInstanceInit } from './peer-instance.ts'
export { RegisteredCode } from './registered-code.ts'
export { RemoteInstance, type RemotePlatform } from './remote-instance.ts'
export { type ServedInstance, serveInstance } from './serve-instance.ts'
export { servePeerClient } from './serve-peer-client.ts'
export { StandbyController, type StandbyInit } from './standby-controller.ts'
export { acceptBatch, assetOf, isModuleTarget, type ModuleTarget, moduleTarget, type WorkerTarget, workerTarget } from './targets.ts'
export { type WaitOptions, waitFor } from './wait.ts'
