import { ServeError } from '../base/index.ts'
import type { StreamAnswer } from '../request/index.ts'
import type { Call } from '../service/index.ts'

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

  async *[Symbol.asyncIterator](): AsyncGenerator<T extends AsyncIterable<infer Part> ? Part : T, void, undefined> {
    const result: unknown = await this
    if (isAsyncIterable(result)) yield* result as AsyncIterable<never>
    else yield result as never
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

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] === 'function'
  )
}

/** A streamed answer as an async iterable; leaving the loop early cancels the producer. `onEnd` is called at the end, whatever way it came. */
export async function* partsOf(stream: StreamAnswer, onEnd: () => void = () => {}): AsyncGenerator<unknown, void, undefined> {
  let ended = false
  try {
    for (let parts = await stream.read(); parts !== undefined; parts = await stream.read()) yield* parts
    ended = true
  } finally {
    onEnd()
    if (!ended) stream.cancel()
  }
}
