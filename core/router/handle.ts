import { didYouMean, ServeError } from '../base/index.ts'
import { type LivingArgument, TO_LIVING } from '../replica/index.ts'
import {
  AnswerKind,
  asBytes,
  bytesOf,
  type CallMeta,
  isPlainObject,
  packHandleMeta,
  type ResponseHead,
  responseOf,
  type StreamAnswer,
  streamedResponse,
} from '../request/index.ts'
import { Call, type CallSink } from '../service/index.ts'
import { packRequest } from './pack-request.ts'
import { ServeResponse } from './serve-response.ts'
import { StreamParts } from './stream-parts.ts'

/** Options of a handle; given again, the last value wins. */
export interface HandleOptions {
  /** Method of the backend's class to call. @default 'call' */
  readonly methodName?: string | undefined
  /** What `request.method` says. @default 'GET' */
  readonly httpMethod?: string | undefined
  /** What `request.headers` says. */
  readonly httpHeaders?: Readonly<Record<string, string>> | undefined
  /** Picks the same backend for the same key while the traffic stands. */
  readonly shardKey?: string | undefined
  /** Deadline over queue, attempts and execution until the first part, in milliseconds. Above 0. @default the backend's requestTimeoutMs */
  readonly timeoutMs?: number | undefined
  /** Cancels the call when it aborts. */
  readonly signal?: AbortSignal | undefined
  /** True: may be run again once on another replica after it had started. @default the backend's idempotent */
  readonly idempotent?: boolean | undefined
  /** A request whose cancellation and deadline the call inherits, through its signal. */
  readonly parent?: { readonly signal: AbortSignal } | undefined
  /** How far the call may travel. @default 'mesh' */
  readonly reach?: 'thread' | 'node' | 'mesh' | undefined
}

/** Where the calls of a handle go: the router of its endpoint, here or through the host of a replica. */
export interface CallTarget {
  /** Takes the call; its sink hears the rest, also of an endpoint that is not there. */
  dispatch(call: Call): void
}

/**
 * The caller's view of an endpoint. Immutable. `remote()` sends one call; a method of the backend's class is called by `handle.method.remote()` or
 * `options({ methodName })`. The names of a handle itself win over those of the class.
 */
export class ServeHandle {
  readonly #endpoint: string
  readonly #target: CallTarget
  readonly #options: HandleOptions
  /** The meta slot of a call without args; most calls have none. */
  readonly #plainMeta: CallMeta
  readonly #timeoutMs: number | undefined

  constructor(endpoint: string, target: CallTarget, options: HandleOptions = {}) {
    this.#endpoint = endpoint
    this.#target = target
    this.#options = options
    this.#plainMeta = packHandleMeta(this.#metaOf(undefined))
    this.#timeoutMs = options.timeoutMs
  }

  /** An own function, so that no handle is cloned by accident: in the data of a call it would arrive as an empty object. */
  readonly toString: () => string = print

  /** Name of the endpoint. */
  get endpoint(): string {
    return this.#endpoint
  }

  /** A new handle with these options on top. `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` for what is none. */
  options(options: HandleOptions): ServeHandle {
    checkOptions(options)
    return new ServeHandle(this.#endpoint, this.#target, { ...this.#options, ...options })
  }

  /**
   * Sends one call. `data` is what `request.data` gives: anything structured clone carries, a `Request`, which is handed on unwrapped, or a
   * `ServeResponse`, which is awaited first. `args` is what a query is over HTTP. Buffers in `transfer` are given up instead of copied.
   */
  remote(data?: unknown, args?: Readonly<Record<string, unknown>>, transfer?: readonly object[]): ServeResponse<unknown> {
    const response = ServeResponse.pending<unknown>()
    if (args !== undefined && !isPlainObject(args)) {
      ServeResponse.fail(
        response,
        new ServeError('ERR_INVALID_ARG_TYPE', `args must be an object of names and values, got ${nameOf(args)}`),
      )
    } else if (needsWait(data) || (args !== undefined && Object.values(args).some(isResponse))) {
      void this.#sendLater(response, data, args, transfer)
    } else {
      this.#send(response, args === undefined ? this.#plainMeta : packHandleMeta(this.#metaOf(args)), data, transfer)
    }
    return response
  }

  [TO_LIVING](): LivingArgument {
    const { signal: _signal, parent: _parent, ...options } = this.#options
    return { mark: 'handle', data: { endpoint: this.#endpoint, options } }
  }

  #metaOf(args: Readonly<Record<string, unknown>> | undefined): {
    m?: string
    v?: string
    h?: [string, string][]
    a?: Readonly<Record<string, unknown>>
  } {
    const { methodName, httpMethod, httpHeaders } = this.#options
    return {
      ...(methodName !== undefined && methodName !== '' && { m: methodName }),
      ...(httpMethod !== undefined && { v: httpMethod }),
      ...(httpHeaders !== undefined && { h: Object.entries(httpHeaders) }),
      ...(args !== undefined && { a: args }),
    }
  }

  #send(response: ServeResponse<unknown>, meta: CallMeta, data: unknown, transfer: readonly object[] | undefined, ownsData = false): void {
    const options = this.#options
    const sink = new ResponseSink(response)
    const call = new Call({
      endpoint: this.#endpoint,
      method: options.methodName ?? '',
      meta,
      data,
      transfer,
      ownsData,
      shardKey: options.shardKey,
      timeoutMs: this.#timeoutMs,
      idempotent: options.idempotent,
      reach: options.reach,
      sink,
    })
    if (options.signal !== undefined) sink.follow(options.signal, call)
    if (options.parent !== undefined && !sink.settled) sink.follow(options.parent.signal, call)
    if (sink.settled) return
    this.#target.dispatch(call)
    ServeResponse.attach(response, call)
  }

  async #sendLater(
    response: ServeResponse<unknown>,
    data: unknown,
    args: Readonly<Record<string, unknown>> | undefined,
    transfer?: readonly object[],
  ): Promise<void> {
    try {
      const resolvedData = isResponse(data) ? await data : data
      const resolvedArgs = args === undefined ? undefined : await resolveValues(args)
      if (ServeResponse.isCancelled(response)) return
      if (resolvedData instanceof Request) {
        const { meta, body } = await packRequest(resolvedData, this.#options.methodName ?? '')
        this.#send(response, meta, body, undefined, true)
      } else {
        this.#send(response, packHandleMeta(this.#metaOf(resolvedArgs)), resolvedData, transfer)
      }
    } catch (error) {
      ServeResponse.fail(response, error)
    }
  }
}

function print(this: ServeHandle): string {
  return `ServeHandle(endpoint='${this.endpoint}')`
}

/** What stands between a call and the response of its caller. */
class ResponseSink implements CallSink {
  readonly #response: ServeResponse<unknown>
  #stopFollowing: (() => void) | undefined
  settled = false

  constructor(response: ServeResponse<unknown>) {
    this.#response = response
  }

  answer(kind: AnswerKind, value: unknown): void {
    this.settled = true
    // The signal goes on to count while parts come.
    if (kind !== AnswerKind.STREAM) this.#stop()
    let result: unknown
    try {
      result = fromAnswer(kind, value, this.#stop)
    } catch (cause) {
      const message = `the handler answered with no valid response: ${cause instanceof Error ? cause.message : String(cause)}`
      return this.fail(new ServeError('ERR_BAD_RESPONSE', message, { cause, outcome: 'completed' }))
    }
    ServeResponse.settle(this.#response, result)
  }

  fail(error: ServeError): void {
    this.settled = true
    this.#stop()
    ServeResponse.fail(this.#response, error)
  }

  /** Cancels the call when the signal aborts. A signal that has aborted already fails the response at once. */
  follow(signal: AbortSignal, call: Call): void {
    const error = (): ServeError =>
      new ServeError('ERR_CANCELLED', 'the signal of the call aborted', { outcome: 'started-unknown', cause: signal.reason })
    if (signal.aborted)
      return this.fail(new ServeError('ERR_CANCELLED', 'the signal had aborted', { outcome: 'not-started', cause: signal.reason }))
    const onAbort = (): void => call.cancel(error())
    signal.addEventListener('abort', onAbort, { once: true })
    const before = this.#stopFollowing
    this.#stopFollowing = () => {
      before?.()
      signal.removeEventListener('abort', onAbort)
    }
  }

  readonly #stop = (): void => {
    this.#stopFollowing?.()
    this.#stopFollowing = undefined
  }
}

/** What the caller gets. `onEnd` is called when a stream has ended, whatever way. */
function fromAnswer(kind: AnswerKind, value: unknown, onEnd: () => void): unknown {
  if (kind === AnswerKind.FULL) return responseOf(value as readonly [number, readonly string[], string | Uint8Array | undefined])
  if (kind !== AnswerKind.STREAM) return value
  const stream = value as StreamAnswer
  return stream.head === undefined ? new StreamParts(stream, onEnd) : streamToResponse(stream.head, stream, onEnd)
}

function streamToResponse(head: ResponseHead, stream: StreamAnswer, onEnd: () => void): Response {
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const parts = await stream.read()
        if (parts === undefined) {
          onEnd()
          return controller.close()
        }
        for (const part of parts) controller.enqueue(asBytes(part) ?? bytesOf(String(part)))
      } catch (error) {
        onEnd()
        controller.error(error)
      }
    },
    cancel: () => {
      onEnd()
      stream.cancel()
    },
  })
  return streamedResponse(head, body)
}

const nameOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'a list' : `a ${typeof value}`)

const isResponse = (value: unknown): value is ServeResponse<unknown> => value instanceof ServeResponse
const needsWait = (data: unknown): boolean => typeof data === 'object' && data !== null && (isResponse(data) || data instanceof Request)

async function resolveValues(args: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>> {
  const entries = await Promise.all(
    Object.entries(args).map(async ([name, value]) => [name, isResponse(value) ? await value : value] as const),
  )
  return Object.fromEntries(entries)
}

/** What an option must be; the wrong type is `ERR_INVALID_ARG_TYPE`, the wrong value of one `ERR_INVALID_ARG_VALUE`. */
interface OptionRule {
  readonly code: 'ERR_INVALID_ARG_TYPE' | 'ERR_INVALID_ARG_VALUE'
  readonly expected: string
  readonly holds: (value: unknown) => boolean
}

const ofType = (expected: string, holds: (value: unknown) => boolean): OptionRule => ({ code: 'ERR_INVALID_ARG_TYPE', expected, holds })
const ofValue = (expected: string, holds: (value: unknown) => boolean): OptionRule => ({ code: 'ERR_INVALID_ARG_VALUE', expected, holds })
const isSignal = (value: unknown): boolean => typeof (value as Partial<AbortSignal> | null | undefined)?.addEventListener === 'function'
const TEXT = ofType('a string', (value) => typeof value === 'string')

const OPTION_RULES: Readonly<Record<string, OptionRule>> & Readonly<Record<keyof HandleOptions, OptionRule>> = {
  methodName: TEXT,
  httpMethod: TEXT,
  httpHeaders: ofType('an object of names and values', isPlainObject),
  shardKey: TEXT,
  timeoutMs: ofValue('a number above 0', (value) => typeof value === 'number' && value > 0),
  signal: ofType('an AbortSignal', isSignal),
  idempotent: ofType('a boolean', (value) => typeof value === 'boolean'),
  parent: ofType('a request, which has a signal', (value) => isSignal((value as { readonly signal?: unknown } | null)?.signal)),
  reach: ofValue("'thread', 'node' or 'mesh'", (value) => value === 'thread' || value === 'node' || value === 'mesh'),
}

function checkOptions(options: HandleOptions): void {
  if (typeof options !== 'object' || options === null)
    throw new ServeError('ERR_INVALID_ARG_TYPE', `handle options must be an object, got ${String(options)}`)
  for (const [name, value] of Object.entries(options)) {
    const rule = Object.hasOwn(OPTION_RULES, name) ? OPTION_RULES[name] : undefined
    if (rule === undefined) {
      throw new ServeError('ERR_INVALID_ARG_VALUE', `handle option ${name} does not exist${didYouMean(name, Object.keys(OPTION_RULES))}`)
    }
    if (value === undefined || rule.holds(value)) continue
    const got = rule.code === 'ERR_INVALID_ARG_TYPE' ? nameOf(value) : String(value)
    throw new ServeError(rule.code, `handle option ${name} must be ${rule.expected}, got ${got}`)
  }
}

/** Names that a handle never takes for a method: what the language or a console asks of every object. */
const NO_METHOD = new Set([
  'then',
  'catch',
  'finally',
  'toJSON',
  'constructor',
  'init',
  'reconfigure',
  'checkHealth',
  'inspect',
  'nodeType',
])

// Unknown names on a handle are methods of the backend. They are found behind the prototype, so that the handle's own names cost nothing more.
Object.setPrototypeOf(
  ServeHandle.prototype,
  new Proxy(Object.create(null) as object, {
    get(_target, name, receiver: unknown) {
      if (name in Object.prototype) return (Object.prototype as unknown as Record<PropertyKey, unknown>)[name]
      if (typeof name !== 'string' || NO_METHOD.has(name) || name.startsWith('_') || !(receiver instanceof ServeHandle)) return undefined
      return receiver.options({ methodName: name })
    },
  }),
)
