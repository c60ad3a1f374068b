/** The runtime of replicas beside their callers; loaded with the first backend that wants one. */
import type { Clock, Turns } from '../base/index.ts'
import { InProcessHost, type InProcessHostOptions, type ReplicaHost } from '../replica/index.ts'

export function openInlineHost(options: InProcessHostOptions, clock: Clock, turns: Turns): ReplicaHost {
  return new InProcessHost(options, clock, turns)
}
