/** Shoal on Node: `import * as serve from 'shoal'`. */
import { hostname } from 'node:os'
import { pino } from 'pino'
import {
  assetOf,
  Client,
  isModuleTarget,
  type LocalInstance,
  type ModuleTarget,
  type PeerInstance,
  type WaitOptions,
  waitFor,
} from '../core/api/index.ts'
import { type Logger, nearestName, ServeError } from '../core/base/index.ts'
import { type HttpOptions, resolveHttpOptions } from '../core/gateway/index.ts'
import type { MeshRole } from '../core/mesh/index.ts'
import { type Resources, resolveResources } from '../core/model/index.ts'
import { type Asset, currentReplica } from '../core/replica/index.ts'
import { realClock } from './clock.ts'
import { startDetached } from './daemon.ts'
import type { DaemonOptions } from './daemon-program.ts'
import { hasInstance, instanceExists, openInstanceSocket } from './instance-socket.ts'
import { attachToInstance } from './instance-socket-client.ts'
import { requireInstanceName } from './instance-socket-folder.ts'
import { loadMiddlewares } from './load-middlewares.ts'
import { startLocal } from './local-start.ts'
import type { MeshOptions } from './mesh-hub.ts'
import { nodePlatform } from './node-platform.ts'
import { readBytes } from './read-bytes.ts'
import { REGISTERED } from './registered-code.ts'

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
  /** A name by which other processes of this user find it with `connect({ name })`. @default 'default' when detached, else it is not found */
  readonly name?: string
  /** Lives in a supervised background process of its own and outlives this script; `shutdown()` alone stops it. @default false */
  readonly detached?: boolean
  /** The gateway; false for none. @default { host: '127.0.0.1', port: 8000 } */
  readonly http?: StartHttpOptions | false
  /** Takes peers: on loopback with `true`, on every interface with `'lan'`. Started again on the same `storage` it is the same mesh. @default false */
  readonly mesh?: boolean | 'lan' | MeshOptions
  /**
   * Folder where control state is kept: an acknowledged edit outlives a crash. Inline and `serve.worker` backends do not come back. With `mesh` also its
   * keys and what became of its tickets.
   * @default memory; when detached a folder of its own, erased at shutdown
   */
  readonly storage?: string
  /** What this node offers. @default what the machine has */
  readonly resources?: Resources
  /** @default pino at `info` on stderr */
  readonly logger?: Logger
}

/** {@link HttpOptions} whose middlewares may also be named by `serve.module(url, 'middlewares')`, which alone can travel to a detached instance. */
interface StartHttpOptions extends Omit<HttpOptions, 'middlewares'> {
  readonly middlewares?: HttpOptions['middlewares'] | ModuleTarget
}

const START_OPTIONS = ['name', 'detached', 'http', 'mesh', 'storage', 'resources', 'logger'] as const

/**
 * Starts an instance in this process, which becomes its node and its controller. Rejects with the cause: a port in use with `ERR_HTTP_LISTEN`, an
 * option that is none with `ERR_INVALID_CONFIG`. No signal handlers are installed; a running instance keeps the process alive.
 */
export async function start(options: StartOptions = {}): Promise<Client> {
  checkStartOptions(options)
  if (options.resources !== undefined) resolveResources(options.resources)
  if (options.detached === true) return new Client(await startDetached(toDaemonOptions(options)))
  const log = options.logger ?? defaultLogger()
  const http = options.http === false ? undefined : resolveHttpOptions(await withMiddlewares(options.http ?? {}))
  const platform = nodePlatform(log)
  if (options.name !== undefined && (await hasInstance(options.name))) throw instanceExists(options.name)
  const offered = options.resources === undefined ? platform : { ...platform, resources: options.resources }
  const { name = 'default', mesh, storage } = options
  const instance = await startLocal({ name, http, mesh: isGiven(mesh) ? mesh : undefined, storage }, offered)
  if (options.name !== undefined) await offerSocket(instance, options.name)
  return new Client(instance)
}

async function withMiddlewares({ middlewares, ...http }: StartHttpOptions): Promise<HttpOptions> {
  if (middlewares === undefined) return http
  return { ...http, middlewares: isModuleTarget(middlewares) ? await loadMiddlewares(middlewares) : middlewares }
}

/** What can travel to another process; the rest is refused before that is started. */
function toDaemonOptions({ name = 'default', http: given = {}, mesh, storage, resources, logger }: StartOptions): DaemonOptions {
  requireInstanceName(name)
  if (logger !== undefined) throw cannotTravel('logger', 'its log is a file in the state folder')
  const { middlewares, ...http } = given === false ? {} : given
  if (middlewares !== undefined && !isModuleTarget(middlewares)) {
    throw cannotTravel('http.middlewares', "name them by serve.module(url, 'middlewares')")
  }
  if (given !== false) resolveHttpOptions(http)
  return { name, http: given === false ? false : http, middlewares, storage, resources, mesh: isGiven(mesh) ? mesh : undefined }
}

const cannotTravel = (option: string, hint: string): ServeError =>
  new ServeError('ERR_UNSUPPORTED', `start: option ${option} cannot travel to a detached instance; ${hint}`)

async function offerSocket(instance: LocalInstance | PeerInstance, name: string): Promise<void> {
  try {
    const socket = await openInstanceSocket({ instance, name, shutdown: (timeoutMs) => instance.shutdown(timeoutMs) })
    instance.atEnd(() => socket.close())
  } catch (error) {
    await instance.shutdown(0)
    throw error
  }
}

export interface ConnectOptions {
  /** Name of a running instance of this user on this machine: one that is detached, or was started with a name. @default 'default' */
  readonly name?: string
}

/**
 * Attaches to a running instance: `ERR_NO_INSTANCE` when none of the name runs. Inside a backend and without a name, to that backend's own; there
 * the client has `getHandle` alone. An attached client keeps the process alive only while a call, a request or a watch is open.
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const scope = options.name === undefined ? currentReplica() : undefined
  if (scope !== undefined) return scope.connect() as Client
  return new Client(await attachToInstance(options.name ?? 'default'))
}

export interface JoinOptions {
  /** Roles asked for, of those that the ticket grants. @default all of them */
  readonly roles?: readonly MeshRole[]
  /** What this node offers. @default what the machine has */
  readonly resources?: Resources
  /** Shown in the status. @default the name of the host and the process id */
  readonly name?: string
  /** For `placement.labels` of backends. @default none */
  readonly labels?: Readonly<Record<string, string>>
  /**
   * A gateway on this peer, for which the ticket must grant the role `gateway`; false for none.
   * @default one like the controller's where that has `http.everyNode` and the ticket grants the role, else none
   */
  readonly http?: HttpOptions | false
  /**
   * What runs here: with `'verified'` code that came from the mesh and has the digest that its controllers list, with `'named'` only what `register` gave
   * before. @default 'verified'
   */
  readonly code?: 'verified' | 'named'
  /**
   * Folder where the state of the mesh is kept, for a standby: a peer with the role `controller`, which takes over when the controller is gone. The ticket
   * must grant that role. @default none
   */
  readonly storage?: string
  /** Where other peers may reach this one, and its limits. @default free ports of 127.0.0.1 */
  readonly mesh?: MeshOptions
  /** @default pino at `info` on stderr */
  readonly logger?: Logger
}

const JOIN_OPTIONS = ['roles', 'resources', 'name', 'labels', 'http', 'code', 'storage', 'mesh', 'logger'] as const

/**
 * Joins the instance that issued the ticket; this process becomes one of its peers. Rejects with `ERR_TICKET_INVALID`, `ERR_TICKET_EXPIRED`,
 * `ERR_TICKET_USED`, `ERR_FORBIDDEN` for a role that is not granted, `ERR_NO_CONTROLLER` when the issuer cannot be reached, and `ERR_BACK_PRESSURE` when
 * too many were refused that came from here. `close()` leaves: replicas are handed over first.
 */
export async function join(ticket: string, options: JoinOptions = {}): Promise<Client> {
  checkOptions('join', options, JOIN_OPTIONS)
  if (options.resources !== undefined) resolveResources(options.resources)
  const { code = 'verified', storage } = options
  if (storage !== undefined && (typeof storage !== 'string' || storage === '')) {
    throw new ServeError('ERR_INVALID_CONFIG', `join: option storage must be the path of a folder, got ${typeof storage}`)
  }
  if (code !== 'verified' && code !== 'named') {
    throw new ServeError('ERR_INVALID_CONFIG', `join: option code must be 'verified' or 'named', got ${String(code)}`)
  }
  const log = options.logger ?? defaultLogger()
  const platform = nodePlatform(log)
  const { joinMesh } = await import('./mesh-join.ts')
  const instance = await joinMesh(
    ticket,
    {
      name: options.name ?? `${hostname()}-${process.pid}`,
      roles: options.roles,
      labels: options.labels ?? {},
      mesh: options.mesh ?? {},
      http: options.http,
      storage,
      named: code === 'named' ? await REGISTERED.whole() : undefined,
    },
    options.resources === undefined ? platform : { ...platform, resources: options.resources },
  )
  return new Client(instance)
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

function checkOptions(what: 'start' | 'join', options: object, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null)
    throw new ServeError('ERR_INVALID_ARG_TYPE', `${what}: options must be an object, got ${typeof options}`)
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue
    const near = nearestName(name, names)
    throw new ServeError('ERR_INVALID_CONFIG', `${what}: option ${name} is unknown${near === undefined ? '' : `; did you mean ${near}`}`)
  }
}

const defaultLogger = (): Logger => pino({ name: 'shoal', level: 'info' }, pino.destination({ fd: 2, sync: true })) as Logger

const isGiven = (mesh: StartOptions['mesh']): mesh is true | 'lan' | MeshOptions => mesh !== undefined && mesh !== false

function checkStartOptions(options: StartOptions): void {
  checkOptions('start', options, START_OPTIONS)
  const { detached, storage } = options
  if (detached !== undefined && typeof detached !== 'boolean') {
    throw new ServeError('ERR_INVALID_CONFIG', `start: option detached must be true or false, got ${typeof detached}`)
  }
  if (storage !== undefined && (typeof storage !== 'string' || storage === '')) {
    throw new ServeError('ERR_INVALID_CONFIG', `start: option storage must be the path of a folder, got ${typeof storage}`)
  }
}
