import type { Clock } from '../base/index.ts'

/** What work gives, or `late` when it takes longer than so many milliseconds. Rejects as the work does in time. */
export function within<T>(clock: Clock, work: Promise<T>, timeoutMs: number, late: T): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = timeoutMs > 0 ? clock.after(timeoutMs, () => resolve(late)) : void resolve(late)
    work.then(resolve, reject).finally(stop)
  })
}

/** Whether the answer comes, and is none of failure, within so many milliseconds. */
export function answersWithin(clock: Clock, answer: Promise<void>, timeoutMs: number): Promise<boolean> {
  const isGood = answer.then(
    () => true,
    () => false,
  )
  return within(clock, isGood, timeoutMs, false)
}
