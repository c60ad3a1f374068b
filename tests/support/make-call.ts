import { Call, type CallInit } from '../../core/service/index.ts'
import { RecordingSink } from './recording-sink.ts'

/** A call as a handle would make it, and the sink that hears of its end. */
export function makeCall(init: Partial<CallInit> = {}): { readonly call: Call; readonly sink: RecordingSink } {
  const sink = new RecordingSink()
  return { sink, call: new Call({ endpoint: 'e', method: '', meta: 0, data: undefined, sink, ...init }) }
}
