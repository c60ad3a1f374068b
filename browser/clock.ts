import type { Clock, Turns } from '../core/base/index.ts'

/** The longest delay that `setTimeout` takes; beyond it, it fires at once. */
const LONGEST_DELAY_MS = 2 ** 31 - 1

/** The real time of this page or worker. A tab in the background rounds delays up to a second and more. */
export const realClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const dueMs = performance.now() + delayMs
    // Delays are rounded to whole milliseconds, the clock is finer: what is left is waited for again.
    const onTimeout = (): void => {
      const leftMs = dueMs - performance.now()
      if (leftMs > 0) timer = start(leftMs)
      else callback()
    }
    const start = (leftMs: number): number => setTimeout(onTimeout, Math.min(Math.ceil(leftMs), LONGEST_DELAY_MS))
    let timer = start(Math.max(0, delayMs))
    return () => clearTimeout(timer)
  },
}

/** The turns of this page's or worker's event loop. */
export const realTurns: Turns = { soon: endOfTurn(), later: messageTurns() }

/** How many microtasks one run is taken to be; what a chain of promises brings within them leaves together. */
const RUN_LENGTH = 32

/**
 * A microtask comes after what has been asked for, but before what that asks for in turn: a stream would leave part by part. So the first callback runs
 * with the next microtask, and those that follow on its heels wait until a number of microtasks has passed, some microseconds; still before any input
 * is looked at. Node's `nextTick` waits for the whole chain by itself.
 */
function endOfTurn(): (callback: () => void) => void {
  let waiting: (() => void)[] = []
  let left = 0
  const run = (): void => {
    left--
    if (left > 0) return queueMicrotask(run)
    const due = waiting
    waiting = []
    if (due.length > 0) start()
    for (const callback of due) callback()
  }
  const start = (): void => {
    left = RUN_LENGTH
    queueMicrotask(run)
  }
  return (callback) => {
    if (left > 0) {
      waiting.push(callback)
      return
    }
    queueMicrotask(callback)
    start()
  }
}

/**
 * A message to oneself is the shortest way to a turn of one's own: `setTimeout` waits 4 ms once it is nested. The channel is made at the first
 * use, so that importing this file opens nothing.
 */
function messageTurns(): (callback: () => void) => void {
  const waiting: (() => void)[] = []
  let port: MessagePort | undefined
  const open = (): MessagePort => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => waiting.shift()?.()
    return port2
  }
  return (callback) => {
    port ??= open()
    waiting.push(callback)
    port.postMessage(undefined)
  }
}
