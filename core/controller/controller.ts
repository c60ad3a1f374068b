import { didYouMean, type ErrorCode, type Logger, ServeError } from '../base/index.ts'
import {
  type BackendEntry,
  type EndpointEntry,
  namesBackend,
  type PublicBackendConfig,
  type PublicEndpoint,
  policyOf,
  publicEndpoint,
  type ResolvedBackendConfig,
  type RoutingTable,
  requireBackend,
  requireName,
  resolveBackendConfig,
  resolveEndpointOptions,
  type TrafficPolicy,
  toPublicConfig,
} from '../model/index.ts'
import { type BackendQueue, Router } from '../router/index.ts'
import type { AppSpec } from './app-plan.ts'
import {
  type BackendSpec,
  type BackendStatus,
  BackendSupervisor,
  type ReplicaEvent,
  type ScaleEvent,
  type SupervisorSeams,
} from './backend-supervisor.ts'
import type { StateEdit, StateStore } from './state-store.ts'

/** An edit of what is kept, made by the code that only a controller with a store loads. */
type Keep = (state: typeof import('./stored-state.ts')) => StateEdit

import type { RolloutOptions, RolloutResult } from './rollout.ts'

/** What a controller needs from its instance; the rest of the supervisors' seams it brings itself. */
export type ControllerSeams = Omit<SupervisorSeams, 'router' | 'onChange'> & {
  readonly log: Logger
  readonly onEvent: (event: ServeEvent) => void
  /** Resolves when the table that routers hold here is in force at every peer as well. @default at once */
  readonly whenInForce?: (() => Promise<void>) | undefined
  /** Where edits are kept before they are acknowledged; without it they last as long as the controller. */
  readonly store?: StateStore | undefined
}

/** When and by which controller an edit was made. */
export interface EditVersion {
  readonly term: number
  readonly controllerId: string
  readonly sequence: number
}

/** Two controllers that could not see each other have edited one key of the state; the greater version stands. */
export interface EditConflict {
  /** Such as `backend/name` or `endpoint/name`. */
  readonly key: string
  readonly kept: EditVersion
  readonly lost: EditVersion
}

/** What `client.watch()` gives. */
export type ServeEvent =
  | { readonly kind: 'replica'; readonly backend: string; readonly replicaId: string; readonly state: string; readonly reason?: string }
  | { readonly kind: 'scale'; readonly backend: string; readonly from: number; readonly to: number }
  | {
      readonly kind: 'peer'
      readonly peerId: string
      readonly name: string
      /** `expelled` a peer hears of itself alone: the controller takes it back no more. */
      readonly state: 'joined' | 'left' | 'lost' | 'expelled'
      readonly reason?: string
      /** Of an expulsion. */
      readonly code?: ErrorCode
    }
  | {
      /** Code or an asset that was not what it was listed as: a peer refused it. */
      readonly kind: 'bundle'
      readonly state: 'refused'
      /** Who refused it. */
      readonly peerId: string
      readonly name: string
      /** The digest under which it is listed. */
      readonly digest: string
      /** Id of the peer that gave it; '' for code that came as source with the order to start it. */
      readonly from: string
      readonly reason: string
    }
  | ({ readonly kind: 'conflict' } & EditConflict)
  | ({ readonly kind: 'rollout'; readonly endpoint: string; readonly backend: string } & RolloutResult)
  | { readonly kind: 'edit'; readonly what: 'backend' | 'endpoint' | 'traffic'; readonly name: string; readonly version: number }

/** What `status` shows of an endpoint. */
export interface EndpointStatus extends PublicEndpoint {
  readonly received: number
  readonly yielded: number
  readonly shadowed: number
  readonly shadowsDropped: number
  readonly shadowsFailed: number
}

/**
 * Owns the desired state of an instance and makes it so. Edits are done one after the other, each validated whole before anything changes; the router
 * gets a new table when an edit is in force.
 */
export class Controller {
  readonly router: Router
  readonly #seams: ControllerSeams
  readonly #supervisors = new Map<string, BackendSupervisor>()
  /** Backends whose first replicas are on their way; their tags are taken. */
  readonly #starting = new Map<string, BackendSupervisor>()
  /** Deleted backends that drain. */
  readonly #leaving = new Set<BackendSupervisor>()
  readonly #queues = new Map<string, BackendQueue>()
  readonly #endpoints = new Map<string, EndpointEntry>()
  /** What deployments brought; the rest was made by hand and is left alone by them. */
  readonly #ownedBackends = new Set<string>()
  readonly #ownedEndpoints = new Set<string>()
  readonly #abort = new AbortController()
  #version = 0
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(seams: ControllerSeams) {
    this.#seams = seams
    this.router = new Router(this.#queues, seams.random)
  }

  /** The table that routers hold at this moment. */
  get table(): RoutingTable {
    return this.router.table
  }

  /** `ERR_BACKEND_EXISTS`, or what kept a replica from starting; nothing is left behind then. A slow start holds up no other edit. */
  async createBackend(spec: BackendSpec): Promise<void> {
    const { tag } = spec
    const supervisor = await this.#edit(async () => {
      if (this.#supervisors.has(tag) || this.#starting.has(tag)) {
        throw new ServeError('ERR_BACKEND_EXISTS', `backend ${tag} exists; delete it first, or pass ifExists: 'keep' or 'replace'`)
      }
      const made = this.#supervise(spec)
      this.#starting.set(tag, made)
      return made
    })
    try {
      await supervisor.start()
      await this.#edit(async () => {
        await this.#save((state) => state.keepBackend(spec))
        this.#supervisors.set(tag, supervisor)
        this.#queues.set(tag, supervisor.queue)
        this.#publish('backend', tag)
      })
    } catch (error) {
      await supervisor.stop(0)
      throw error
    } finally {
      this.#starting.delete(tag)
    }
  }

  /** Puts new code, arguments and config under a tag: new replicas are ready before old ones drain. When they do not start, the old stay. */
  replaceBackend(spec: BackendSpec): Promise<void> {
    return this.#edit(async () => {
      const supervisor = this.#supervisorOf(spec.tag)
      const before = supervisor.spec
      await supervisor.replace(spec)
      await this.#saveOr(() => supervisor.replace(before), spec)
      this.#publish('backend', spec.tag)
    })
  }

  hasBackend(tag: string): boolean {
    return this.#supervisors.has(tag)
  }

  /** `ERR_BACKEND_NOT_FOUND`, `ERR_INVALID_CONFIG`, `ERR_RECONFIGURE_FAILED`. */
  updateBackendConfig(tag: string, partial: unknown): Promise<void> {
    return this.#edit(async () => {
      const { config } = this.#supervisorOf(tag).spec
      const { sameData } = await import('./edit-rules.ts')
      await this.#configure(tag, resolveBackendConfig(partial, config, sameData))
    })
  }

  getBackendConfig(tag: string): PublicBackendConfig {
    return toPublicConfig(this.#supervisorOf(tag).spec.config)
  }

  listBackends(): Record<string, PublicBackendConfig> {
    return Object.fromEntries([...this.#supervisors].map(([tag, supervisor]) => [tag, toPublicConfig(supervisor.spec.config)]))
  }

  /** Drains and stops the replicas. Unknown: nothing happens. `ERR_BACKEND_IN_USE` while any traffic or shadow names it. */
  deleteBackend(tag: string): Promise<void> {
    return this.#edit(async () => {
      const supervisor = this.#supervisors.get(tag)
      if (supervisor === undefined) return
      const users = [...this.#endpoints.values()].filter((entry) => namesBackend(entry.policy, tag)).map((entry) => entry.name)
      if (users.length > 0) {
        const message = `backend ${tag} is used by ${users.length === 1 ? 'endpoint' : 'endpoints'} ${users.join(', ')}; change the traffic or delete them first`
        throw new ServeError('ERR_BACKEND_IN_USE', message, { details: { backend: tag, endpoints: users } })
      }
      await this.#save((state) => state.forgetBackend(tag))
      this.#supervisors.delete(tag)
      this.#queues.delete(tag)
      this.#publish('backend', tag)
      this.#leaving.add(supervisor)
      await supervisor.stop()
      this.#leaving.delete(supervisor)
    })
  }

  createEndpoint(name: string, options: unknown): Promise<void> {
    return this.#edit(async () => {
      const { backend, ...exposure } = resolveEndpointOptions(name, options)
      requireBackend(name, backend, this.#supervisors)
      if (this.#endpoints.has(name)) throw new ServeError('ERR_ENDPOINT_EXISTS', `endpoint ${name} exists; delete it first`)
      this.#refuseTakenRoute(name, exposure.route)
      const entry: EndpointEntry = Object.freeze({ ...exposure, name, policy: policyOf(backend) })
      await this.#save((state) => state.keepEndpoint(entry))
      this.#endpoints.set(name, entry)
      this.#publish('endpoint', name)
    })
  }

  /** Unknown: nothing happens. Calls of the endpoint that still wait fail with `ERR_ENDPOINT_NOT_FOUND`. */
  deleteEndpoint(name: string): Promise<void> {
    return this.#edit(async () => {
      if (this.#endpoints.has(name)) await this.#save((state) => state.forgetEndpoint(name))
      this.#removeEndpoint(name)
    })
  }

  listEndpoints(): Record<string, PublicEndpoint> {
    return Object.fromEntries([...this.#endpoints.values()].map((entry) => [entry.name, publicEndpoint(entry)]))
  }

  /** Replaces the map of weights; shadows stay. */
  setTraffic(endpoint: string, weights: unknown): Promise<void> {
    return this.#edit(async () => {
      const entry = this.#endpointOf(endpoint)
      const { resolveTraffic, withTraffic } = await import('./edit-rules.ts')
      await this.#setPolicy(entry, withTraffic(entry.policy, resolveTraffic(endpoint, weights, this.#supervisors)))
    })
  }

  /** Adds or changes a shadow; 0 removes it. */
  shadowTraffic(endpoint: string, tag: string, proportion: number): Promise<void> {
    return this.#edit(async () => {
      const entry = this.#endpointOf(endpoint)
      const { resolveShadow, withShadow } = await import('./edit-rules.ts')
      await this.#setPolicy(entry, withShadow(entry.policy, resolveShadow(endpoint, tag, proportion, this.#supervisors)))
    })
  }

  /**
   * Makes the instance as the app says: backends first, side by side, then endpoints, then what an earlier deployment brought and this one no longer
   * names is taken away. Deploying the same again does nothing. When a backend does not start, no endpoint has changed.
   */
  async deploy(app: AppSpec): Promise<void> {
    const { deployApp } = await import('./deploy.ts')
    await deployApp(app, this.parts)
  }

  /**
   * Makes what the store holds so, backends side by side; calls wait for them meanwhile. Resolves when each has started, or has failed once: that is
   * logged and tried again. Called once, before any edit. `ERR_STORAGE` when the store cannot be read.
   */
  async restore(): Promise<void> {
    if (this.#seams.store === undefined) return
    const { restoreState } = await import('./restore.ts')
    await restoreState(this.parts)
  }

  /** What it is made of, for code that only some need and that is loaded apart. */
  get parts() {
    return {
      ...this.#seams,
      controller: this as Controller,
      supervisors: this.#supervisors,
      starting: this.#starting,
      endpoints: this.#endpoints,
      ownedBackends: this.#ownedBackends,
      ownedEndpoints: this.#ownedEndpoints,
      signal: this.#abort.signal,
      edit: <T>(work: () => Promise<T>) => this.#edit(work),
      configure: (tag: string, config: ResolvedBackendConfig) => this.#configure(tag, config),
      putEndpoint: (entry: EndpointEntry) => this.#putEndpoint(entry),
      removeEndpoint: (name: string) => this.#removeEndpoint(name),
      enlist: (spec: BackendSpec) => this.#enlist(this.#supervise(spec)),
      renew: (spent: BackendSupervisor) => this.#renew(spent),
      swapTable: () => this.#swapTable(),
    }
  }

  /**
   * A canary that rolls itself back: raises the share of a backend step by step and puts the old weights back when it breaks the guard. Resolves at
   * the end of it. Other edits go on meanwhile; one that changes the same traffic is overwritten by the next step.
   */
  async rollout(endpoint: string, backend: string, options: RolloutOptions = {}): Promise<RolloutResult> {
    const { policy } = this.#endpointOf(endpoint)
    requireBackend(endpoint, backend, this.#supervisors)
    const { startRollout } = await import('./rollout.ts')
    const setTraffic = (weights: Readonly<Record<string, number>>): Promise<void> => this.setTraffic(endpoint, weights)
    const result = await startRollout(policy, backend, options, { setTraffic, queues: this.#queues, clock: this.#seams.clock })
    this.#seams.onEvent({ kind: 'rollout', endpoint, backend, ...result })
    return result
  }

  get backendStatus(): Record<string, BackendStatus & { readonly calls: BackendQueue['counters'] }> {
    return Object.fromEntries(
      [...this.#supervisors].map(([tag, supervisor]) => [tag, { ...supervisor.status, calls: { ...supervisor.queue.counters } }]),
    )
  }

  get endpointStatus(): Record<string, EndpointStatus> {
    return Object.fromEntries(
      [...this.#endpoints.values()].map((entry) => [entry.name, { ...publicEndpoint(entry), ...this.router.countersOf(entry.name) }]),
    )
  }

  /** Starts a replica elsewhere and lets this one go; see `BackendSupervisor.move`. */
  async moveReplica(tag: string, replicaId: string, reason: string, must: boolean): Promise<void> {
    const supervisor = this.#supervisors.get(tag) ?? this.#starting.get(tag)
    await supervisor?.move(replicaId, reason, must)
  }

  /** Wakes a backend that was scaled to zero, for a call that waits on another node. Unknown: nothing happens. */
  wake(tag: string): void {
    this.#supervisors.get(tag)?.wake()
  }

  /** Queues by tag, for metrics. */
  get queues(): ReadonlyMap<string, BackendQueue> {
    return this.#queues
  }

  /** Ends everything: drains all backends side by side for at most `timeoutMs` each (their own without it), and waits for the edit that runs. */
  async close(timeoutMs?: number): Promise<void> {
    this.#closed = true
    this.#abort.abort()
    // Before the wait for the edit: it may itself wait for a replica, to start or to drain.
    const stops = [...this.#supervisors.values(), ...this.#leaving].map((supervisor) => supervisor.stop(timeoutMs))
    stops.push(...[...this.#starting.values()].map((supervisor) => supervisor.stop(0)))
    await this.#last.catch(() => undefined)
    await Promise.all(stops)
    this.#supervisors.clear()
    this.#queues.clear()
    await this.#seams.store?.close()
  }

  /** Edits one after the other; one that fails does not keep the next from running. */
  #edit<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(() => {
      if (this.#closed) throw new ServeError('ERR_CLIENT_CLOSED', 'the instance is closed; start a new one')
      return work()
    })
    const { whenInForce } = this.#seams
    if (whenInForce !== undefined) {
      const inForce = run.then(async (result) => {
        await whenInForce()
        return result
      })
      this.#last = inForce.catch(() => undefined)
      return inForce
    }
    this.#last = run.catch(() => undefined)
    return run
  }

  #publish(what: 'backend' | 'endpoint' | 'traffic', name: string): void {
    this.#swapTable()
    this.#seams.onEvent({ kind: 'edit', what, name, version: this.#version })
  }

  #swapTable(): void {
    this.#version++
    const backends = new Map<string, BackendEntry>()
    for (const [tag, { spec, wanted }] of this.#supervisors) {
      backends.set(tag, Object.freeze({ tag, config: spec.config, wantedReplicas: wanted, isolation: spec.replicaOptions.isolation }))
    }
    this.router.swap(Object.freeze({ version: this.#version, endpoints: new Map(this.#endpoints), backends }))
  }

  /** A backend that falls asleep or wakes changes what routers may do. */
  #onChange(event: ReplicaEvent | ScaleEvent): void {
    if (event.kind === 'scale' && this.#supervisors.has(event.backend)) this.#swapTable()
    this.#seams.onEvent(event)
  }

  #removeEndpoint(name: string): void {
    if (!this.#endpoints.delete(name)) return
    this.#publish('endpoint', name)
    for (const queue of this.#queues.values()) {
      queue.failAll(
        () => new ServeError('ERR_ENDPOINT_NOT_FOUND', `endpoint ${name} was deleted while the call waited`, { outcome: 'not-started' }),
        (call) => call.endpoint === name && !call.shadow,
      )
    }
  }

  #putEndpoint(entry: EndpointEntry): void {
    for (const { backend } of [...entry.policy.entries, ...entry.policy.shadows]) requireBackend(entry.name, backend, this.#supervisors)
    this.#refuseTakenRoute(entry.name, entry.route)
    this.#endpoints.set(entry.name, entry)
    this.#publish('endpoint', entry.name)
  }

  async #configure(tag: string, config: ResolvedBackendConfig): Promise<void> {
    const supervisor = this.#supervisorOf(tag)
    const before = supervisor.spec.config
    await supervisor.update(config)
    await this.#saveOr(() => supervisor.update(before), supervisor.spec)
    this.#publish('backend', tag)
  }

  async #setPolicy(entry: EndpointEntry, policy: TrafficPolicy): Promise<void> {
    const changed: EndpointEntry = Object.freeze({ ...entry, policy })
    await this.#save((state) => state.keepEndpoint(changed))
    this.#endpoints.set(entry.name, changed)
    this.#publish('traffic', entry.name)
  }

  #supervise(spec: BackendSpec): BackendSupervisor {
    return new BackendSupervisor(spec, { ...this.#seams, router: this.router, onChange: (event) => this.#onChange(event) })
  }

  #enlist(supervisor: BackendSupervisor): BackendSupervisor {
    this.#supervisors.set(supervisor.spec.tag, supervisor)
    this.#queues.set(supervisor.spec.tag, supervisor.queue)
    return supervisor
  }

  /** A supervisor that has failed is spent; another takes its place, unless an edit was faster. */
  #renew(spent: BackendSupervisor): BackendSupervisor | undefined {
    if (this.#supervisors.get(spent.spec.tag) !== spent) return undefined
    return this.#enlist(this.#supervise(spent.spec))
  }

  /** Nothing is acknowledged that would not outlive this process. `ERR_STORAGE`. */
  async #save(...edits: readonly Keep[]): Promise<void> {
    const { store } = this.#seams
    if (store === undefined || edits.length === 0) return
    const state = await import('./stored-state.ts')
    await store.put(edits.map((toEdit) => toEdit(state)))
  }

  /** As {@link #save}; when that fails, what is in force already is taken back as far as it goes. */
  async #saveOr(undo: () => Promise<void>, spec: BackendSpec): Promise<void> {
    try {
      await this.#save((state) => state.keepBackend(spec))
    } catch (error) {
      await undo().catch((undoError: unknown) => this.#seams.log.error({ backend: spec.tag, error: String(undoError) }, 'edit.not-undone'))
      throw error
    }
  }

  #supervisorOf(tag: string): BackendSupervisor {
    const supervisor = this.#supervisors.get(requireName('backend tag', tag))
    if (supervisor !== undefined) return supervisor
    throw new ServeError('ERR_BACKEND_NOT_FOUND', `there is no backend ${tag}${didYouMean(tag, this.#supervisors.keys())}`)
  }

  #endpointOf(name: string): EndpointEntry {
    const entry = this.#endpoints.get(requireName('endpoint name', name))
    if (entry !== undefined) return entry
    throw new ServeError('ERR_ENDPOINT_NOT_FOUND', `there is no endpoint ${name}${didYouMean(name, this.#endpoints.keys())}`)
  }

  #refuseTakenRoute(name: string, route: string | null): void {
    if (route === null) return
    for (const other of this.#endpoints.values()) {
      if (other.route === route && other.name !== name) {
        throw new ServeError(
          'ERR_ROUTE_EXISTS',
          `endpoint ${name}: route ${route} belongs to endpoint ${other.name}; take another, or delete that one`,
        )
      }
    }
  }
}
