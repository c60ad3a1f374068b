import type { ServeError } from '../../core/base/index.ts'

/** The error of work that must fail; fails the test when it does not. */
export async function failure(work: PromiseLike<unknown>): Promise<ServeError> {
  try {
    await work
  } catch (error) {
    return error as ServeError
  }
  throw new Error('it did not fail')
}
