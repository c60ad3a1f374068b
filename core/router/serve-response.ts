import { ServeError } from '../base/index.ts'
import type { Call } from '../service/index.ts'
import { type PartSource, StreamParts } from './stream-parts.ts'

interface Settle<T> {
  resolve(value: T | PromiseLike<T>): void
  reject(error: unknown): void
}

/**
 * What `remote()` returns: a promise of the result that can be cancelled, and an async iterable. Awaiting a streamed answer gives an async iterable;
 * iterating a plain one gives one part. A response that nobody awaits never ends the process, even when it fails.
 */
export class ServeResponse<T> extends Promise<T> {
  readonly #settle: Settle<T>
  #call: Call | undefined
  #cancelledWith: ServeError | undefined

  private constructor(
    executor: (resolve: (value: T | PromiseLike<T>) => void, reject: (error: unknown) => void) => void,
    settle: Settle<T>,
  ) {
    super(executor)
    this.#settle = settle
  }

  /** A pending response, for who makes calls. */
  static pending<T>(): ServeResponse<T> {
    const settle = {} as Settle<T>
    return new ServeResponse<T>((resolve, reject) => {
      settle.resolve = resolve
      settle.reject = reject
    }, settle)
  }

  /** Takes the call off the queue, or aborts `request.signal` in the running handler; the response rejects with `ERR_CANCELLED`. */
  cancel(): void {
    const error = new ServeError('ERR_CANCELLED', 'the caller cancelled the call', { outcome: 'started-unknown' })
    this.#cancelledWith = error
    if (this.#call !== undefined) this.#call.cancel(error)
    else ServeResponse.fail(this, error)
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T extends AsyncIterable<infer Part> ? Part : T, void, undefined> {
    let source: PartSource<unknown> | undefined
    const read = async (): Promise<readonly unknown[] | undefined> => {
      source ??= sourceOf(await this)
      return source.read()
    }
    const cancel = (): void => void this.then((result) => (source ?? sourceOf(result)).cancel(), ignore)
    return new StreamParts({ read, cancel }) as AsyncIterableIterator<never, void, undefined>
  }

  /** Tells the response which call it waits for. A response that was cancelled before cancels it. */
  static attach(response: ServeResponse<unknown>, call: Call): void {
    response.#call = call
    if (response.#cancelledWith !== undefined) call.cancel(response.#cancelledWith)
  }

  static isCancelled(response: ServeResponse<unknown>): boolean {
    return response.#cancelledWith !== undefined
  }

  static settle(response: ServeResponse<unknown>, value: unknown): void {
    response.#settle.resolve(value)
  }

  /** Rejects; a handler is attached first, so that the failure of a response that nobody awaits is no unhandled rejection. */
  static fail(response: ServeResponse<unknown>, error: unknown): void {
    Promise.prototype.then.call(response, undefined, ignore)
    response.#settle.reject(error)
  }
}
// Promises derived by `then` are plain ones: `await` stays as cheap as on a native promise.
Object.defineProperty(ServeResponse.prototype, 'constructor', { value: Promise, configurable: true, writable: true })

const ignore = (): void => {}

/** What a result gives to one who iterates: its parts, or itself as the only one. */
function sourceOf(result: unknown): PartSource<unknown> {
  if (result instanceof StreamParts) return result
  const left = [result]
  return { read: async () => (left.length > 0 ? left.splice(0) : undefined), cancel() {} }
}
