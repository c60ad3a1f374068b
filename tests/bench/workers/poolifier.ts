import { type PoolifierModule, peer } from '../peers.ts'
import { burn, echo } from './pool.ts'

const { ThreadWorker } = await peer<PoolifierModule>('poolifier')

export const worker = new ThreadWorker({ echo, burn })
