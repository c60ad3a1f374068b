import { ServeError } from '../base/index.ts'
import type { RolloutOptions, RolloutResult, ServeEvent } from '../controller/index.ts'
import type { TicketOptions } from '../mesh/index.ts'
import type { App, BackendConfig, EndpointOptions, PublicBackendConfig, PublicEndpoint, ReplicaOptions } from '../model/index.ts'
import type { Handle } from './handle.ts'
import type { Instance } from './instance.ts'
import type { InstanceStatus } from './local-instance.ts'
import type { ModuleTarget, WorkerTarget } from './targets.ts'

// biome-ignore lint/suspicious/noExplicitAny: a backend may be any function or class
export type BackendTarget = ((request: any) => unknown) | (new (...args: any[]) => object) | ModuleTarget | WorkerTarget

export interface BackendOptions {
  /** For the constructor of a class: anything that can travel, handles and assets included. @default [] */
  readonly initArgs?: readonly unknown[]
  readonly config?: BackendConfig
  readonly replicaOptions?: ReplicaOptions
  /** What to do when the tag is in use: fail with `ERR_BACKEND_EXISTS`, keep what is there, or put this in its place. @default 'fail' */
  readonly ifExists?: 'fail' | 'keep' | 'replace'
}

export interface CloseOptions {
  /** Longest drain of each backend in milliseconds. @default each backend's gracefulShutdownTimeoutMs */
  readonly timeoutMs?: number
}

/**
 * What a program holds of an instance. Edits resolve when they are in force here and at every peer. After `close` or `shutdown` every method fails
 * with `ERR_CLIENT_CLOSED`. A client cannot travel: inside a backend call `connect()`, or pass a handle in `initArgs`.
 */
export class Client {
  /** The open gateway, or undefined without one. */
  readonly http: { readonly url: string; readonly port: number } | undefined
  /** Stops the instance: no new calls, drains, ends the replicas. Idempotent. An own function, so that no client can be cloned by accident. */
  readonly shutdown: (options?: CloseOptions) => Promise<void>
  readonly #instance: Instance
  #ending: Promise<void> | undefined

  constructor(instance: Instance) {
    this.#instance = instance
    this.http = instance.gateway === undefined ? undefined : Object.freeze({ url: instance.gateway.url, port: instance.gateway.port })
    this.shutdown = (options = {}) => {
      this.#ending ??= this.#instance.shutdown(options.timeoutMs)
      return this.#ending
    }
  }

  /** Lets go: an own instance stops, drained first; an attached one goes on without this client. Idempotent. */
  close(): Promise<void> {
    this.#ending ??= this.#instance.close()
    return this.#ending
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /**
   * Puts code behind a tag; resolves when all its replicas are ready. Rejects with `ERR_BACKEND_EXISTS`, `ERR_BACKEND_NOT_PORTABLE`,
   * `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_INVALID_CONFIG`, `ERR_NOT_SERIALIZABLE` or `ERR_BACKEND_START_FAILED`; nothing is left then.
   */
  createBackend(tag: string, target: BackendTarget, options: BackendOptions = {}): Promise<void> {
    return this.#open().createBackend(tag, target, options, this.createBackend)
  }

  /** Changes the given fields only, without restarting a replica. */
  async updateBackendConfig(tag: string, partial: BackendConfig): Promise<void> {
    await this.#open().updateBackendConfig(tag, partial)
  }

  async getBackendConfig(tag: string): Promise<PublicBackendConfig> {
    return this.#open().getBackendConfig(tag)
  }

  async listBackends(): Promise<Record<string, PublicBackendConfig>> {
    return this.#open().listBackends()
  }

  /** Unknown: nothing happens. `ERR_BACKEND_IN_USE`, naming the endpoints, while traffic or a shadow names it. */
  async deleteBackend(tag: string): Promise<void> {
    await this.#open().deleteBackend(tag)
  }

  /** `ERR_ENDPOINT_EXISTS`, `ERR_ROUTE_EXISTS`, `ERR_INVALID_ROUTE`, `ERR_BACKEND_NOT_FOUND`, `ERR_INVALID_ARG_TYPE`. */
  async createEndpoint(name: string, options: EndpointOptions): Promise<void> {
    await this.#open().createEndpoint(name, options)
  }

  /** Unknown: nothing happens. HTTP answers 404 at once; calls that wait fail with `ERR_ENDPOINT_NOT_FOUND`. */
  async deleteEndpoint(name: string): Promise<void> {
    await this.#open().deleteEndpoint(name)
  }

  async listEndpoints(): Promise<Record<string, PublicEndpoint>> {
    return this.#open().listEndpoints()
  }

  /** Replaces the weights, which sum to 1 (`ERR_INVALID_TRAFFIC`). Shadows stay. */
  async setTraffic(endpoint: string, weights: Readonly<Record<string, number>>): Promise<void> {
    await this.#open().setTraffic(endpoint, weights)
  }

  /** Sends copies of a share of the requests to a backend; answers are dropped. 0 removes it. @param proportion 0..1 */
  async shadowTraffic(endpoint: string, tag: string, proportion: number): Promise<void> {
    await this.#open().shadowTraffic(endpoint, tag, proportion)
  }

  /** Throws `ERR_ENDPOINT_NOT_FOUND` for an unknown name, unless `missingOk`. With `typeof` the backend as type argument its calls are typed. */
  getHandle<T = unknown>(endpoint: string, options: { readonly missingOk?: boolean } = {}): Handle<T> {
    return this.#open().getHandle(endpoint, options.missingOk === true) as unknown as Handle<T>
  }

  /** Answers a Fetch request as the gateway would, without a socket. */
  async fetch(request: Request | string | URL, init?: RequestInit): Promise<Response> {
    return this.#open().fetch(request instanceof Request && init === undefined ? request : new Request(request as Request, init))
  }

  /** What runs: nodes, endpoints, backends; the same as `/-/status`. */
  async status(): Promise<InstanceStatus> {
    return this.#open().status()
  }

  /** Events from now on, until the loop is left or the client closes. A slow reader loses the oldest beyond 1,000. */
  watch(): AsyncIterableIterator<ServeEvent> {
    return this.#open().watch()
  }

  /** Makes the instance as the app says. */
  async deploy(app: App): Promise<void> {
    await this.#open().deploy(app, this.deploy)
  }

  /**
   * A canary that rolls itself back: raises the share of a backend of an endpoint step by step; when it breaks the guard, the old weights are put
   * back. Resolves at the end with what became of it. `ERR_INVALID_CONFIG`, `ERR_ENDPOINT_NOT_FOUND`, `ERR_BACKEND_NOT_FOUND`.
   */
  async rollout(endpoint: string, backend: string, options: RolloutOptions = {}): Promise<RolloutResult> {
    return this.#open().rollout(endpoint, backend, options)
  }

  /**
   * A text with which others join: addresses, the key of the mesh and the grant, signed. `ERR_UNSUPPORTED` when the instance takes no peers,
   * `ERR_INVALID_CONFIG`.
   */
  async createTicket(options?: TicketOptions): Promise<string> {
    return this.#open().createTicket(options)
  }

  /** Takes a ticket back: nobody joins with it any more, and who has leaves at once. */
  async revokeTicket(ticket: string): Promise<void> {
    await this.#open().revokeTicket(ticket)
  }

  toJSON(): never {
    throw new ServeError(
      'ERR_CLIENT_NOT_SERIALIZABLE',
      'a client cannot be serialised: call connect() where you need one, or pass a handle in initArgs',
    )
  }

  #open(): Instance {
    if (this.#ending !== undefined) throw new ServeError('ERR_CLIENT_CLOSED', 'the client is closed; start() or connect() gives a new one')
    return this.#instance
  }
}
Object.defineProperty(Client.prototype, Symbol.for('shoal.Client'), { value: true })
