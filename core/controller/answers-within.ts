import type { Clock } from '../base/index.ts'

/** Whether the answer comes, and is none of failure, within so many milliseconds. */
export function answersWithin(clock: Clock, answer: Promise<void>, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const stop = clock.after(timeoutMs, () => resolve(false))
    answer
      .then(
        () => resolve(true),
        () => resolve(false),
      )
      .finally(stop)
  })
}
