/** What is looked at again and again in a replica; loaded with the first that has a `checkHealth()` or a memory limit. */
import type { Clock, Stop } from '../base/index.ts'
import type { ResolvedBackendConfig } from '../model/index.ts'
import type { ReplicaControl } from '../replica/index.ts'
import { answersWithin } from './within.ts'

/** Misses of `checkHealth` in a row that cost a replica its place. */
const HEALTH_MISSES = 3
/** Share of its memory limit at which a replica is replaced before it dies of it. */
const RECYCLE_SHARE = 0.9

export interface Watched {
  readonly clock: Clock
  readonly control: ReplicaControl
  /** The config in force at each look. */
  readonly config: () => ResolvedBackendConfig
}

/** Tells once, after three misses of `checkHealth()` in a row. */
export function watchHealth({ clock, control, config }: Watched, onUnhealthy: (misses: number) => void): Stop {
  let misses = 0
  return again({ clock, control, config }, async (isOver) => {
    misses = (await answersWithin(clock, control.checkHealth(), config().healthCheckTimeoutMs)) ? 0 : misses + 1
    if (isOver() || misses < HEALTH_MISSES) return false
    onUnhealthy(misses)
    return true
  })
}

/** Looks at the heap with the period of the health checks. `recycle` says whether it has replaced the replica; else it is looked at again. */
export function watchMemory({ clock, control, config }: Watched, limitBytes: number, recycle: (reason: string) => Promise<boolean>): Stop {
  return again({ clock, control, config }, async (isOver) => {
    let heapBytes = 0
    const usage = (control.usage?.() ?? Promise.resolve(undefined)).then((known) => {
      heapBytes = known?.heapBytes ?? 0
    })
    await answersWithin(clock, usage, config().healthCheckTimeoutMs)
    if (isOver() || heapBytes <= RECYCLE_SHARE * limitBytes) return false
    return recycle(`its heap holds ${heapBytes} bytes, memoryLimitBytes is ${limitBytes}`)
  })
}

/** Looks once per period until a look says that it was the last one, or it is stopped. */
function again({ clock, config }: Watched, look: (isOver: () => boolean) => Promise<boolean>): Stop {
  let isOver = false
  let stopTimer: Stop = () => {}
  const lookAgain = (): void => {
    stopTimer = clock.after(config().healthCheckPeriodMs, async () => {
      const isLast = await look(() => isOver)
      if (!isLast && !isOver) lookAgain()
    })
  }
  lookAgain()
  return () => {
    isOver = true
    stopTimer()
  }
}
