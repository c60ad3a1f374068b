/** The hand-written worker: one message in, one message out, nothing between. */
import { parentPort, workerData } from 'node:worker_threads'
import { burn, runBatch } from '../workload.ts'

export type RawWork = 'echo' | 'move' | 'text' | 'burn' | 'batch'

interface RawMessage {
  readonly id: number
  readonly x: unknown
}

const port = parentPort
if (port === null) throw new Error('workers/raw.ts runs in a worker only')

const handlers: Readonly<Record<RawWork, (message: RawMessage) => void>> = {
  echo: ({ id, x }) => port.postMessage({ id, x }),
  move: ({ id, x }) => port.postMessage({ id, x }, [(x as Uint8Array<ArrayBuffer>).buffer]),
  text: ({ id, x }) => port.postMessage({ id, x: JSON.stringify(JSON.parse(String(x))) }),
  burn: ({ id, x }) => port.postMessage({ id, x: burn({ data: x }) }),
  batch: ({ id, x }) => port.postMessage({ id, x: runBatch((x as number[]).map((data) => ({ data }))) }),
}
port.on('message', handlers[(workerData as { work: RawWork }).work])
