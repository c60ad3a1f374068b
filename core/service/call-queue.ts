import { type Call, CallState } from './call.ts'

/** A first-in-first-out queue of calls, linked through the calls themselves: adding, taking and removing from the middle allocate nothing. */
export class CallQueue {
  #head: Call | undefined
  #tail: Call | undefined
  #size = 0
  #sizeBytes = 0

  get size(): number {
    return this.#size
  }

  /** Sum of the payload estimates of what waits. */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  add(call: Call): void {
    call.state = CallState.QUEUED
    call.previousInQueue = this.#tail
    if (this.#tail === undefined) this.#head = call
    else this.#tail.nextInQueue = call
    this.#tail = call
    this.#size++
    this.#sizeBytes += call.sizeBytes
  }

  /** Puts a call back in front: it has waited already. */
  addFirst(call: Call): void {
    call.state = CallState.QUEUED
    call.nextInQueue = this.#head
    if (this.#head === undefined) this.#tail = call
    else this.#head.previousInQueue = call
    this.#head = call
    this.#size++
    this.#sizeBytes += call.sizeBytes
  }

  /** The oldest call, taken off; undefined when empty. */
  take(): Call | undefined {
    const call = this.#head
    if (call !== undefined) this.remove(call)
    return call
  }

  /** Takes a call off wherever it stands. It must be in this queue. */
  remove(call: Call): void {
    const { previousInQueue: previous, nextInQueue: next } = call
    if (previous === undefined) this.#head = next
    else previous.nextInQueue = next
    if (next === undefined) this.#tail = previous
    else next.previousInQueue = previous
    call.nextInQueue = undefined
    call.previousInQueue = undefined
    call.state = CallState.NEW
    this.#size--
    this.#sizeBytes -= call.sizeBytes
  }
}
