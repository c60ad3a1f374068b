import { strictEqual } from 'node:assert/strict'
import { Worker } from 'node:worker_threads'
import type { Group, LocalContender, Metrics, Pace, Running } from './contender.ts'
import { closedLoop } from './measure.ts'
import { startPiscina, startPoolifier } from './pools.ts'
import { startRaw } from './raw.ts'
import { startShoalBackend } from './shoal.ts'
import { burn } from './workload.ts'

type StartMany = (replicas: number) => Promise<Running> | Running

/** Eight in flight on one replica, then at once on two, so that the two rates see the same machine. */
function scaling(name: string, start: StartMany): LocalContender {
  const rate = async (replicas: number, pace: Pace): Promise<number> => {
    const running = await start(replicas)
    strictEqual(await running.call(1_000), burn({ data: 1_000 }), `${name} answers wrong`)
    await closedLoop(running.call, 8, pace.warmMs, () => pace.burnTurns)
    const loaded = await closedLoop(running.call, 8, pace.loadedMs, () => pace.burnTurns)
    await running.stop()
    return loaded.rate
  }
  return { kind: 'local', name, goals: ['G14'], measure: async (pace) => ({ rate: await rate(1, pace), secondRate: await rate(2, pace) }) }
}

async function freeRate(threads: number, pace: Pace): Promise<number> {
  const workers = Array.from({ length: threads }, () => {
    const workerData = { turns: pace.burnTurns, durationMs: pace.warmMs + pace.loadedMs }
    return new Worker(new URL('./workers/free.ts', import.meta.url), { workerData })
  })
  const next = (worker: Worker): Promise<number> => new Promise((resolve) => worker.once('message', resolve))
  await Promise.all(workers.map(next))
  const rates = workers.map(next)
  for (const worker of workers) worker.postMessage('go')
  const total = (await Promise.all(rates)).reduce((sum, rate) => sum + rate, 0)
  await Promise.all(workers.map((worker) => worker.terminate()))
  return total
}

/** Threads without a message between them: what the machine has to give at that moment. */
export const free: LocalContender = {
  kind: 'local',
  name: 'free-running threads',
  goals: ['G14', 'SCALE-OUT'],
  measure: async (pace): Promise<Metrics> => ({ rate: await freeRate(1, pace), secondRate: await freeRate(2, pace) }),
}

async function startShoalBurn(numReplicas: number): Promise<Running> {
  const { handle, stop } = await startShoalBackend(burn, { numReplicas })
  return { call: (turns) => handle.remote(turns), stop }
}

export const cpuScaling: Group = {
  id: 'cpu',
  title: 'CPU-bound, about 5 ms a call, 8 in flight',
  base: 'free-running threads',
  rateTitle: '1 replica calls/s',
  secondRateTitle: '2 replicas calls/s',
  contenders: [
    scaling('shoal', startShoalBurn),
    free,
    scaling('raw', (replicas) => startRaw('burn', replicas)),
    scaling('piscina', (replicas) => startPiscina('burn', replicas)),
    scaling('piscina tuned', (replicas) => startPiscina('burn', replicas, 4)),
    scaling('poolifier', (replicas) => startPoolifier('burn', replicas)),
  ],
}
