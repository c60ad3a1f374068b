/** Control of replicas through comlink. */
export { type ControlPorts, type ControlTarget, exposeControl, wrapControl } from './control-link.ts'
