import { Worker } from 'node:worker_threads'
import type { Running } from './contender.ts'
import type { RawWork } from './workers/raw.ts'

interface Waiting {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
}

/** postMessage by hand: `{ id, x }` to the least loaded worker, `{ id, x }` back. */
export function startRaw(work: RawWork, workers = 1): Running {
  const lanes = Array.from({ length: workers }, () => {
    const worker = new Worker(new URL('./workers/raw.ts', import.meta.url), { workerData: { work } })
    const waiting = new Map<number, Waiting>()
    worker.on('message', ({ id, x }: { id: number; x: unknown }) => {
      waiting.get(id)?.resolve(x)
      waiting.delete(id)
    })
    worker.on('error', (error) => rejectAll(waiting.values(), error))
    return { worker, waiting }
  })
  let lastId = 0
  const call = (x: unknown): Promise<unknown> => {
    const lane = lanes.reduce((best, other) => (other.waiting.size < best.waiting.size ? other : best))
    const id = ++lastId
    return new Promise((resolve, reject) => {
      lane.waiting.set(id, { resolve, reject })
      if (work === 'move') lane.worker.postMessage({ id, x }, [(x as Uint8Array<ArrayBuffer>).buffer])
      else lane.worker.postMessage({ id, x })
    })
  }
  return { call, stop: () => Promise.all(lanes.map((lane) => lane.worker.terminate())) }
}

/**
 * The limit that was found: all small calls of a turn in one message per worker. An idle worker is sent to at nextTick, a busy one at
 * setImmediate; a flush splits what is queued evenly over the workers.
 */
export function startCoalesced(workers = 1): Running {
  const waiting = new Map<number, Waiting>()
  const pool = Array.from({ length: workers }, () => {
    const worker = new Worker(new URL('./workers/coalesced.ts', import.meta.url))
    worker.on('message', (answers: readonly unknown[]) => {
      for (let at = 0; at < answers.length; at += 2) {
        const id = answers[at] as number
        waiting.get(id)?.resolve(answers[at + 1])
        waiting.delete(id)
      }
    })
    worker.on('error', (error) => rejectAll(waiting.values(), error))
    return worker
  })
  let queued: unknown[] = []
  let armed = false
  let lastId = 0
  let turn = 0
  const flush = (): void => {
    armed = false
    const calls = queued
    queued = []
    const share = Math.max(2, 2 * Math.ceil(calls.length / 2 / workers))
    for (let at = 0; at < calls.length; at += share) pool[turn++ % workers]?.postMessage(calls.slice(at, at + share))
  }
  const call = (x: unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (!armed) {
        armed = true
        if (waiting.size === 0) process.nextTick(flush)
        else setImmediate(flush)
      }
      const id = ++lastId
      waiting.set(id, { resolve, reject })
      queued.push(id, x)
    })
  return { call, stop: () => Promise.all(pool.map((worker) => worker.terminate())) }
}

function rejectAll(waiting: Iterable<Waiting>, error: unknown): void {
  for (const one of waiting) one.reject(error)
}
