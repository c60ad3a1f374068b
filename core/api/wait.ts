import { type Clock, ServeError } from '../base/index.ts'

export interface WaitOptions {
  /** How many to wait for. 1 or more. @default 1 */
  readonly numReturns?: number
  /** Longest wait in milliseconds; then whatever is there. @default no end */
  readonly timeoutMs?: number
}

/**
 * Waits until `numReturns` of the responses are settled, well or not, or the time is up. Gives those that are, in their order, and the rest.
 * Nothing is cancelled. `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` for arguments that make no sense.
 */
export async function waitFor<T extends PromiseLike<unknown>>(
  responses: Iterable<T>,
  options: WaitOptions,
  clock: Clock,
): Promise<[ready: T[], pending: T[]]> {
  const all = listOf(responses)
  const { numReturns = 1, timeoutMs } = options
  if (!Number.isInteger(numReturns) || numReturns < 1 || numReturns > all.length) {
    throw new ServeError(
      'ERR_INVALID_ARG_VALUE',
      `wait: numReturns must be an integer from 1 to ${all.length}, the number of responses; got ${String(numReturns)}`,
    )
  }
  if (timeoutMs !== undefined && !(timeoutMs >= 0)) {
    throw new ServeError('ERR_INVALID_ARG_VALUE', `wait: timeoutMs must be 0 or more, got ${String(timeoutMs)}`)
  }
  const settled = new Set<T>()
  await new Promise<void>((resolve) => {
    const stop = timeoutMs === undefined ? () => {} : clock.after(timeoutMs, resolve)
    for (const response of all) {
      const note = (): void => {
        settled.add(response)
        if (settled.size < numReturns) return
        stop()
        resolve()
      }
      response.then(note, note)
    }
  })
  return [all.filter((response) => settled.has(response)), all.filter((response) => !settled.has(response))]
}

function listOf<T>(responses: Iterable<T>): T[] {
  if (typeof responses !== 'object' || responses === null || typeof responses[Symbol.iterator] !== 'function') {
    throw new ServeError('ERR_INVALID_ARG_TYPE', `wait: expects a list of responses, got ${typeof responses}`)
  }
  const all = [...responses]
  if (all.length === 0) throw new ServeError('ERR_INVALID_ARG_VALUE', 'wait: the list of responses is empty')
  return all
}
