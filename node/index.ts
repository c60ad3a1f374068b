/** Shoal on Node: `import * as serve from 'shoal'`. */
import { pino } from 'pino'
import { assetOf, Client, LocalInstance, type WaitOptions, waitFor } from '../core/api/index.ts'
import { type Logger, nearestName, ServeError } from '../core/base/index.ts'
import { type HttpOptions, resolveHttpOptions } from '../core/gateway/index.ts'
import type { Resources } from '../core/model/index.ts'
import { type Asset, currentReplica, type ReplicaClient } from '../core/replica/index.ts'
import { realClock } from './clock.ts'
import { nodePlatform } from './node-platform.ts'
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

export interface StartOptions {
  /** Names a detached instance. @default 'default' */
  readonly name?: string
  /** Lives in a background process of its own. Not built yet: `ERR_UNSUPPORTED`. @default false */
  readonly detached?: boolean
  /** The gateway; false for none. @default { host: '127.0.0.1', port: 8000 } */
  readonly http?: HttpOptions | false
  /** Takes peers. Not built yet: `ERR_UNSUPPORTED`. @default false */
  readonly mesh?: boolean | 'lan' | object
  /** Where control state is kept; memory without it. Not built yet: `ERR_UNSUPPORTED`. */
  readonly storage?: string
  /** What this node offers. @default what the machine has */
  readonly resources?: Resources
  /** @default pino at `info` on stderr */
  readonly logger?: Logger
}

const START_OPTIONS = ['name', 'detached', 'http', 'mesh', 'storage', 'resources', 'logger'] as const

/**
 * Starts an instance in this process, which becomes its node and its controller. Rejects with the cause: a port in use with `ERR_HTTP_LISTEN`, an
 * option that is none with `ERR_INVALID_CONFIG`. No signal handlers are installed; a running instance keeps the process alive.
 */
export async function start(options: StartOptions = {}): Promise<Client> {
  checkStartOptions(options)
  const log = options.logger ?? (pino({ name: 'shoal', level: 'info' }, pino.destination({ fd: 2, sync: true })) as Logger)
  const http = options.http === false ? undefined : resolveHttpOptions(options.http ?? {})
  const platform = nodePlatform(log)
  const instance = await LocalInstance.start(
    { name: options.name ?? 'default', http, fetchOptions: http ?? resolveHttpOptions({}) },
    options.resources === undefined ? platform : { ...platform, resources: options.resources },
  )
  return new Client(instance)
}

/**
 * Attaches to a running instance; inside a backend to that backend's own. Outside of one nothing runs that could be attached to yet:
 * `ERR_NO_INSTANCE`.
 */
export async function connect(_options: { readonly name?: string } = {}): Promise<ReplicaClient> {
  const scope = currentReplica()
  if (scope !== undefined) return scope.connect()
  throw new ServeError('ERR_NO_INSTANCE', 'there is no detached instance to attach to; start one in this process with serve.start()')
}

/** Joins a mesh. Not built yet: `ERR_UNSUPPORTED`. */
export async function join(_ticket: string, _options: object = {}): Promise<never> {
  throw new ServeError('ERR_UNSUPPORTED', 'join is not built yet; the mesh comes later')
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

function checkStartOptions(options: StartOptions): void {
  if (typeof options !== 'object' || options === null)
    throw new ServeError('ERR_INVALID_ARG_TYPE', `start: options must be an object, got ${typeof options}`)
  for (const name of Object.keys(options)) {
    if ((START_OPTIONS as readonly string[]).includes(name)) continue
    const near = nearestName(name, START_OPTIONS)
    throw new ServeError('ERR_INVALID_CONFIG', `start: option ${name} is unknown${near === undefined ? '' : `; did you mean ${near}`}`)
  }
  for (const [name, value] of Object.entries({ detached: options.detached, mesh: options.mesh, storage: options.storage })) {
    if (value !== undefined && value !== false)
      throw new ServeError('ERR_UNSUPPORTED', `start: option ${name} is not built yet; leave it out`)
  }
}
