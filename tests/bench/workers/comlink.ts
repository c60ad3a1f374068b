import { parentPort } from 'node:worker_threads'
import { type ComlinkModule, peer } from '../peers.ts'
import { echo } from './pool.ts'

const comlink = await peer<ComlinkModule>('comlink')
const adapter = await peer<{ default(endpoint: unknown): object }>('comlink/dist/esm/node-adapter.mjs')

function move(bytes: Uint8Array<ArrayBuffer>): unknown {
  return comlink.transfer(bytes, [bytes.buffer])
}

comlink.expose({ echo, move }, adapter.default(parentPort))
