/** What a call passes through. */
export { Call, type CallInit, type CallOwner, type CallSink, CallState, type Reach } from './call.ts'
export { CallQueue } from './call-queue.ts'
export { DeadlineWheel } from './deadline-wheel.ts'
export { LatencyHistogram } from './latency-histogram.ts'
export { countsSince, cumulativeCounts, quantileMs } from './latency-readings.ts'
export type { PacedUpload, UploadSink } from './paced-upload.ts'
export { Upload, type UploadOptions, type UploadSource } from './upload.ts'
