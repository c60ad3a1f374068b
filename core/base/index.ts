/** Ground floor: errors, time, chance, events, logs. */
export { type Clock, type Stop, sleep, type Turns } from './clock.ts'
export { type ErrorEnvelope, fromErrorEnvelope, toErrorEnvelope } from './error-envelope.ts'
export { ERROR_TABLE, type ErrorCode, type ErrorEntry } from './error-table.ts'
export { isServeError, type Outcome, ServeError, type ServeErrorOptions, TaskError } from './errors.ts'
export { type Logger, SILENT } from './log.ts'
export { nearestName } from './nearest-name.ts'
export { type Random, randomName } from './random.ts'
export { Topic } from './topic.ts'
