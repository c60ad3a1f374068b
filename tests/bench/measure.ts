import { MessagePort } from 'node:worker_threads'
import type { Metrics } from './contender.ts'
import { percentile } from './statistics.ts'

/** Input of the next call; `previous` is what the same caller was last answered, undefined on its first call. */
export type NextInput = (index: number, previous: unknown) => unknown
type Call = (input: never) => Promise<unknown>

export interface LoadedResult {
  readonly rate: number
  readonly calls: number
  readonly p50: number
  readonly p99: number
  readonly cpuMicrosPerCall: number
}

/**
 * Keeps `inFlight` callers busy for `durationMs`, each calling again as soon as it is answered. Every eighth caller samples latencies, so
 * the clock costs the others nothing. Rejects with the first failed call.
 */
export async function closedLoop(call: Call, inFlight: number, durationMs: number, next: NextInput): Promise<LoadedResult> {
  const latencies: number[] = []
  let index = 0
  let calls = 0
  let running = true
  const caller = async (samples: boolean): Promise<void> => {
    let previous: unknown
    while (running) {
      const startMs = samples ? performance.now() : 0
      previous = await call(next(index++, previous) as never)
      calls += 1
      if (samples) latencies.push((performance.now() - startMs) * 1_000)
    }
  }
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  const callers = Array.from({ length: inFlight }, (_, position) => caller(position % 8 === 0))
  const stop = setTimeout(() => {
    running = false
  }, durationMs)
  try {
    await Promise.all(callers)
  } finally {
    running = false
    clearTimeout(stop)
  }
  const elapsedMs = performance.now() - startMs
  const used = process.cpuUsage(cpu)
  return {
    rate: (calls * 1_000) / elapsedMs,
    calls,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    cpuMicrosPerCall: (used.user + used.system) / calls,
  }
}

/** What every contender tells of calls under load and of calls one by one. Times in microseconds. */
export function timesOf(loaded: Pick<LoadedResult, 'rate' | 'p50' | 'p99'>, sequential: { readonly p50: number; readonly p99: number }) {
  return {
    rate: loaded.rate,
    loadedP50: loaded.p50,
    loadedP99: loaded.p99,
    sequentialP50: sequential.p50,
    sequentialP99: sequential.p99,
  }
}

/** One call at a time for `durationMs`, `pauseMs` apart; the latencies in microseconds. */
export async function oneByOne(call: Call, durationMs: number, next: NextInput, pauseMs = 0): Promise<{ p50: number; p99: number }> {
  const latencies: number[] = []
  const endMs = performance.now() + durationMs
  let previous: unknown
  for (let index = 0; performance.now() < endMs; index++) {
    const startMs = performance.now()
    previous = await call(next(index, previous) as never)
    latencies.push((performance.now() - startMs) * 1_000)
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
  return { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) }
}

/**
 * Poisson arrivals at `ratePerSecond`, each in a turn of its own, from a fixed seed. Latency runs from the moment a call was due. Calls
 * that are not answered within a second after the window count as dropped and, for the percentiles, as late as that.
 */
export async function openLoop(
  call: Call,
  ratePerSecond: number,
  durationMs: number,
  onAnswer: (answer: unknown) => void,
): Promise<Metrics> {
  const latencies: number[] = []
  const random = seededRandom(4_000)
  const startMs = performance.now()
  let doneInWindow = 0
  let sent = 0
  let dueMs = 0
  let failure: unknown
  const send = (index: number, atMs: number): void => {
    sent += 1
    call(index as never).then(
      (answer) => {
        const nowMs = performance.now() - startMs
        latencies.push((nowMs - atMs) * 1_000)
        if (nowMs <= durationMs) doneInWindow += 1
        onAnswer(answer)
      },
      (error: unknown) => {
        failure ??= error
      },
    )
  }
  await new Promise<void>((resolve) => {
    const turn = (): void => {
      const nowMs = performance.now() - startMs
      if (nowMs >= durationMs) {
        resolve()
        return
      }
      if (nowMs >= dueMs) {
        send(sent, dueMs)
        dueMs -= (Math.log(1 - random()) * 1_000) / ratePerSecond
      }
      setImmediate(turn)
    }
    turn()
  })
  const lastMs = durationMs + 1_000
  while (latencies.length < sent && performance.now() - startMs < lastMs) await new Promise((resolve) => setTimeout(resolve, 10))
  if (latencies.length === 0) throw failure ?? new Error('no call of the open loop was answered')
  const dropped = sent - latencies.length
  const all = latencies.concat(new Array<number>(dropped).fill(lastMs * 1_000))
  return {
    rate: (doneInWindow * 1_000) / durationMs,
    loadedP50: percentile(all, 0.5),
    loadedP99: percentile(all, 0.99),
    dropped,
  }
}

/** How many messages this thread posted to others while `during` ran; counted by wrapping MessagePort, which Worker uses too. */
export async function countMessages(during: () => Promise<unknown>): Promise<number> {
  const original = MessagePort.prototype.postMessage
  let messages = 0
  MessagePort.prototype.postMessage = function (this: MessagePort, ...parts: Parameters<typeof original>) {
    messages += 1
    original.apply(this, parts)
  } as typeof original
  try {
    await during()
  } finally {
    MessagePort.prototype.postMessage = original
  }
  return messages
}

/** Uniform in [0, 1). Source: mulberry32, T. Ettinger 2017. */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
