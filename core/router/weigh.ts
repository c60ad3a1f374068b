import { roughSizeBytes } from '../request/index.ts'
import type { Call } from '../service/index.ts'

/** Estimates the size of what a call carries, unless that is known: a call that has a slot at once never asks. */
export function weigh(call: Call): void {
  if (call.sizeBytes === 0) call.sizeBytes = call.upload?.heldBytes ?? roughSizeBytes(call.data)
}
