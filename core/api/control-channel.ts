import { type ErrorEnvelope, fromErrorEnvelope, ServeError, toErrorEnvelope } from '../base/index.ts'
import type { CallPort } from '../replica/index.ts'

/** `[REQUEST, id, method, args]`, answered by `[REPLY, id, value]` or `[FAILURE, id, ErrorEnvelope]`; `[TOLD, topic, value]` has no answer. */
const REQUEST = 0
const REPLY = 1
const FAILURE = 2
const TOLD = 3

/** Requests that may wait for their answers at one end. */
const MAX_OPEN = 10_000

/** What one end does for the other. Only own, listed names can be reached. */
export interface ControlHandlers {
  readonly requests: ReadonlyMap<string, (...args: never[]) => unknown>
  readonly told: ReadonlyMap<string, (value: never) => void>
}

interface Waiting {
  resolve(value: unknown): void
  reject(error: unknown): void
}

/** Requests with answers, and news without, over one port. Errors keep code, outcome and cause. Order is kept: news told before an answer is heard before it. */
export class ControlChannel {
  readonly #port: CallPort
  readonly #handlers: ControlHandlers
  readonly #waiting = new Map<number, Waiting>()
  readonly #onBusy: (isBusy: boolean) => void
  #nextId = 0
  #endedWith: (() => ServeError) | undefined

  /** @param onBusy told when the first request opens and when the last one is answered. */
  constructor(port: CallPort, handlers: ControlHandlers, onBusy: (isBusy: boolean) => void = () => {}) {
    this.#port = port
    this.#handlers = handlers
    this.#onBusy = onBusy
    port.listen((message) => this.#receive(message))
  }

  /** Rejects with what the other end threw, or with what `end` was given. `ERR_NOT_SERIALIZABLE` for arguments that cannot travel. */
  request(method: string, ...args: readonly unknown[]): Promise<unknown> {
    if (this.#endedWith !== undefined) return Promise.reject(this.#endedWith())
    if (this.#waiting.size >= MAX_OPEN) {
      return Promise.reject(new ServeError('ERR_BACK_PRESSURE', `${method}: ${MAX_OPEN} requests wait for their answers already`))
    }
    const id = this.#nextId++
    try {
      this.#port.post([REQUEST, id, method, args])
    } catch (cause) {
      return Promise.reject(cannotTravel(`an argument of ${method}`, cause))
    }
    if (this.#waiting.size === 0) this.#onBusy(true)
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  tell(topic: string, value: unknown): void {
    if (this.#endedWith === undefined) this.#port.post([TOLD, topic, value])
  }

  /** The other end is gone: what waits fails, and so does what is asked later. */
  end(toError: () => ServeError): void {
    if (this.#endedWith !== undefined) return
    this.#endedWith = toError
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { reject } of waiting) reject(toError())
    if (waiting.length > 0) this.#onBusy(false)
  }

  #receive(message: readonly unknown[]): void {
    const [kind, id, third, args] = message
    switch (kind) {
      case REQUEST:
        void this.#answer(id as number, third as string, args as never[])
        return
      case REPLY:
        return this.#settle(id as number, (waiting) => waiting.resolve(third))
      case FAILURE:
        return this.#settle(id as number, (waiting) => waiting.reject(fromErrorEnvelope(third as ErrorEnvelope)))
      case TOLD:
        this.#handlers.told.get(id as string)?.(third as never)
        return
      default:
    }
  }

  async #answer(id: number, method: string, args: never[]): Promise<void> {
    try {
      const handler = this.#handlers.requests.get(method)
      if (handler === undefined)
        throw new ServeError('ERR_UNSUPPORTED', `the other side does not know ${method}; is it of another version?`)
      this.#reply(id, await handler(...args))
    } catch (error) {
      this.#post([FAILURE, id, toErrorEnvelope(error)])
    }
  }

  #reply(id: number, value: unknown): void {
    try {
      this.#post([REPLY, id, value])
    } catch (cause) {
      throw cannotTravel('the answer', cause)
    }
  }

  #post(message: readonly unknown[]): void {
    if (this.#endedWith === undefined) this.#port.post(message)
  }

  #settle(id: number, settle: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    this.#waiting.delete(id)
    settle(waiting)
    if (this.#waiting.size === 0) this.#onBusy(false)
  }
}

function cannotTravel(what: string, cause: unknown): ServeError {
  if (cause instanceof ServeError) return cause
  return new ServeError('ERR_NOT_SERIALIZABLE', `${what} cannot travel to another process: ${(cause as Error).message}`, { cause })
}
