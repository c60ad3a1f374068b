import { type Clock, didYouMean, type Logger, type Random, randomName, ServeError, type Stop, Topic, type Turns } from '../base/index.ts'
import {
  type BackendSpec,
  type BackendStatus,
  Controller,
  type EditConflict,
  type EndpointStatus,
  type Ledger,
  ResourceLedger,
  type RolloutOptions,
  type RolloutResult,
  type ServeEvent,
  type StateStore,
} from '../controller/index.ts'
import type { Gateway, GatewaySource, HttpMiddleware, ResolvedHttpOptions } from '../gateway/index.ts'
import type { GateCounts, MeshCounts, TicketOptions, TravellingParts } from '../mesh/index.ts'
import {
  type App,
  type BackendConfig,
  type EndpointOptions,
  type PublicBackendConfig,
  type PublicEndpoint,
  type Resources,
  requireName,
  resolveBackendConfig,
  resolveReplicaOptions,
  resolveResources,
} from '../model/index.ts'
import type { ReplicaCode, ReplicaHost } from '../replica/index.ts'
import { JSON_LIMITS } from '../request/index.ts'
import { ServeHandle } from '../router/index.ts'
import type { BackendOptions, BackendTarget } from './client.ts'
import { EventStream } from './event-stream.ts'
import type { Instance } from './instance.ts'
import { isCodeTarget, isModuleTarget, isWorkerTarget, requireCallable } from './targets.ts'

/** What a platform brings to an instance. */
export interface InstancePlatform {
  readonly runtime: 'node' | 'browser'
  readonly clock: Clock
  readonly turns: Turns
  readonly random: Random
  readonly log: Logger
  /** By isolation; `inline` is added by the instance. */
  readonly hosts: ReadonlyMap<string, ReplicaHost>
  readonly resources: Resources
  readBytes(url: string): Promise<Uint8Array>
  /** The file that called a public function, as the stack tells before the first wait. */
  callerOf(calledFrom: (...args: never[]) => unknown): string | undefined
  /** Makes a function or class portable. `caller` is the deploying file. */
  toPortableCode(tag: string, target: BackendTarget, caller: string | undefined): Promise<ReplicaCode>
  /** Loads a module beside its callers, for inline replicas. */
  loadModule(url: string, exportName: string): Promise<unknown>
  /** Opens a socket; without it there is none to open. */
  openGateway?(source: GatewaySource, options: ResolvedHttpOptions, random: Random, log: Logger): Promise<OpenGateway>
  /** Puts middlewares in front of a gateway that has no socket. */
  mountMiddlewares?(middlewares: readonly HttpMiddleware[], gateway: Gateway): Promise<FetchGateway>
}

/** Answers a Fetch request; `isLocal` opens what is kept for callers on this machine. */
export type FetchGateway = (request: Request, isLocal: boolean) => Promise<Response>

/** A gateway that listens. */
export interface OpenGateway {
  readonly url: string
  readonly port: number
  /** Counts its answers; for metrics. */
  readonly gateway?: { answersByStatus(): ReadonlyMap<number, number> }
  fetch(request: Request, isLocal?: boolean): Promise<Response>
  close(options?: { readonly drainMs?: number }): Promise<void>
}

export interface InstanceOptions {
  readonly name: string
  /** Undefined: no gateway. */
  readonly http: ResolvedHttpOptions | undefined
  /** For requests of `client.fetch` when there is no gateway; a function is asked with the first of them, and means the defaults for JSON. */
  readonly fetchOptions: ResolvedHttpOptions | (() => Promise<ResolvedHttpOptions>)
  /** Keeps control state; what is in it comes back at the start. The instance closes it. @default none */
  readonly store?: StateStore | undefined
  /** Takes peers. @default none */
  readonly mesh?: InstanceMesh | undefined
  /** Runs before what the store holds is started: lets peers in that may run it already. */
  readonly onOpen?: ((instance: LocalInstance) => Promise<void>) | undefined
}

/** The mesh under an instance: it places replicas on peers and tells them of what changes here. */
export interface InstanceMesh {
  readonly ledger: Ledger
  /** Id of this node. */
  readonly peerId: string
  /** Peers that are connected, by id; and this node, once it has a gateway. */
  readonly peers: Readonly<Record<string, NodeStatus>>
  /** What there is to tell beside. */
  readonly told: Pick<InstanceStatus, 'conflicts'>
  /** Who was not let in. */
  readonly gateCounts: GateCounts
  /** What this node does for its mesh. */
  readonly counts: MeshCounts
  hostsOver(local: ReadonlyMap<string, ReplicaHost>): ReadonlyMap<string, ReplicaHost>
  /** What of a backend travels, in the form in which peers can start it. Rejects with what cannot travel. */
  prepare(tag: string, parts: TravellingParts): Promise<TravellingParts>
  whenInForce(): Promise<void>
  noteChange(): void
  /** Calls for a backend that began at peers and are not done. */
  loadElsewhere(tag: string): number
  createTicket(options?: TicketOptions): Promise<string>
  revokeTicket(ticket: string): Promise<void>
}

/** What `client.status()` and `/-/status` give. */
export interface InstanceStatus {
  readonly nodes: Readonly<Record<string, NodeStatus>>
  readonly endpoints: Readonly<Record<string, EndpointStatus>>
  readonly backends: Readonly<Record<string, BackendStatus>>
  /** Edits of one key that controllers made apart from each other: which stands, and which was lost. Missing: none. The latest 100. */
  readonly conflicts?: readonly EditConflict[]
}

export interface NodeStatus {
  readonly name: string
  readonly runtime: 'node' | 'browser'
  readonly roles: readonly string[]
  readonly rttMs: number
  readonly resources: Resources
  /** Replicas on a node of a mesh: ready, starting or draining. The node of a controller without a gateway has no such number: there is what is nowhere else. */
  readonly replicas?: number
  /** URL of its gateway, where a node of a mesh has one. */
  readonly http?: string
}

/** A whole instance in this process: controller, router, hosts and, where asked for, a gateway. */
export class LocalInstance implements Instance {
  readonly controller: Controller
  readonly #platform: InstancePlatform
  readonly #options: InstanceOptions
  readonly #events = new Topic<ServeEvent>()
  readonly #streams = new Set<EventStream<ServeEvent>>()
  readonly #isolations: readonly string[]
  readonly #nodeId: string
  readonly #closers: (() => Promise<void>)[] = []
  #gateway: OpenGateway | undefined
  #ending: Promise<void> | undefined
  #isRestored = false
  #directGateway: Promise<FetchGateway> | undefined

  private constructor(options: InstanceOptions, platform: InstancePlatform) {
    this.#options = options
    this.#platform = platform
    const { clock, turns, random, log } = platform
    const { mesh } = options
    this.#nodeId = mesh?.peerId ?? `${platform.runtime}-${randomName(random, 8)}`
    const hosts = new Map<string, ReplicaHost>([...(mesh?.hostsOver(platform.hosts) ?? platform.hosts), ['inline', this.#inlineHost()]])
    this.#isolations = [...hosts.keys()]
    const http = options.http ?? options.fetchOptions
    this.controller = new Controller({
      hosts,
      ledger: mesh?.ledger ?? new ResourceLedger(resolveResources(platform.resources)),
      jsonLimits: typeof http === 'function' ? JSON_LIMITS : { maxDepth: http.jsonMaxDepth, maxValues: http.jsonMaxValues },
      clock,
      turns,
      random,
      log,
      onEvent: (event) => this.emit(event),
      whenInForce: mesh === undefined ? undefined : () => mesh.whenInForce(),
      loadElsewhere: mesh === undefined ? undefined : (tag) => mesh.loadElsewhere(tag),
      store: options.store,
    })
  }

  /** Opens the gateway first, so that a port in use is known before anything else starts (`ERR_HTTP_LISTEN`). */
  static async start(options: InstanceOptions, platform: InstancePlatform): Promise<LocalInstance> {
    const instance = new LocalInstance(options, platform)
    if (options.http !== undefined) {
      if (platform.openGateway === undefined)
        throw new ServeError('ERR_UNSUPPORTED', 'http: no socket can be opened here; use client.fetch')
      instance.#gateway = await platform.openGateway(await instance.#openSource(), options.http, platform.random, platform.log)
    }
    try {
      await options.onOpen?.(instance)
      await instance.controller.restore()
    } catch (error) {
      await instance.shutdown(0)
      throw error
    }
    instance.#isRestored = true
    return instance
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
    requireName('backend tag', tag)
    const { ifExists = 'fail' } = options
    if (!['fail', 'keep', 'replace'].includes(ifExists)) {
      throw new ServeError('ERR_INVALID_ARG_VALUE', `backend ${tag}: ifExists must be 'fail', 'keep' or 'replace', got ${String(ifExists)}`)
    }
    if (ifExists === 'keep' && this.controller.hasBackend(tag)) return
    const spec = await this.#toSpec(tag, target, options, this.#platform.callerOf(calledFrom))
    if (ifExists === 'replace' && this.controller.hasBackend(tag)) await this.controller.replaceBackend(spec)
    else await this.controller.createBackend(spec)
  }

  updateBackendConfig(tag: string, partial: BackendConfig): Promise<void> {
    return this.controller.updateBackendConfig(tag, partial)
  }

  async getBackendConfig(tag: string): Promise<PublicBackendConfig> {
    return this.controller.getBackendConfig(tag)
  }

  async listBackends(): Promise<Record<string, PublicBackendConfig>> {
    return this.controller.listBackends()
  }

  deleteBackend(tag: string): Promise<void> {
    return this.controller.deleteBackend(tag)
  }

  createEndpoint(name: string, options: EndpointOptions): Promise<void> {
    return this.controller.createEndpoint(name, options)
  }

  deleteEndpoint(name: string): Promise<void> {
    return this.controller.deleteEndpoint(name)
  }

  async listEndpoints(): Promise<Record<string, PublicEndpoint>> {
    return this.controller.listEndpoints()
  }

  setTraffic(endpoint: string, weights: Readonly<Record<string, number>>): Promise<void> {
    return this.controller.setTraffic(endpoint, weights)
  }

  shadowTraffic(endpoint: string, tag: string, proportion: number): Promise<void> {
    return this.controller.shadowTraffic(endpoint, tag, proportion)
  }

  rollout(endpoint: string, backend: string, options: RolloutOptions): Promise<RolloutResult> {
    return this.controller.rollout(endpoint, backend, options)
  }

  getHandle(endpoint: string, missingOk: boolean): ServeHandle {
    const { endpoints } = this.controller.table
    if (!missingOk && !endpoints.has(requireName('endpoint name', endpoint))) {
      throw new ServeError('ERR_ENDPOINT_NOT_FOUND', `there is no endpoint ${endpoint}${didYouMean(endpoint, endpoints.keys())}`)
    }
    return new ServeHandle(endpoint, this.controller.router)
  }

  async fetch(request: Request): Promise<Response> {
    if (this.#gateway !== undefined) return this.#gateway.fetch(request, true)
    this.#directGateway ??= this.#openDirectGateway()
    return (await this.#directGateway)(request, true)
  }

  async #openDirectGateway(): Promise<FetchGateway> {
    const { openDirectGateway } = await import('./gateway-source.ts')
    return openDirectGateway(await this.#openSource(), this.#options.fetchOptions, this.#platform)
  }

  async #openSource(): Promise<GatewaySource> {
    const { gatewaySourceOf } = await import('./gateway-source.ts')
    return gatewaySourceOf({
      controller: this.controller,
      status: () => this.status(),
      isReady: () => this.#isRestored,
      gateway: () => this.#gateway,
      mesh: this.#options.mesh,
    })
  }

  /** Its runtime is needed by none of the others here, so it comes with the first replica that does. */
  #inlineHost(): ReplicaHost {
    let host: Promise<ReplicaHost> | undefined
    const open = async (): Promise<ReplicaHost> => {
      const { openInlineHost } = await import('./inline-host.ts')
      return openInlineHost(this.#platform, () => ({ getHandle: (endpoint: string) => this.getHandle(endpoint, true) }))
    }
    return {
      name: 'inline',
      async start(spec, signal) {
        host ??= open()
        return (await host).start(spec, signal)
      },
    }
  }

  async status(): Promise<InstanceStatus> {
    const { runtime, resources } = this.#platform
    const roles = ['controller', 'replica', 'caller', ...(this.#gateway === undefined ? [] : ['gateway'])]
    return {
      nodes: { [this.#nodeId]: { name: this.#options.name, runtime, roles, rttMs: 0, resources }, ...this.#options.mesh?.peers },
      endpoints: this.controller.endpointStatus,
      backends: this.controller.backendStatus,
      ...this.#options.mesh?.told,
    }
  }

  watch(): EventStream<ServeEvent> {
    const stream: EventStream<ServeEvent> = new EventStream((listener) => {
      const stop = this.#events.on(listener)
      return () => {
        stop()
        this.#streams.delete(stream)
      }
    })
    this.#streams.add(stream)
    return stream
  }

  async createTicket(options?: TicketOptions): Promise<string> {
    return this.#meshOf('createTicket').createTicket(options)
  }

  async revokeTicket(ticket: string): Promise<void> {
    await this.#meshOf('revokeTicket').revokeTicket(ticket)
  }

  #meshOf(what: string): InstanceMesh {
    const { mesh } = this.#options
    if (mesh !== undefined) return mesh
    throw new ServeError('ERR_UNSUPPORTED', `${what}: the instance takes no peers; start it with mesh: true`)
  }

  /** Tells those who watch, and the peers when it changes what they should know. */
  emit(event: ServeEvent): void {
    this.#options.mesh?.noteChange()
    this.#events.emit(event)
  }

  /** Tells of every event, within the turn in which it happens. */
  onEvent(listener: (event: ServeEvent) => void): Stop {
    return this.#events.on(listener)
  }

  async deploy(app: App, calledFrom: (...args: never[]) => unknown): Promise<void> {
    const caller = this.#platform.callerOf(calledFrom)
    const { toAppSpec } = await import('./deploy-app.ts')
    const spec = await toAppSpec(app, (tag, backend) => this.#toSpec(tag, backend.target as BackendTarget, backend, caller))
    await this.controller.deploy(spec)
  }

  async #toSpec(tag: string, target: BackendTarget, options: BackendOptions, caller: string | undefined): Promise<BackendSpec> {
    const { initArgs = [] } = options
    if (!Array.isArray(initArgs))
      throw new ServeError('ERR_INVALID_ARG_TYPE', `backend ${tag}: initArgs must be an array, got ${typeof initArgs}`)
    const replicaOptions = resolveReplicaOptions(options.replicaOptions ?? {}, this.#isolations)
    if (replicaOptions.shared && (this.#platform.runtime !== 'browser' || replicaOptions.isolation !== 'thread')) {
      throw new ServeError('ERR_UNSUPPORTED', `backend ${tag}: shared replicas are for the tabs of a page, with isolation 'thread'`)
    }
    const config = resolveBackendConfig(options.config ?? {})
    const code = await this.#toCode(tag, target, replicaOptions.isolation, initArgs, caller)
    const encoded = initArgs.length === 0 ? initArgs : (await import('./init-args.ts')).encodeInitArgs(tag, initArgs)
    const { mesh } = this.#options
    const mayTravel = (code.kind === 'module' || code.kind === 'source') && replicaOptions.isolation !== 'inline'
    if (mesh === undefined || !mayTravel) return { tag, code, initArgs: encoded, config, replicaOptions }
    return { tag, ...(await mesh.prepare(tag, { code, initArgs: encoded })), config, replicaOptions }
  }

  /** The instance lives in this process: to let go of it is to stop it. */
  close(): Promise<void> {
    return this.shutdown()
  }

  /** No new requests, then drains, then ends. Calling it again waits for the same end. */
  shutdown(timeoutMs?: number): Promise<void> {
    this.#ending ??= this.#end(timeoutMs)
    return this.#ending
  }

  /** Adds what must be closed last, when everything has drained. */
  atEnd(close: () => Promise<void>): void {
    this.#closers.push(close)
  }

  async #end(timeoutMs: number | undefined): Promise<void> {
    await this.#gateway?.close(timeoutMs === undefined ? {} : { drainMs: timeoutMs })
    await this.controller.close(timeoutMs)
    for (const stream of [...this.#streams]) stream.end()
    for (const close of this.#closers) await close()
  }

  async #toCode(
    tag: string,
    target: BackendTarget,
    isolation: string,
    initArgs: readonly unknown[],
    caller: string | undefined,
  ): Promise<ReplicaCode> {
    if (isCodeTarget(target)) return target.code
    if (isModuleTarget(target)) return { kind: 'module', url: target.url, exportName: target.exportName }
    if (isWorkerTarget(target)) {
      if (isolation !== 'thread') {
        throw new ServeError('ERR_INVALID_ARG_VALUE', `backend ${tag}: serve.worker() needs isolation 'thread', not '${isolation}'`)
      }
      return { kind: 'worker', factory: target.factory }
    }
    requireCallable(tag, target, initArgs)
    if (isolation === 'inline') return { kind: 'inline', value: target }
    return this.#platform.toPortableCode(tag, target, caller)
  }
}
