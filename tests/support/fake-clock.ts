import type { Clock, Stop, Turns } from '../../core/base/index.ts'

interface Timer {
  readonly atMs: number
  readonly callback: () => void
}

/** Time that stands still until a test moves it. Starts at 0, so `nowMs()` after `advance(10)` is exactly 10. */
export class FakeClock implements Clock {
  readonly #timers = new Set<Timer>()
  #nowMs = 0

  nowMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, callback: () => void): Stop {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Moves time forward, running every timer that falls due, in order of time, and the promise jobs each one starts. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await settle()
    for (let due = this.#nextDue(endMs); due !== undefined; due = this.#nextDue(endMs)) {
      this.#timers.delete(due)
      this.#nowMs = due.atMs
      due.callback()
      await settle()
    }
    this.#nowMs = endMs
  }

  /** How many timers wait: 0 at the end of a test says that nothing was left behind. */
  get pendingTimers(): number {
    return this.#timers.size
  }

  /** Of timers due at one time, the one that was set first: a Set keeps that order. */
  #nextDue(endMs: number): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) {
      if (timer.atMs <= endMs && (next === undefined || timer.atMs < next.atMs)) next = timer
    }
    return next
  }
}

/** Real turns of the event loop of whatever platform runs the test. `settle()` lets them run. */
export function testTurns(): Turns {
  return { soon: (callback) => queueMicrotask(callback), later: nextTurn }
}

/** Lets the promise jobs, and the `later` callbacks set so far, run; with `turns` above 1 also those which these set in turn. */
export async function settle(turns = 1): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>(nextTurn)
}

const messages: (() => void)[] = []
let port: MessagePort | undefined

/** `setImmediate` where there is one, else a message to ourselves; in both, first in, first out. */
function nextTurn(callback: () => void): void {
  if (typeof setImmediate === 'function') {
    setImmediate(callback)
    return
  }
  port ??= openPort()
  messages.push(callback)
  port.postMessage(undefined)
}

function openPort(): MessagePort {
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = () => messages.shift()?.()
  return port2
}
