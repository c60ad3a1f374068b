/** Runs `burn` alone until told to stop: what a thread does when nobody sends it messages. */
import { parentPort, workerData } from 'node:worker_threads'
import { burn } from '../workload.ts'

const { turns, durationMs } = workerData as { turns: number; durationMs: number }

parentPort?.once('message', () => {
  burn({ data: turns })
  const startMs = performance.now()
  let count = 0
  while (performance.now() - startMs < durationMs) {
    burn({ data: turns })
    count += 1
  }
  parentPort?.postMessage((count * 1_000) / (performance.now() - startMs))
})
parentPort?.postMessage('ready')
