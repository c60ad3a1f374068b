/** Shoal in a page: `import * as serve from 'shoal'`. Pages come with a later version; the names are here so that one program fits both. */
import { assetOf, type Client, type WaitOptions, waitFor } from '../core/api/index.ts'
import { ServeError } from '../core/base/index.ts'
import type { Asset, ReplicaClient } from '../core/replica/index.ts'
import { realClock } from './clock.ts'

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

/** Options of {@link start}; as on Node, once there is something to start. */
export type StartOptions = object

/** Rejects with `ERR_UNSUPPORTED`: an instance needs Node for now. */
export async function start(_options: StartOptions = {}): Promise<Client> {
  throw unsupported('start')
}

/** Rejects with `ERR_UNSUPPORTED`, as {@link start}. */
export async function connect(_options: { readonly name?: string } = {}): Promise<ReplicaClient> {
  throw unsupported('connect')
}

/** Rejects with `ERR_UNSUPPORTED`, as {@link start}. */
export async function join(_ticket: string, _options: object = {}): Promise<never> {
  throw unsupported('join')
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

async function readBytes(url: string): Promise<Uint8Array> {
  const response = await fetch(url)
  if (!response.ok) throw new ServeError('ERR_INVALID_ARG_VALUE', `asset ${url}: answered with status ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}

function unsupported(name: string): ServeError {
  return new ServeError('ERR_UNSUPPORTED', `${name}() does not work in a page yet: run it on Node and call its gateway by fetch()`)
}
