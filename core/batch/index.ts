/** Dynamic batching. */
export { Batcher, type BatchLimits, type Taken } from './batcher.ts'
