/** Loaded when a body breaks off on its way to a replica. */
export { toErrorEnvelope } from '../base/index.ts'
