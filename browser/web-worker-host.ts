import { wrapControl } from '../core/adapters/comlink/index.ts'
import { isServeError, ServeError } from '../core/base/index.ts'
import { type HostedReplica, type ReplicaEnd, type ReplicaHost, type ReplicaSpec, startedFlagsSize } from '../core/replica/index.ts'
import { realTurns } from './clock.ts'
import { ownWorker } from './own-worker.ts'
import { toCallPort } from './web-port.ts'

export interface WebWorkerHostOptions {
  /** Where a copy of `dist/browser-worker.js` lies on the page's own origin. @default the file beside this one, or the worker inside a one-file build */
  readonly workerUrl?: string | undefined
  /** False: start marks come as messages even where memory could be shared. @default true */
  readonly sharedMemory?: boolean
}

type MakeWorker = (name: string) => Worker

/**
 * Replicas in Web Workers. A worker bounds what its code can do with the processor: `stop` ends any loop. It bounds no memory: the page and its
 * workers share one heap limit. Start marks lie in shared memory where the page is cross-origin isolated.
 */
export class WebWorkerHost implements ReplicaHost {
  readonly name = 'thread'
  readonly #workerUrl: string | undefined
  readonly #sharedMemory: boolean
  /** Set once the worker's own file turned out not to load and the one inside the package did. */
  #spare: MakeWorker | undefined

  constructor({ workerUrl, sharedMemory = true }: WebWorkerHostOptions = {}) {
    this.#workerUrl = workerUrl
    this.#sharedMemory = sharedMemory && globalThis.crossOriginIsolated === true
  }

  async start(spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> {
    if (spec.memoryLimitBytes !== undefined || Object.keys(spec.env).length > 0) throw (await sayWhy()).limitsUnsupported(spec)
    const { code } = spec
    if (code.kind === 'worker') return this.#startIn(() => madeByUser(spec, code.factory), spec, signal)
    const url = this.#workerUrl
    if (url !== undefined) return this.#startIn((name) => new Worker(url, { type: 'module', name }), spec, signal)
    if (this.#spare !== undefined) return this.#startIn(this.#spare, spec, signal)
    try {
      return await this.#startIn(ownWorker, spec, signal)
    } catch (error) {
      if (!isUnloaded(error) || signal.aborted) throw error
      return this.#startSpare(error, spec, signal)
    }
  }

  #startIn(make: MakeWorker, spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> {
    return startIn(make, spec, signal, this.#sharedMemory)
  }

  /** Some tools move this file and leave the worker behind (Vite 6 and 7 in development); then the package's second copy, a blob, is tried. */
  async #startSpare(first: ServeError, spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> {
    const spare = await import('./own-worker-inline.ts').catch(() => undefined)
    if (spare === undefined) throw first
    try {
      const hosted = await this.#startIn(spare.ownWorker, spec, signal)
      this.#spare = spare.ownWorker
      return hosted
    } catch (error) {
      throw isUnloaded(error) ? first : error
    }
  }
}

/** What goes wrong is explained by a chunk of its own. */
const sayWhy = (): Promise<typeof import('./start-errors.ts')> => import('./start-errors.ts')

/** The worker's script never ran. */
const isUnloaded = (error: unknown): error is ServeError => isServeError(error) && error.details?.workerLoaded === false

async function startIn(make: MakeWorker, spec: ReplicaSpec, signal: AbortSignal, sharesMemory: boolean): Promise<HostedReplica> {
  const worker = await makeOrExplain(make, spec)
  const { whenGone, end, wasLoaded } = watch(worker)
  const calls = new MessageChannel()
  const outbound = new MessageChannel()
  const control = wrapControl(worker, whenGone)
  const startedFlags = sharesMemory ? new Uint8Array(new SharedArrayBuffer(startedFlagsSize(spec.limits.maxConcurrentQueries))) : undefined
  const lifeLock =
    (navigator.locks as LockManager | undefined) === undefined ? undefined : `shoal.life.${spec.replicaId}.${crypto.randomUUID()}`
  const stop = async (): Promise<void> => {
    end({ reason: 'stopped', expected: true })
    await whenGone
  }
  const abort = (): void => void stop()
  signal.addEventListener('abort', abort, { once: true })
  try {
    if (signal.aborted) throw signal.reason
    // The factory of a worker backend stays here; the worker knows its own code.
    const { code, ...rest } = spec
    const sent = { ...rest, code: code.kind === 'worker' ? { kind: 'worker' } : code } as ReplicaSpec
    const description = await control.start(sent, { port: calls.port2, outbound: outbound.port2, startedFlags, lifeLock })
    if (lifeLock !== undefined) void watchLock(lifeLock, whenGone, () => end({ reason: 'worker was terminated', expected: false }))
    const broken = (): void => end({ reason: 'worker sent a message that cannot be read', expected: false })
    const port = toCallPort(calls.port1, broken)
    return { description, port, outbound: toCallPort(outbound.port1, broken), startedFlags, control, whenGone, stop }
  } catch (error) {
    const { aborted, reason } = signal
    await stop()
    calls.port1.close()
    outbound.port1.close()
    if (aborted) throw reason
    const { explainEnd, notLoaded } = await sayWhy()
    throw wasLoaded() ? await explainEnd(error, spec, whenGone) : notLoaded(spec)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

async function makeOrExplain(make: MakeWorker, spec: ReplicaSpec): Promise<Worker> {
  try {
    return make(spec.replicaId)
  } catch (error) {
    if (error instanceof ServeError) throw error
    // Another origin (SecurityError), or a page that requires trusted types (TypeError).
    throw (await sayWhy()).notLoaded(spec, error)
  }
}

function madeByUser(spec: ReplicaSpec, factory: (WorkerClass: never) => unknown): Worker {
  const made = factory(Worker as never)
  if (made instanceof Worker) return made
  throw new ServeError('ERR_INVALID_ARG_TYPE', `backend ${spec.backend}: the factory given to serve.worker() must return a Worker`)
}

/** Joins everything that ends a worker into one end. An error ends it, as in Node; the page's own handling of errors does not see it. */
function watch(worker: Worker): {
  readonly whenGone: Promise<ReplicaEnd>
  end(end: ReplicaEnd): void
  wasLoaded(): boolean
} {
  let loaded = true
  let ended = false
  let settle: (end: ReplicaEnd) => void = () => {}
  const whenGone = new Promise<ReplicaEnd>((resolve) => {
    settle = resolve
  })
  const end = (one: ReplicaEnd): void => {
    if (ended) return
    ended = true
    worker.terminate()
    // What the worker said last may still be on its way.
    realTurns.later(() => realTurns.later(() => settle(one)))
  }
  worker.addEventListener('error', (event) => {
    event.preventDefault()
    // A script that could not be loaded gives an event without a message, one that threw gives an ErrorEvent.
    const { message, error } = event as Partial<ErrorEvent>
    if (message === undefined && !ended) loaded = false
    const said = message?.replace(/^Uncaught /, '') ?? 'its script could not be loaded'
    end({ reason: `worker failed: ${said}`, expected: false, cause: error ?? said })
  })
  worker.addEventListener('messageerror', () => end({ reason: 'worker sent a message that cannot be read', expected: false }))
  return { whenGone, end, wasLoaded: () => loaded }
}

/**
 * No event tells of a worker that was terminated or closed itself; its lock falls free. Where there are no locks (pages without HTTPS), the
 * silence of its event loop tells, once a call is late.
 */
async function watchLock(name: string, whenGone: Promise<unknown>, onFree: () => void): Promise<void> {
  const waiting = new AbortController()
  void whenGone.then(() => waiting.abort())
  await navigator.locks.request(name, { signal: waiting.signal }, onFree).catch(() => undefined)
}
