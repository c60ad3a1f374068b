/** What a call passes through. */
export { Call, type CallInit, type CallOwner, type CallSink, CallState } from './call.ts'
