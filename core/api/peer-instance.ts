import { nearestName, ServeError, type Stop, Topic } from '../base/index.ts'
import type { RolloutOptions, RolloutResult, ServeEvent } from '../controller/index.ts'
import { type GatewaySource, type HttpOptions, type ResolvedHttpOptions, resolveHttpOptions } from '../gateway/index.ts'
import { type Member, type MeshPeer, requireRole, type TicketOptions } from '../mesh/index.ts'
import {
  type App,
  type BackendConfig,
  type EndpointOptions,
  type PublicBackendConfig,
  type PublicEndpoint,
  requireName,
} from '../model/index.ts'
import type { CallPort } from '../replica/index.ts'
import { type CallTarget, ServeHandle } from '../router/index.ts'
import type { BackendOptions, BackendTarget } from './client.ts'
import { EventStream } from './event-stream.ts'
import type { Instance } from './instance.ts'
import type { FetchGateway, InstancePlatform, InstanceStatus, OpenGateway } from './local-instance.ts'
import { RemoteInstance } from './remote-instance.ts'

export interface PeerInstanceInit {
  readonly peer: MeshPeer
  readonly platform: InstancePlatform
  /** A gateway on this peer; false for none, undefined for what the controller wants. */
  readonly http: ResolvedHttpOptions | false | undefined
  /** For requests of `client.fetch` when there is no gateway. */
  readonly fetchOptions: ResolvedHttpOptions
}

/**
 * A peer's view of the instance that it has joined. Calls, requests and handles work from the table and the links that are here; edits and questions go to
 * the controller, and fail with `ERR_NO_CONTROLLER` while it is away.
 */
export class PeerInstance implements Instance {
  readonly #peer: MeshPeer
  readonly #init: PeerInstanceInit
  readonly #closers: (() => Promise<void>)[] = []
  #remote: Promise<RemoteInstance> | undefined
  #gateway: OpenGateway | undefined
  #directGateway: Promise<FetchGateway> | undefined
  #ending: Promise<void> | undefined
  /** What everything fails with since the controller has sent this peer away. */
  #expelled: ServeError | undefined
  readonly #events = new Topic<ServeEvent>()
  readonly #streams = new Set<EventStream<ServeEvent>>()
  #following: EventStream<ServeEvent> | undefined

  private constructor(init: PeerInstanceInit) {
    this.#init = init
    this.#peer = init.peer
  }

  /** Joins, and opens the gateway if there is to be one. Rejects as `MeshPeer.join` does; nothing is left then. */
  static async join(init: PeerInstanceInit): Promise<PeerInstance> {
    const instance = new PeerInstance(init)
    try {
      await init.peer.join(
        (controller) => instance.#onController(controller),
        (error) => instance.#onExpelled(error),
      )
      await instance.#openGateway()
      return instance
    } catch (error) {
      await instance.shutdown(0)
      throw error
    }
  }

  get gateway(): OpenGateway | undefined {
    return this.#gateway
  }

  async createBackend(
    tag: string,
    target: BackendTarget,
    options: BackendOptions,
    calledFrom: (...args: never[]) => unknown,
  ): Promise<void> {
    await (await this.#editor('createBackend')).createBackend(tag, target, options, calledFrom)
  }

  async updateBackendConfig(tag: string, partial: BackendConfig): Promise<void> {
    await (await this.#editor('updateBackendConfig')).updateBackendConfig(tag, partial)
  }

  async getBackendConfig(tag: string): Promise<PublicBackendConfig> {
    return (await this.#controller()).getBackendConfig(tag)
  }

  async listBackends(): Promise<Record<string, PublicBackendConfig>> {
    return (await this.#controller()).listBackends()
  }

  async deleteBackend(tag: string): Promise<void> {
    await (await this.#editor('deleteBackend')).deleteBackend(tag)
  }

  async createEndpoint(name: string, options: EndpointOptions): Promise<void> {
    await (await this.#editor('createEndpoint')).createEndpoint(name, options)
  }

  async deleteEndpoint(name: string): Promise<void> {
    await (await this.#editor('deleteEndpoint')).deleteEndpoint(name)
  }

  async listEndpoints(): Promise<Record<string, PublicEndpoint>> {
    return (await this.#controller()).listEndpoints()
  }

  async setTraffic(endpoint: string, weights: Readonly<Record<string, number>>): Promise<void> {
    await (await this.#editor('setTraffic')).setTraffic(endpoint, weights)
  }

  async shadowTraffic(endpoint: string, tag: string, proportion: number): Promise<void> {
    await (await this.#editor('shadowTraffic')).shadowTraffic(endpoint, tag, proportion)
  }

  async rollout(endpoint: string, backend: string, options: RolloutOptions): Promise<RolloutResult> {
    return (await this.#editor('rollout')).rollout(endpoint, backend, options)
  }

  async createTicket(options?: TicketOptions): Promise<string> {
    return (await this.#editor('createTicket')).createTicket(options)
  }

  async revokeTicket(ticket: string): Promise<void> {
    await (await this.#editor('revokeTicket')).revokeTicket(ticket)
  }

  getHandle(endpoint: string, missingOk: boolean): ServeHandle {
    if (this.#expelled !== undefined) throw this.#expelled
    const { endpoints } = this.#peer.table
    if (!missingOk && !endpoints.has(requireName('endpoint name', endpoint))) {
      const near = nearestName(endpoint, endpoints.keys())
      throw new ServeError(
        'ERR_ENDPOINT_NOT_FOUND',
        `there is no endpoint ${endpoint}${near === undefined ? '' : `; did you mean ${near}`}`,
      )
    }
    return new ServeHandle(endpoint, this.#target)
  }

  async fetch(request: Request): Promise<Response> {
    if (this.#expelled !== undefined) throw this.#expelled
    if (this.#gateway !== undefined) return this.#gateway.fetch(request, true)
    this.#directGateway ??= this.#openDirectGateway()
    return (await this.#directGateway)(request, true)
  }

  async status(): Promise<InstanceStatus> {
    return (await this.#controller()).status()
  }

  /** Events of the controller while one is connected; at last, if it comes to that, that this peer was sent away. */
  watch(): EventStream<ServeEvent> {
    const stream: EventStream<ServeEvent> = new EventStream((listener) => {
      const stop = this.#events.on(listener)
      if (this.#expelled !== undefined) listener(this.#toldOfExpulsion(this.#expelled))
      return () => {
        stop()
        this.#streams.delete(stream)
        if (this.#events.size === 0) this.#unfollow()
      }
    })
    this.#streams.add(stream)
    if (this.#expelled !== undefined || this.#ending !== undefined) stream.end()
    else this.#follow()
    return stream
  }

  /** As `watch`, within the turn in which an event comes. */
  onEvent(listener: (event: ServeEvent) => void): Stop {
    const stop = this.#events.on(listener)
    this.#follow()
    return () => {
      stop()
      if (this.#events.size === 0) this.#unfollow()
    }
  }

  /** Tells when the routing table of this peer has changed. */
  onTable(listener: () => void): Stop {
    return this.#peer.onTable(listener)
  }

  /** What a client of this process is served from; edits go to the controller. */
  get controller() {
    const { table } = this.#peer
    return { router: this.#target, table, hasBackend: async (tag: string): Promise<boolean> => tag in (await this.listBackends()) }
  }

  /** Adds what must be closed last, when the peer has left. */
  atEnd(close: () => Promise<void>): void {
    this.#closers.push(close)
  }

  async deploy(app: App, calledFrom: (...args: never[]) => unknown): Promise<void> {
    await (await this.#editor('deploy')).deploy(app, calledFrom)
  }

  /** Leaves: replicas are handed over, what runs is finished. */
  close(): Promise<void> {
    return this.#leave(undefined)
  }

  /** A peer with the right to stops the whole instance; it leaves in any case. */
  async shutdown(timeoutMs?: number): Promise<void> {
    if (timeoutMs !== 0 && this.#ending === undefined) await (await this.#editor('shutdown')).shutdown(timeoutMs)
    await this.#leave(timeoutMs)
  }

  #leave(timeoutMs: number | undefined): Promise<void> {
    this.#ending ??= this.#end(timeoutMs)
    return this.#ending
  }

  async #end(timeoutMs: number | undefined): Promise<void> {
    for (const stream of [...this.#streams]) stream.end()
    await this.#gateway?.close(timeoutMs === undefined ? {} : { drainMs: timeoutMs })
    await this.#peer.close(timeoutMs)
    for (const close of this.#closers) await close()
  }

  /** Calls of a peer that was sent away go nowhere. */
  readonly #target: CallTarget = {
    dispatch: (call) => {
      if (this.#expelled === undefined) this.#peer.target.dispatch(call)
      else call.sink.fail(this.#expelled)
    },
  }

  #onExpelled(error: ServeError): void {
    this.#expelled = error
    this.#remote = Promise.reject(error)
    this.#remote.catch(() => undefined)
    this.#events.emit(this.#toldOfExpulsion(error))
    for (const stream of [...this.#streams]) stream.end()
  }

  #toldOfExpulsion({ code, message }: ServeError): ServeEvent {
    const { peerId, name } = this.#peer
    return { kind: 'peer', peerId, name, state: 'expelled', code, reason: message }
  }

  /** Passes on what the controller tells, while it is there and somebody listens. */
  #follow(): void {
    void this.#remote
      ?.then(async (remote) => {
        if (this.#events.size === 0 || this.#following !== undefined) return
        const stream = remote.watch()
        this.#following = stream
        for await (const event of stream) this.#events.emit(event)
      })
      .catch(() => undefined)
  }

  #unfollow(): void {
    this.#following?.end()
    this.#following = undefined
  }

  /** The controller, for edits; one that this peer may not make is not asked for, since asking counts against it. `ERR_FORBIDDEN`. */
  async #editor(what: string): Promise<RemoteInstance> {
    const controller = await this.#controller()
    requireRole(this.#peer, 'controller', what)
    return controller
  }

  #controller(): Promise<RemoteInstance> {
    return (
      this.#remote ??
      Promise.reject(new ServeError('ERR_NO_CONTROLLER', 'the controller is out of reach; calls go on, edits wait until it is back'))
    )
  }

  #onController(controller: Member | undefined): void {
    this.#remote = undefined
    this.#unfollow()
    if (controller === undefined) return
    const control = this.#peer.openInstancePort()
    const whenGone = new Promise<string>((resolve) => control.onClosed(resolve))
    const link = { calls: NO_CALLS, control, whenGone, hold() {}, close: () => control.close() }
    const remote = RemoteInstance.attach(link, { ...this.#init.platform, whenEnded: async () => {} })
    this.#remote = remote
    // Whoever asks hears of it; nobody may.
    remote.catch(() => undefined)
    if (this.#events.size > 0) this.#follow()
  }

  async #openGateway(): Promise<void> {
    const { http, platform } = this.#init
    if (http === undefined) return this.#openWantedGateway()
    if (http === false) return
    if (platform.openGateway === undefined) throw new ServeError('ERR_UNSUPPORTED', 'http: no socket can be opened here; use client.fetch')
    this.#useGateway(await platform.openGateway(await this.#openSource(), http, platform.random, platform.log))
  }

  /** One like the controller's, on another port where that one is taken. Nobody here has asked for it, so it fails nothing. */
  async #openWantedGateway(): Promise<void> {
    const { openGateway, random, log } = this.#init.platform
    const wanted = this.#peer.gatewayWanted
    if (wanted === undefined || openGateway === undefined) return
    try {
      const options = resolveHttpOptions(wanted as HttpOptions)
      const open = async (port: number): Promise<OpenGateway> => openGateway(await this.#openSource(), { ...options, port }, random, log)
      this.#useGateway(await open(options.port).catch((error: unknown) => (options.port === 0 ? Promise.reject(error) : open(0))))
    } catch (error) {
      log.warn({ reason: String(error) }, 'gateway.failed')
    }
  }

  #useGateway(gateway: OpenGateway): void {
    this.#gateway = gateway
    this.#peer.noteGateway(gateway.url)
  }

  async #openDirectGateway(): Promise<FetchGateway> {
    const { openDirectGateway } = await import('./gateway-source.ts')
    return openDirectGateway(await this.#openSource(), this.#init.fetchOptions, this.#init.platform)
  }

  async #openSource(): Promise<GatewaySource> {
    const { gatewaySourceOf } = await import('./gateway-source.ts')
    const peer = this.#peer
    return gatewaySourceOf({
      // What the controller alone knows is asked of it, by `status`.
      controller: {
        get table() {
          return peer.table
        },
        get router() {
          return peer.target
        },
        queues: peer.queues,
        backendStatus: {},
        endpointStatus: {},
      },
      status: () => this.status(),
      isReady: () => peer.table.version > 0,
      gateway: () => this.#gateway,
      mesh: peer,
    })
  }
}

/** Calls take the links between peers. */
const NO_CALLS: CallPort = Object.freeze({ post() {}, listen() {}, close() {} })
