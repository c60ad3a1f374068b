import { peer, type WorkerpoolModule } from '../peers.ts'
import { echo } from './pool.ts'

const workerpool = await peer<{ readonly default: WorkerpoolModule }>('workerpool')
workerpool.default.worker({ echo })
