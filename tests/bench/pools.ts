import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { Running } from './contender.ts'
import { type ComlinkModule, type PiscinaModule, type PoolifierModule, peer, type TinypoolModule, type WorkerpoolModule } from './peers.ts'

const poolFile = new URL('./workers/pool.ts', import.meta.url).href

/** Piscina as it comes, or tuned: `tasksPerWorker` at once per thread needs its asynchronous waiting. */
export async function startPiscina(name: string, threads = 1, tasksPerWorker?: number): Promise<Running> {
  const { Piscina } = await peer<PiscinaModule>('piscina')
  const tuned = tasksPerWorker === undefined ? {} : { atomics: 'async', concurrentTasksPerWorker: tasksPerWorker }
  const pool = new Piscina({ filename: poolFile, name, minThreads: threads, maxThreads: threads, ...tuned })
  return { call: (input) => pool.run(input), stop: () => pool.destroy() }
}

/** Piscina that moves a typed array there and back; `tuned` as above. */
export async function startPiscinaMove(tuned: boolean): Promise<Running> {
  const { Piscina } = await peer<PiscinaModule>('piscina')
  const filename = new URL('./workers/piscina-move.ts', import.meta.url).href
  const options = tuned ? { atomics: 'async', concurrentTasksPerWorker: 64 } : {}
  const pool = new Piscina({ filename, name: 'move', minThreads: 1, maxThreads: 1, ...options })
  const call = (bytes: unknown): Promise<unknown> => pool.run(bytes, { transferList: [(bytes as Uint8Array<ArrayBuffer>).buffer] })
  return { call, stop: () => pool.destroy() }
}

export async function startTinypool(name: string, threads = 1): Promise<Running> {
  const { Tinypool } = await peer<TinypoolModule>('tinypool')
  const pool = new Tinypool({ filename: poolFile, minThreads: threads, maxThreads: threads, concurrentTasksPerWorker: 64 })
  return { call: (input) => pool.run(input, { name }), stop: () => pool.destroy() }
}

export async function startPoolifier(name: string, threads = 1): Promise<Running> {
  const { FixedThreadPool } = await peer<PoolifierModule>('poolifier')
  const pool = new FixedThreadPool(threads, fileURLToPath(new URL('./workers/poolifier.ts', import.meta.url)))
  // Its destroy() does not always settle, which is nothing to measure: the process ends soon after.
  const stop = (): Promise<unknown> => Promise.race([pool.destroy(), new Promise((resolve) => setTimeout(resolve, 300))])
  return { call: (input) => pool.execute(input, name), stop }
}

export async function startWorkerpool(name: string): Promise<Running> {
  const workerpool = await peer<{ readonly default: WorkerpoolModule }>('workerpool')
  const script = fileURLToPath(new URL('./workers/workerpool.ts', import.meta.url))
  const pool = workerpool.default.pool(script, { workerType: 'thread', minWorkers: 1, maxWorkers: 1 })
  return { call: async (input) => pool.exec(name, [input]), stop: () => pool.terminate() }
}

/** Comlink over the worker itself; `move` transfers a typed array there and back. */
export async function startComlink(method: 'echo' | 'move'): Promise<Running> {
  const comlink = await peer<ComlinkModule>('comlink')
  const adapter = await peer<{ default(endpoint: unknown): object }>('comlink/dist/esm/node-adapter.mjs')
  const worker = new Worker(new URL('./workers/comlink.ts', import.meta.url))
  const remote = comlink.wrap<{ echo(input: unknown): Promise<unknown>; move(bytes: unknown): Promise<unknown> }>(adapter.default(worker))
  const call =
    method === 'echo'
      ? (input: unknown) => remote.echo(input)
      : (bytes: unknown) => remote.move(comlink.transfer(bytes, [(bytes as Uint8Array<ArrayBuffer>).buffer]))
  return { call, stop: () => worker.terminate() }
}
