import { nearestName, ServeError } from '../base/index.ts'
import { ACCEPTS_BATCH } from './accepts-batch.ts'

/** What is known of a target once it stands in its replica. Plain data. */
export interface TargetDescription {
  readonly form: 'function' | 'class'
  /** Methods that may be called by name. */
  readonly methods: readonly string[]
  /** Those of them that take a list of requests; '' is the function itself. */
  readonly batchMethods: readonly string[]
  readonly hasReconfigure: boolean
  readonly hasCheckHealth: boolean
}

/** Names that are no public method of a class. */
const RESERVED = new Set(['constructor', 'init', 'reconfigure', 'checkHealth'])
const DEFAULT_METHOD = 'call'

type Method = (this: unknown, request: unknown) => unknown

/** A function, or an instance of a class, with the methods that calls may name. */
export class ServedTarget {
  readonly description: TargetDescription
  readonly #self: unknown
  readonly #methods = new Map<string, Method>()
  readonly #batch = new Set<string>()
  readonly #default: Method | undefined
  readonly #backend: string

  /** @param self the function, or the instance that was constructed. */
  constructor(backend: string, self: unknown) {
    this.#backend = backend
    this.#self = self
    const isFunction = typeof self === 'function'
    if (isFunction) {
      this.#default = self as Method
      if ((self as { [ACCEPTS_BATCH]?: unknown })[ACCEPTS_BATCH] === true) this.#batch.add('')
    } else {
      for (const name of methodNames(self as object)) this.#methods.set(name, (self as Record<string, Method>)[name] as Method)
      for (const name of batchNames(backend, self as object, this.#methods)) this.#batch.add(name)
      this.#default = this.#methods.get(DEFAULT_METHOD)
      if (this.#batch.has(DEFAULT_METHOD)) this.#batch.add('')
    }
    const members = self as { reconfigure?: unknown; checkHealth?: unknown }
    this.description = {
      form: isFunction ? 'function' : 'class',
      methods: [...this.#methods.keys()],
      batchMethods: [...this.#batch],
      hasReconfigure: !isFunction && typeof members.reconfigure === 'function',
      hasCheckHealth: !isFunction && typeof members.checkHealth === 'function',
    }
  }

  isBatchMethod(method: string): boolean {
    return this.#batch.size !== 0 && this.#batch.has(method)
  }

  /** Calls a method with its one argument. `ERR_METHOD_NOT_FOUND` lists those there are. */
  call(method: string, argument: unknown): unknown {
    const named = method === '' ? this.#default : this.#methods.get(method)
    if (named === undefined) throw this.#notFound(method)
    return named.call(this.#self, argument)
  }

  async reconfigure(userConfig: unknown): Promise<void> {
    await (this.#self as { reconfigure(config: unknown): unknown }).reconfigure(userConfig)
  }

  async checkHealth(): Promise<void> {
    if (this.description.hasCheckHealth) await (this.#self as { checkHealth(): unknown }).checkHealth()
  }

  #notFound(method: string): ServeError {
    const named = method === '' ? DEFAULT_METHOD : method
    const near = nearestName(named, this.#methods.keys())
    const there =
      this.#methods.size === 0 ? 'it is a function and has none' : `available methods are ${[...this.#methods.keys()].join(', ')}`
    return new ServeError(
      'ERR_METHOD_NOT_FOUND',
      `backend ${this.#backend} has no method ${named}; ${there}${near === undefined ? '' : `; did you mean ${near}`}`,
      { outcome: 'not-started', details: { method: named, methods: [...this.#methods.keys()] } },
    )
  }
}

/** Functions of the prototype chain below Object, nearest first, except reserved names and those that begin with an underscore. */
function methodNames(self: object): Set<string> {
  const names = new Set<string>()
  for (
    let prototype = Object.getPrototypeOf(self);
    prototype !== null && prototype !== Object.prototype;
    prototype = Object.getPrototypeOf(prototype)
  ) {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      if (RESERVED.has(name) || name.startsWith('_')) continue
      if (typeof Object.getOwnPropertyDescriptor(prototype, name)?.value === 'function') names.add(name)
    }
  }
  return names
}

function batchNames(backend: string, self: object, methods: ReadonlyMap<string, Method>): string[] {
  const listed = (self.constructor as { batch?: unknown }).batch
  if (listed === undefined)
    return [...methods].filter(([, method]) => (method as { [ACCEPTS_BATCH]?: unknown })[ACCEPTS_BATCH] === true).map(([name]) => name)
  if (!Array.isArray(listed))
    throw new ServeError('ERR_INVALID_ARG_TYPE', `backend ${backend}: static batch must be a list of method names`)
  for (const name of listed) {
    if (!methods.has(name)) {
      throw new ServeError(
        'ERR_METHOD_NOT_FOUND',
        `backend ${backend}: static batch names ${String(name)}; available methods are ${[...methods.keys()].join(', ')}`,
      )
    }
  }
  return listed as string[]
}
