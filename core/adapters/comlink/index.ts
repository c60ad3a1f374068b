/** Control of replicas through comlink. */
export { type ControlPorts, type ControlTarget, wrapControl } from './control-link.ts'
export { explainEnd } from './explain-end.ts'
export { exposeControl } from './expose-control.ts'
export { type OpenedPorts, type ReplicaThread, serveReplica } from './serve-replica.ts'
