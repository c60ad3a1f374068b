import { ServeError } from '../base/index.ts'
import { ACCEPTS_BATCH, Asset, type ReplicaCode } from '../replica/index.ts'

const MODULE = Symbol.for('shoal.ModuleTarget')
const WORKER = Symbol.for('shoal.WorkerTarget')
const CODE = Symbol.for('shoal.CodeTarget')

/** A backend whose code is loaded by URL in its replicas; made by {@link moduleTarget}. */
export interface ModuleTarget {
  readonly url: string
  readonly exportName: string
}

/** A backend whose replicas are workers that the user's own factory makes; made by {@link workerTarget}. */
export interface WorkerTarget {
  readonly factory: (WorkerClass: never) => unknown
}

/**
 * Names code by URL: `serve.module(new URL('./digits.js', import.meta.url), 'Digits')`. The replica imports it there, TypeScript too where the
 * runtime strips types. In a program that goes through a bundler use `serve.worker`.
 */
export function moduleTarget(url: URL | string, exportName: string = 'default'): ModuleTarget {
  const href = absoluteUrl('serve.module', url)
  if (typeof exportName !== 'string' || exportName === '') {
    throw new ServeError('ERR_INVALID_ARG_TYPE', `serve.module: the name of the export must be a string, got ${typeof exportName}`)
  }
  return Object.freeze({ [MODULE]: true, url: href, exportName })
}

/**
 * Names code by a worker file: `serve.worker((Worker) => new Worker(new URL('./digits.worker.js', import.meta.url), { type: 'module' }))`. Every
 * bundler understands the `new Worker(new URL(...))` inside; the file calls `expose` of `shoal/replica`.
 */
// biome-ignore lint/suspicious/noExplicitAny: each platform passes its own Worker class
export function workerTarget(factory: (WorkerClass: any) => unknown): WorkerTarget {
  if (typeof factory !== 'function') throw new ServeError('ERR_INVALID_ARG_TYPE', `serve.worker: expects a factory, got ${typeof factory}`)
  return Object.freeze({ [WORKER]: true, factory })
}

export function isModuleTarget(value: unknown): value is ModuleTarget {
  return hasMark(value, MODULE)
}

export function isWorkerTarget(value: unknown): value is WorkerTarget {
  return hasMark(value, WORKER)
}

/** Code that was made portable elsewhere: it came from another process, or from a store. */
interface CodeTarget extends ModuleTarget {
  readonly code: ReplicaCode
}

/** Stands in for a target whose code is at hand already. */
export function codeTarget(code: ReplicaCode): CodeTarget {
  return Object.freeze({ [CODE]: true, code, url: '', exportName: '' })
}

export function isCodeTarget(value: unknown): value is CodeTarget {
  return hasMark(value, CODE)
}

/** Refuses what is no function and no class (`ERR_INVALID_ARG_TYPE`), and arguments for a function (`ERR_INVALID_ARG_VALUE`). */
export function requireCallable(tag: string, target: unknown, initArgs: readonly unknown[]): void {
  if (typeof target !== 'function') {
    const message = `backend ${tag}: must be a function, a class, serve.module() or serve.worker(); got ${target === null ? 'null' : typeof target}`
    throw new ServeError('ERR_INVALID_ARG_TYPE', message)
  }
  if (!/^class\b/.test(Function.prototype.toString.call(target)) && initArgs.length > 0) {
    throw new ServeError('ERR_INVALID_ARG_VALUE', `backend ${tag}: initArgs are for classes; the target is a function`)
  }
}

/** Marks a function as taking a list of requests and returning an ordered list of results of the same length. Returns the function. */
export function acceptBatch<F extends (requests: never) => unknown>(handler: F): F {
  if (typeof handler !== 'function') throw new ServeError('ERR_INVALID_ARG_TYPE', `acceptBatch: expects a function, got ${typeof handler}`)
  Object.defineProperty(handler, ACCEPTS_BATCH, { value: true, configurable: true })
  return handler
}

/** Names a file that goes along with a backend, for `initArgs`; in the replica it has `url` and `bytes()`. */
export function assetOf(url: URL | string, read: (url: string) => Promise<Uint8Array>): Asset {
  return new Asset(absoluteUrl('serve.asset', url), read)
}

function absoluteUrl(what: string, url: unknown): string {
  const text = url instanceof URL ? url.href : url
  if (typeof text === 'string' && URL.canParse(text)) return text
  throw new ServeError(
    'ERR_INVALID_ARG_TYPE',
    `${what}: expects an absolute URL such as new URL('./file.js', import.meta.url), got ${typeof text === 'string' ? `'${text}'` : typeof text}`,
  )
}

const hasMark = (value: unknown, mark: symbol): boolean =>
  typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[mark] === true
