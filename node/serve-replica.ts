import { getHeapSpaceStatistics } from 'node:v8'
import type { Endpoint } from 'comlink'
import { type ReplicaThread, serveReplica as serveReplicaThread } from '../core/adapters/comlink/index.ts'
import { realClock, realTurns } from './clock.ts'
import { readBytes } from './read-bytes.ts'

/** Makes this thread or process a replica. `open` turns what its host handed over into ports. */
export function serveReplica(load: ReplicaThread['load'], endpoint: Endpoint, open: ReplicaThread['open']): void {
  serveReplicaThread({ clock: realClock, turns: realTurns, load, readBytes, open, heapBytes }, endpoint)
}

/** The old generation of this thread: what the limit is about. Young objects come and go. */
function heapBytes(): number {
  return getHeapSpaceStatistics().reduce((sum, space) => sum + (space.space_name.startsWith('new_') ? 0 : space.space_used_size), 0)
}
