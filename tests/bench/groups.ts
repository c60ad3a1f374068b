import { batchingClosed, batchingOpen } from './batching.ts'
import { bufferCalls, noopCalls, objectCalls } from './calls.ts'
import type { Group } from './contender.ts'
import { cpuScaling } from './cpu.ts'
import { httpGet, httpPost } from './http.ts'
import { mesh, meshJoin, meshScaleOut } from './mesh.ts'

/** Every group there is, in the order of the goals. A new contender goes into its group's file and needs nothing here. */
export const groups: readonly Group[] = [
  noopCalls,
  objectCalls,
  bufferCalls,
  httpGet,
  httpPost,
  batchingClosed,
  batchingOpen,
  mesh,
  meshJoin,
  cpuScaling,
  meshScaleOut,
]
