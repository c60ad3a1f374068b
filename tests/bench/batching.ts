import type { GoalId, Group, LocalContender, Metrics, Pace, Running } from './contender.ts'
import { closedLoop, oneByOne, openLoop, timesOf } from './measure.ts'
import { type DataLoaderModule, peer } from './peers.ts'
import { startPiscina } from './pools.ts'
import { startRaw } from './raw.ts'
import { startShoalBackend } from './shoal.ts'
import { batchSizeOf, checkModel, runSingle } from './workload.ts'

type Batching = Running<number, number>
type Start = () => Promise<Batching> | Batching

/** A pause between two requests that leaves the replica idle, with no rhythm of the batch in it. */
const LOW_LOAD_PAUSE_MS = 13
const ARRIVALS_PER_SECOND = 4_000

async function startPiscinaSingle(): Promise<Batching> {
  return (await startPiscina('runSingle')) as Batching
}

async function startDataLoader(maxBatchSize: number): Promise<Batching> {
  const { default: DataLoader } = await peer<DataLoaderModule>('dataloader')
  const pool = await startPiscina('runBatch')
  const load = async (items: readonly number[]): Promise<readonly number[]> => (await pool.call(items)) as number[]
  const loader = new DataLoader(load, { cache: false, maxBatchSize })
  return { call: (input) => loader.load(input), stop: pool.stop }
}

/** The limit that was found: send what is queued when the worker is free, and one full batch ahead. */
function startHandWritten(maxBatchSize: number): Batching {
  const worker = startRaw('batch')
  const queue: { input: number; resolve(answer: number): void; reject(error: unknown): void }[] = []
  let outstanding = 0
  let armed = false
  const flush = (): void => {
    armed = false
    while (queue.length > 0 && (outstanding === 0 || (outstanding === 1 && queue.length >= maxBatchSize))) {
      const batch = queue.splice(0, maxBatchSize)
      outstanding += 1
      worker.call(batch.map((item) => item.input)).then(
        (answers) => {
          outstanding -= 1
          batch.forEach((item, index) => {
            item.resolve((answers as number[])[index] ?? Number.NaN)
          })
          arm()
        },
        (error: unknown) => {
          for (const item of batch) item.reject(error)
        },
      )
    }
  }
  const arm = (): void => {
    if (armed) return
    armed = true
    process.nextTick(flush)
  }
  const call = (input: number): Promise<number> =>
    new Promise((resolve, reject) => {
      queue.push({ input, resolve, reject })
      arm()
    })
  return { call, stop: worker.stop }
}

async function startShoalSingle(): Promise<Batching> {
  const { handle, stop } = await startShoalBackend(runSingle)
  return { call: (input) => handle.remote(input) as Promise<number>, stop }
}

/** The default batching policy: no timer. */
async function startShoalBatch(maxBatchSize: number): Promise<Batching> {
  class Model {
    static batch = ['call']
    call(requests: readonly { readonly data: unknown }[]): number[] {
      const untilMs = performance.now() + 2 + 0.05 * requests.length
      while (performance.now() < untilMs);
      return requests.map((request) => Number(request.data) * 1_000 + requests.length)
    }
  }
  const { handle, stop } = await startShoalBackend(Model, { maxBatchSize })
  return { call: (input) => handle.remote(input) as Promise<number>, stop }
}

/** Sums 1 / size over the answers, so that a batch counts once and not once per item. */
function batchCounter(): { see(answer: unknown): void; average(): number } {
  let items = 0
  let batches = 0
  return {
    see: (answer) => {
      items += 1
      batches += 1 / batchSizeOf(answer as number)
    },
    average: () => items / batches,
  }
}

function closed(name: string, goals: readonly GoalId[], start: Start): LocalContender {
  const measure = async (pace: Pace): Promise<Metrics> => {
    const running = await start()
    await checkModel(running.call)
    await closedLoop(running.call, 64, pace.warmMs, (index) => index)
    const batches = batchCounter()
    const loaded = await closedLoop(running.call, 64, pace.loadedMs, (index, previous) => {
      if (previous !== undefined) batches.see(previous)
      return index
    })
    const sequential = await oneByOne(running.call, pace.sequentialMs, (index) => index, LOW_LOAD_PAUSE_MS)
    await running.stop()
    return {
      ...timesOf(loaded, sequential),
      averageBatch: batches.average(),
    }
  }
  return { kind: 'local', name, goals, measure }
}

function open(name: string, start: Start): LocalContender {
  const measure = async (pace: Pace): Promise<Metrics> => {
    const running = await start()
    await checkModel(running.call)
    await closedLoop(running.call, 16, pace.warmMs, (index) => index)
    const batches = batchCounter()
    const metrics = await openLoop(running.call, ARRIVALS_PER_SECOND, pace.openLoopMs, batches.see)
    await running.stop()
    return { ...metrics, averageBatch: batches.average() }
  }
  return { kind: 'local', name, goals: ['G11'], measure }
}

const G9: readonly GoalId[] = ['G9']
const both: readonly GoalId[] = ['G9', 'G10']

export const batchingClosed: Group = {
  id: 'batching/closed',
  title: 'Batching, 2 ms + 0.05 ms an item, 1 replica, 64 callers; one by one: a request every 15 ms',
  base: 'piscina unbatched',
  rateTitle: 'items/s',
  contenders: [
    closed('shoal unbatched', both, startShoalSingle),
    closed('shoal max 8', G9, () => startShoalBatch(8)),
    closed('shoal max 32', both, () => startShoalBatch(32)),
    closed('shoal max 64', G9, () => startShoalBatch(64)),
    closed('piscina unbatched', both, startPiscinaSingle),
    closed('dataloader + piscina max 32', both, () => startDataLoader(32)),
    closed('hand-written max 32', both, () => startHandWritten(32)),
  ],
}

export const batchingOpen: Group = {
  id: 'batching/open',
  title: 'Batching, open loop, Poisson arrivals at 4,000/s, 1 replica, batches of at most 32',
  base: 'hand-written',
  rateTitle: 'answered/s',
  contenders: [
    open('shoal', () => startShoalBatch(32)),
    open('hand-written', () => startHandWritten(32)),
    open('dataloader + piscina', () => startDataLoader(32)),
    open('piscina unbatched', startPiscinaSingle),
  ],
}
