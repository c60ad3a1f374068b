/**
 * Takes a Web Lock for as long as this page or worker lives, or until `release` aborts. Resolves when it is held.
 * @param giveUp ends the wait for it; the promise rejects with its reason then
 */
export function holdLock(name: string, release?: AbortSignal, giveUp?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const held = navigator.locks.request(name, giveUp === undefined ? {} : { signal: giveUp }, () => {
      resolve()
      return new Promise<void>((done) => {
        if (release?.aborted) done()
        release?.addEventListener('abort', () => done(), { once: true })
      })
    })
    held.catch(reject)
  })
}

/**
 * Resolves when whoever holds the lock is gone.
 * @param mode `shared` where many wait
 */
export async function whenLockFalls(name: string, mode: 'exclusive' | 'shared' = 'exclusive'): Promise<void> {
  await navigator.locks.request(name, { mode }, () => undefined)
}
