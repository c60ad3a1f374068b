/** Shoal in a page: `import * as serve from 'shoal'`. */
import { assetOf, Client, LocalInstance, type WaitOptions, waitFor } from '../core/api/index.ts'
import { type Logger, ServeError } from '../core/base/index.ts'
import type { StateStore } from '../core/controller/index.ts'
import type { HttpOptions, ResolvedHttpOptions } from '../core/gateway/index.ts'
import type { MeshRole } from '../core/mesh/index.ts'
import type { Resources } from '../core/model/index.ts'
import { type Asset, currentReplica } from '../core/replica/index.ts'
import { browserPlatform } from './browser-platform.ts'
import { realClock } from './clock.ts'
import { CONSOLE_LOGGER } from './console-logger.ts'
import { readBytes } from './read-bytes.ts'

export {
  acceptBatch,
  type BackendOptions,
  type BackendTarget,
  type Client,
  type CloseOptions,
  type Handle,
  type InstanceStatus,
  type ModuleTarget,
  moduleTarget as module,
  type UntypedHandle,
  type WaitOptions,
  type WorkerTarget,
  workerTarget as worker,
} from '../core/api/index.ts'
export { ERROR_TABLE, type ErrorCode, isServeError, type Logger, type Outcome, ServeError, TaskError } from '../core/base/index.ts'
export type { ServeEvent } from '../core/controller/index.ts'
export type { HttpMiddleware, HttpOptions } from '../core/gateway/index.ts'
export type { MeshRole, TicketOptions } from '../core/mesh/index.ts'
export {
  type App,
  type AppDescription,
  type BackendConfig,
  defineApp,
  type EndpointOptions,
  type ReplicaOptions,
} from '../core/model/index.ts'
export type { Asset, InitContext } from '../core/replica/index.ts'
export { ServeRequest } from '../core/request/index.ts'
export type { HandleOptions, ServeResponse } from '../core/router/index.ts'
export { register } from './registered-code.ts'

export interface StartOptions {
  /** Shown in the status. @default 'default' */
  readonly name?: string
  /** A page has no processes: anything but false is `ERR_UNSUPPORTED`. @default false */
  readonly detached?: boolean
  /** How `client.fetch` answers: `middlewares`, limits, `trustedOrigins`. What a socket would need is `ERR_UNSUPPORTED`. @default false */
  readonly http?: HttpOptions | false
  /** Takes peers. Not built yet: `ERR_UNSUPPORTED`. @default false */
  readonly mesh?: boolean | 'lan' | object
  /**
   * Name of a database of this origin where control state is kept, so that a reload finds it. Inline and `serve.worker` backends do not come back.
   * @default memory
   */
  readonly storage?: string
  /** What this page offers. @default what the browser admits to */
  readonly resources?: Resources
  /** @default the console, from `info` on */
  readonly logger?: Logger
  /** Where a copy of `dist/browser-worker.js` lies on the page's own origin, for pages that may load workers from there only. */
  readonly workerUrl?: string | URL
}

export interface ConnectOptions {
  /** Names an instance of another process, which a page cannot reach. */
  readonly name?: string
}

const START_OPTIONS = ['name', 'detached', 'http', 'mesh', 'storage', 'resources', 'logger', 'workerUrl'] as const
/**
 * Starts an instance in this page; its replicas are Web Workers. An option that is none: `ERR_INVALID_CONFIG`; one that a page cannot have:
 * `ERR_UNSUPPORTED`. It ends with the page.
 */
export async function start(options: StartOptions = {}): Promise<Client> {
  if (!isStartable(options)) throw (await import('./start-options.ts')).whyNotStartable(options, START_OPTIONS)
  const log = options.logger ?? CONSOLE_LOGGER
  const { workerUrl } = options
  const platform = browserPlatform(log, workerUrl === undefined ? {} : { workerUrl: new URL(workerUrl, document.baseURI).href })
  // Without options the gateway can wait for the first fetch; with some, what is wrong in them is said now.
  const fetchOptions = options.http ? await resolveFetch(options.http) : () => resolveFetch({})
  const store = options.storage === undefined ? undefined : await openStore(options.storage)
  const instance = await LocalInstance.start(
    { name: options.name ?? 'default', http: undefined, fetchOptions, store },
    options.resources === undefined ? platform : { ...platform, resources: options.resources },
  ).catch(async (error: unknown) => {
    await store?.close()
    throw error
  })
  return new Client(instance)
}

async function openStore(name: string): Promise<StateStore> {
  if (typeof name !== 'string' || name === '') throw new ServeError('ERR_INVALID_ARG_TYPE', 'start: storage must be the name of a database')
  const { IndexedDbStateStore } = await import('./indexed-db-store.ts')
  return IndexedDbStateStore.open(name)
}

/** Inside a backend: the client of that backend's own instance, with `getHandle` alone. Elsewhere `ERR_NO_INSTANCE`. */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const scope = options.name === undefined ? currentReplica() : undefined
  if (scope !== undefined) return scope.connect() as Client
  throw new ServeError('ERR_NO_INSTANCE', 'a page can attach to no instance of another process; start one here with serve.start()')
}

export interface JoinOptions {
  /** Roles asked for, of those that the ticket grants. @default all of them */
  readonly roles?: readonly MeshRole[]
  /** What runs here: code that has the digest which the controllers list, or only what `register` gave before. @default 'verified' */
  readonly code?: 'verified' | 'named'
  /** Shown in the status. @default a name of the browser's making */
  readonly name?: string
}

/** Joins a mesh. From a page not built yet: `ERR_UNSUPPORTED`. */
export async function join(_ticket: string, _options: JoinOptions = {}): Promise<Client> {
  throw new ServeError('ERR_UNSUPPORTED', 'a page cannot join yet; join from Node')
}

/** Names a file that goes along with a backend, for `initArgs`; in the replica it has `url` and `bytes()`. */
export function asset(url: URL | string): Asset {
  return assetOf(url, readBytes)
}

/** Waits until `numReturns` responses are settled or `timeoutMs` have passed: `[ready, pending]`, each in the order given. */
export function wait<T extends PromiseLike<unknown>>(
  responses: Iterable<T>,
  options: WaitOptions = {},
): Promise<[ready: T[], pending: T[]]> {
  return waitFor(responses, options, realClock)
}

function isStartable(options: StartOptions): boolean {
  const isOff = (value: unknown): boolean => value === undefined || value === false
  if (typeof options !== 'object' || options === null || !isOff(options.detached) || !isOff(options.mesh)) return false
  return Object.keys(options).every((name) => (START_OPTIONS as readonly string[]).includes(name))
}

async function resolveFetch(given: HttpOptions): Promise<ResolvedHttpOptions> {
  return (await import('./fetch-options.ts')).resolveFetchOptions(given)
}
