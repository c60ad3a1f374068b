import { type Clock, isServeError, type Logger, type Random, randomName, ServeError, type Stop, sleep, type Turns } from '../base/index.ts'
import { concurrencyOf, type ResolvedBackendConfig, type ResolvedReplicaOptions } from '../model/index.ts'
import {
  CallLane,
  type HostedReplica,
  type ReplicaCode,
  type ReplicaEnd,
  type ReplicaHost,
  type ReplicaSpec,
  type RuntimeLimits,
  raceAbort,
  type TargetDescription,
} from '../replica/index.ts'
import type { JsonLimits } from '../request/index.ts'
import { BackendQueue, type CallTarget, type QueueLimits, serveOutboundOnCall } from '../router/index.ts'
import type { Autoscaler } from './autoscaler.ts'
import type { Ledger } from './resource-ledger.ts'
import { RestartPolicy } from './restart-policy.ts'
import { answersWithin, within } from './within.ts'

/** How long an event loop may stay silent, once a call in it is past its deadline, before its replica is replaced. */
const SILENCE_MS = 3_000
/** How often it is tried whether there is room again for replicas that fit nowhere. */
const ROOM_MS = 1_000

/** The backend as it should be. */
export interface BackendSpec {
  readonly tag: string
  readonly code: ReplicaCode
  /** As encoded by `encodeInitArgs`. */
  readonly initArgs: readonly unknown[]
  readonly config: ResolvedBackendConfig
  readonly replicaOptions: ResolvedReplicaOptions
}

/** What a supervisor needs from its instance. */
export interface SupervisorSeams {
  readonly hosts: ReadonlyMap<string, ReplicaHost>
  readonly router: CallTarget
  readonly jsonLimits: JsonLimits
  readonly ledger: Ledger
  readonly clock: Clock
  readonly turns: Turns
  readonly random: Random
  readonly log: Logger
  /** Calls for a backend that began on other nodes and are not done. @default 0 */
  readonly loadElsewhere?: ((tag: string) => number) | undefined
  /** Something changed that `status` shows. */
  readonly onChange: (event: ReplicaEvent | ScaleEvent) => void
}

/** The number of replicas that should be there has changed by itself. */
export interface ScaleEvent {
  readonly kind: 'scale'
  readonly backend: string
  readonly from: number
  readonly to: number
}

/** A change in the life of a replica. */
export interface ReplicaEvent {
  readonly kind: 'replica'
  readonly backend: string
  readonly replicaId: string
  readonly state: 'starting' | 'ready' | 'draining' | 'stopped' | 'died' | 'recycled'
  readonly reason?: string
}

/** What `status` shows of a backend. */
export interface BackendStatus {
  readonly wanted: number
  readonly starting: number
  readonly ready: number
  readonly draining: number
  readonly queued: number
  readonly ongoing: number
  readonly crashLooping: boolean
  readonly replicas: Readonly<
    Record<string, { readonly state: Replica['state']; readonly outstanding: number; readonly latencyMs: number }>
  >
}

interface Replica {
  readonly id: string
  state: 'ready' | 'draining'
  readonly hosted: HostedReplica
  readonly lane: CallLane
  readonly stopOutbound: () => void
  stopHealth: Stop
  stopMemoryWatch: Stop
  probing: boolean
  stopping: boolean
  /** Why it was ended, where its host only knows that it was. */
  verdict: string | undefined
}

/**
 * Makes one backend so: starts its replicas, replaces those that die, follows changes of its config, drains those that are too many. It owns the
 * queue of the backend, which outlives every replica.
 */
export class BackendSupervisor {
  readonly queue: BackendQueue
  readonly #seams: SupervisorSeams
  readonly #replicas = new Map<string, Replica>()
  readonly #restarts = new RestartPolicy()
  readonly #abort = new AbortController()
  readonly #draining = new Set<Promise<void>>()
  #spec: BackendSpec
  #description: TargetDescription | undefined
  #starting = 0
  #lastFailure: string | undefined
  /** Replicas that should be there: the configured number, or what the autoscaler has decided. */
  #wanted: number
  #autoscaler: Autoscaler | undefined
  #stopWaiting: Stop | undefined

  constructor(spec: BackendSpec, seams: SupervisorSeams) {
    this.#spec = spec
    this.#wanted = spec.config.numReplicas
    this.#seams = seams
    this.queue = new BackendQueue(
      {
        backend: spec.tag,
        limits: queueLimits(spec.config),
        onOverdue: (lane) => void this.#probe(lane),
        describeAbsence: () => this.#describeAbsence(),
        onStarved: () => this.wake(),
      },
      seams.clock,
      seams.turns,
      seams.random,
    )
  }

  get spec(): BackendSpec {
    return this.#spec
  }

  /** Replicas that should be there now. */
  get wanted(): number {
    return this.#wanted
  }

  get description(): TargetDescription | undefined {
    return this.#description
  }

  get status(): BackendStatus {
    const replicas = [...this.#replicas.values()]
    return {
      wanted: this.#wanted,
      starting: this.#starting,
      ready: replicas.filter((replica) => replica.state === 'ready').length,
      draining: replicas.filter((replica) => replica.state === 'draining').length,
      queued: this.queue.queued,
      ongoing: this.queue.ongoing,
      crashLooping: this.#restarts.isCrashLooping(this.#seams.clock.nowMs()),
      replicas: Object.fromEntries(
        replicas.map(({ id, state, lane }) => [
          id,
          { state, outstanding: lane.outstanding, latencyMs: Math.round(lane.latencyMs * 1000) / 1000 },
        ]),
      ),
    }
  }

  /** Starts all replicas side by side; resolves when all are ready. When one fails, none is left, and the first failure is thrown. */
  async start(): Promise<void> {
    const starts = Array.from({ length: this.#spec.config.numReplicas }, () => this.#startOne())
    try {
      await Promise.all(starts)
      await this.#followLoad()
    } catch (error) {
      // The others need not go on, however long they would take.
      await this.stop(0)
      await Promise.allSettled(starts)
      throw error
    }
  }

  /** Makes a new config so, without restarting a replica; resolves when it is in force. */
  async update(config: ResolvedBackendConfig): Promise<void> {
    const before = this.#spec
    if (this.#description !== undefined) checkAgainst(before.tag, config, this.#description)
    const { autoscaling } = config
    const isBoundsOnly = autoscaling !== undefined && config.numReplicas === before.config.numReplicas
    const wantedBefore = this.#wanted
    const wanted = isBoundsOnly ? Math.max(autoscaling.minReplicas, Math.min(autoscaling.maxReplicas, wantedBefore)) : config.numReplicas
    const old = this.#ready
    this.#spec = { ...before, config }
    this.#restarts.forget()
    try {
      // What may fail comes first, and leaves the replicas that serve as they are.
      if (wanted > wantedBefore) await this.#scaleTo(wanted)
      if (config.userConfig !== before.config.userConfig && config.userConfig !== undefined) {
        await Promise.all(old.map(({ hosted }) => unlessDead(hosted.control.reconfigure(config.userConfig))))
      }
    } catch (error) {
      this.#spec = before
      this.#wanted = wantedBefore
      for (const replica of this.#ready) {
        if (old.includes(replica)) continue
        this.#letGo(replica, before)
        void this.#startWhenDue(0)
      }
      throw error
    }
    this.queue.configure(queueLimits(config))
    await Promise.all(old.map(({ hosted }) => unlessDead(hosted.control.configure(runtimeLimits(config)))))
    await this.#scaleTo(wanted)
    await this.#followLoad()
  }

  /** Puts other code in place: its replicas are all ready before the old ones drain. When one does not start, the old ones stay and it is thrown. */
  async replace(spec: BackendSpec): Promise<void> {
    const before = this.#spec
    const old = this.#ready
    this.#spec = spec
    this.#restarts.forget()
    const started = await Promise.allSettled(Array.from({ length: spec.config.numReplicas }, () => this.#startOne()))
    const failed = started.find((result): result is PromiseRejectedResult => result.status === 'rejected')
    const retired = failed === undefined ? old : this.#ready.filter((replica) => !old.includes(replica))
    for (const replica of retired) this.#letGo(replica, spec)
    if (failed !== undefined) {
      this.#spec = before
      throw failed.reason
    }
    this.queue.configure(queueLimits(spec.config))
    this.#wanted = spec.config.numReplicas
    await this.#followLoad()
  }

  /** Drains every replica for at most `timeoutMs`, then stops it. What still waits fails. Nothing starts again afterwards. */
  async stop(timeoutMs: number = this.#spec.config.gracefulShutdownTimeoutMs): Promise<void> {
    this.#abort.abort(new ServeError('ERR_CANCELLED', `backend ${this.#spec.tag} is stopped`))
    this.#autoscaler?.stop()
    this.#stopWaiting?.()
    const drained = [...[...this.#replicas.values()].map((replica) => this.#retire(replica, timeoutMs)), ...this.#draining]
    await within(this.#seams.clock, Promise.all(drained), timeoutMs, undefined)
    // What was draining before may have been promised more time.
    await Promise.all([...this.#replicas.values()].map((replica) => this.#end(replica)))
    this.queue.failAll(() => new ServeError('ERR_NO_REPLICA', `backend ${this.#spec.tag} was stopped`, { outcome: 'not-started' }))
    this.queue.close()
  }

  /**
   * Starts another replica wherever it fits best now, then lets this one go; resolves when it has drained and ended. When none can be started, it goes
   * all the same if it must. Unknown: nothing happens.
   */
  async move(replicaId: string, reason: string, must: boolean): Promise<void> {
    const replica = this.#replicas.get(replicaId)
    if (replica === undefined || replica.stopping) return
    if (!(await this.#recycle(replica, reason))) {
      if (!must) return
      this.#letGo(replica)
      this.#evenUp()
    }
    await replica.hosted.whenGone
  }

  /** A call waits on another node and nothing is ready anywhere. */
  wake(): void {
    if (this.#wanted === 0) this.#autoscaler?.wake()
  }

  get #ready(): Replica[] {
    return [...this.#replicas.values()].filter((replica) => replica.state === 'ready')
  }

  /** Follows the load where the config says so, and no longer where it does not. */
  async #followLoad(): Promise<void> {
    const { autoscaling } = this.#spec.config
    if (this.#autoscaler !== undefined && autoscaling !== undefined) return this.#autoscaler.configure(autoscaling)
    this.#autoscaler?.stop()
    this.#autoscaler = undefined
    if (autoscaling === undefined || this.#abort.signal.aborted) return
    // Only what scales needs it: a page without comes without.
    const { Autoscaler } = await import('./autoscaler.ts')
    if (this.#autoscaler !== undefined || this.#abort.signal.aborted) return
    const { queue } = this
    const supervisor = this
    this.#autoscaler = new Autoscaler(
      {
        get wanted() {
          return supervisor.#wanted
        },
        get ready() {
          return queue.ready
        },
        get load() {
          // A call is counted where it began.
          return queue.ownOpen + (supervisor.#seams.loadElsewhere?.(supervisor.#spec.tag) ?? 0)
        },
        scaleTo: (wanted) => this.#scaleByLoad(wanted),
      },
      autoscaling,
      this.#seams.clock,
    )
  }

  #scaleByLoad(wanted: number): void {
    this.#seams.log.info({ backend: this.#spec.tag, from: this.#wanted, to: wanted, load: this.queue.open }, 'backend.scale')
    this.#scaleTo(wanted).catch((error: unknown) => this.#noteFailedStart(error))
  }

  /** Starts what is missing, or lets go of what is too much. When a start fails, the count goes back to what is there. */
  async #scaleTo(wanted: number): Promise<void> {
    const before = this.#wanted
    this.#wanted = wanted
    if (before !== wanted) this.#seams.onChange({ kind: 'scale', backend: this.#spec.tag, from: before, to: wanted })
    const ready = this.#ready
    const missing = wanted - ready.length - this.#starting
    if (missing > 0) {
      const started = await Promise.allSettled(Array.from({ length: missing }, () => this.#startOne()))
      const failed = started.find((result): result is PromiseRejectedResult => result.status === 'rejected')
      if (failed === undefined) return
      this.#wanted = Math.max(this.#ready.length, Math.min(before, wanted))
      this.#spec = { ...this.#spec, config: { ...this.#spec.config, numReplicas: Math.max(1, this.#wanted) } }
      throw failed.reason
    }
    // The newest first: they have the least in their caches. The drain goes on after the change is in force.
    for (const replica of ready.slice(ready.length + missing)) {
      this.#letGo(replica)
    }
  }

  async #startOne(): Promise<void> {
    const spec = this.#spec
    const { tag, config, replicaOptions } = spec
    const id = `${tag}#${randomName(this.#seams.random, 6)}`
    const host = this.#seams.hosts.get(replicaOptions.isolation)
    if (host === undefined)
      throw new ServeError('ERR_UNSUPPORTED', `backend ${tag}: isolation '${replicaOptions.isolation}' is not available here`)
    this.#seams.ledger.take(tag, id, replicaOptions.resources, { options: replicaOptions, code: spec.code, initArgs: spec.initArgs })
    this.#starting++
    this.#tell(id, 'starting')
    let hosted: HostedReplica
    let watch: typeof import('./replica-watch.ts') | undefined
    try {
      hosted = await this.#startAt(host, this.#specOf(id), config.startTimeoutMs)
      if (hosted.description.hasCheckHealth || replicaOptions.memoryLimitBytes !== undefined) watch = await import('./replica-watch.ts')
      if (this.#abort.signal.aborted) {
        await hosted.stop()
        throw this.#abort.signal.reason
      }
      if (!(await this.#catchUp(hosted, spec))) {
        this.#seams.ledger.giveBack(id)
        return
      }
    } catch (error) {
      this.#seams.ledger.giveBack(id)
      throw error
    } finally {
      // In the turn in which it joins the set: one that has died meanwhile must not count for its own replacement.
      this.#starting--
    }
    await this.#admit(id, hosted, watch)
  }

  /** Brings a replica that was starting to the config in force now. False, and it is ended, when its code is not the one wanted any more. */
  async #catchUp(hosted: HostedReplica, spec: BackendSpec): Promise<boolean> {
    let { config } = spec
    try {
      while (config !== this.#spec.config && !this.#isOutdated(spec)) {
        const before = config
        config = this.#spec.config
        await hosted.control.configure(runtimeLimits(config))
        if (config.userConfig !== before.userConfig && config.userConfig !== undefined) await hosted.control.reconfigure(config.userConfig)
      }
    } catch (error) {
      await hosted.stop()
      throw error
    }
    if (!this.#isOutdated(spec)) return true
    await hosted.stop()
    return false
  }

  #isOutdated({ code, initArgs }: BackendSpec): boolean {
    return code !== this.#spec.code || initArgs !== this.#spec.initArgs
  }

  async #startAt(host: ReplicaHost, spec: ReplicaSpec, timeoutMs: number): Promise<HostedReplica> {
    const { clock } = this.#seams
    const attempt = new AbortController()
    const giveUp = (): void => attempt.abort(this.#abort.signal.reason)
    this.#abort.signal.addEventListener('abort', giveUp, { once: true })
    const stopTimer = clock.after(timeoutMs, () => {
      const message = `backend ${spec.backend}: replica ${spec.replicaId} was not ready within ${timeoutMs} ms (startTimeoutMs)`
      attempt.abort(new ServeError('ERR_BACKEND_START_FAILED', message))
    })
    const starting = host.start(spec, attempt.signal)
    try {
      return await raceAbort(starting, attempt.signal)
    } catch (error) {
      // A host that did not hear of it in time: nobody waits for its replica any more.
      starting.then(
        (hosted) => hosted.stop(),
        () => undefined,
      )
      throw error
    } finally {
      stopTimer()
      this.#abort.signal.removeEventListener('abort', giveUp)
    }
  }

  async #admit(id: string, hosted: HostedReplica, watch: typeof import('./replica-watch.ts') | undefined): Promise<void> {
    try {
      checkAgainst(this.#spec.tag, this.#spec.config, hosted.description)
    } catch (error) {
      this.#seams.ledger.giveBack(id)
      await hosted.stop()
      throw error
    }
    this.#description = hosted.description
    const { clock, turns, router } = this.#seams
    const lane = new CallLane(
      {
        port: hosted.port,
        owner: this.queue,
        window: concurrencyOf(this.#spec.config),
        startedFlags: hosted.startedFlags,
        isRemote: hosted.isRemote,
      },
      clock,
    )
    const replica: Replica = {
      id,
      state: 'ready',
      hosted,
      lane,
      stopOutbound: serveOutboundOnCall(hosted.outbound, router, turns),
      stopHealth: () => {},
      stopMemoryWatch: () => {},
      probing: false,
      stopping: false,
      verdict: undefined,
    }
    this.#replicas.set(id, replica)
    this.queue.addLane(lane)
    void hosted.whenGone.then((end) => this.#onGone(replica, end))
    if (watch !== undefined) this.#watch(replica, watch)
    this.#tell(id, 'ready')
  }

  #onGone(replica: Replica, end: ReplicaEnd): void {
    if (!this.#replicas.delete(replica.id)) return
    const reason = replica.verdict ?? end.reason
    this.#seams.ledger.giveBack(replica.id)
    replica.stopHealth()
    replica.stopMemoryWatch()
    replica.stopOutbound()
    const wasStopped = replica.stopping || this.#abort.signal.aborted
    this.queue.removeLane(replica.lane, `replica ${replica.id} ended (${reason})`, !wasStopped && end.placeGone !== true)
    if (wasStopped) return this.#tell(replica.id, 'stopped')
    this.#lastFailure = reason
    this.#tell(replica.id, 'died', reason)
    this.#seams.log.warn({ backend: this.#spec.tag, replica: replica.id, reason }, 'replica.died')
    if (end.placeGone === true) void this.#startWhenDue(0)
    else this.#replaceAfterDeath()
  }

  #replaceAfterDeath(): void {
    const delayMs = this.#restarts.noteDeath(this.#seams.clock.nowMs())
    if (delayMs > 0) this.#seams.log.error({ backend: this.#spec.tag, delayMs, reason: this.#lastFailure }, 'backend.crash-loop')
    void this.#startWhenDue(delayMs)
  }

  async #startWhenDue(delayMs: number): Promise<void> {
    try {
      if (delayMs > 0) await sleep(this.#seams.clock, delayMs, this.#abort.signal)
      if (this.#ready.length + this.#starting >= this.#wanted) return
      await this.#startOne()
    } catch (error) {
      if (this.#abort.signal.aborted) return
      if (isServeError(error, 'ERR_INFEASIBLE')) return this.#waitForRoom(error)
      this.#noteFailedStart(error)
      this.#replaceAfterDeath()
    }
  }

  /** What fits nowhere has not died. It is tried again every second, once for all that are missing: a node may come, or another backend go. */
  #waitForRoom(error: ServeError): void {
    if (this.#lastFailure !== error.message) this.#noteFailedStart(error)
    this.#stopWaiting ??= this.#seams.clock.after(ROOM_MS, () => {
      this.#stopWaiting = undefined
      this.#evenUp()
    })
  }

  /**
   * Starts what is missing and lets go of what is too much, after a start that stood for a certain replica has ended: whoever saw it on its way has
   * started nothing, and two may have stood for the same one.
   */
  #evenUp(): void {
    if (this.#abort.signal.aborted) return
    const ready = this.#ready
    for (let missing = this.#wanted - ready.length - this.#starting; missing > 0; missing--) void this.#startWhenDue(0)
    for (const replica of ready.slice(this.#wanted)) this.#letGo(replica)
  }

  #noteFailedStart(error: unknown): void {
    if (this.#abort.signal.aborted) return
    this.#lastFailure = error instanceof Error ? error.message : String(error)
    this.#seams.log.error({ backend: this.#spec.tag, error: this.#lastFailure }, 'replica.start-failed')
  }

  /** Takes a replica out of the set, lets it finish, ends it. */
  async #retire(replica: Replica, timeoutMs: number): Promise<void> {
    if (replica.stopping) return
    replica.stopping = true
    replica.state = 'draining'
    replica.stopHealth()
    replica.stopMemoryWatch()
    this.#tell(replica.id, 'draining')
    await within(this.#seams.clock, this.queue.drainLane(replica.lane), timeoutMs, undefined)
    await this.#end(replica)
  }

  /** Ends it now. What it said last is heard before its calls are told. */
  async #end(replica: Replica): Promise<void> {
    await replica.hosted.stop()
    this.#onGone(replica, await replica.hosted.whenGone)
  }

  /** A call in a replica is past its deadline. When its event loop does not even answer a ping, the replica hangs and is ended. */
  async #probe(lane: CallLane): Promise<void> {
    const replica = [...this.#replicas.values()].find((candidate) => candidate.lane === lane)
    if (replica === undefined || replica.probing) return
    replica.probing = true
    const alive = await answersWithin(this.#seams.clock, replica.hosted.control.ping(), SILENCE_MS)
    replica.probing = false
    if (alive || !this.#replicas.has(replica.id)) return
    this.#seams.log.warn({ backend: this.#spec.tag, replica: replica.id }, 'replica.hangs')
    replica.verdict = `its event loop did not turn for ${SILENCE_MS} ms and a call in it was past its deadline`
    await this.#end(replica)
  }

  #watch(replica: Replica, { watchHealth, watchMemory }: typeof import('./replica-watch.ts')): void {
    const { control, description } = replica.hosted
    const watched = { clock: this.#seams.clock, control, config: () => this.#spec.config }
    const { memoryLimitBytes } = this.#spec.replicaOptions
    if (description.hasCheckHealth) replica.stopHealth = watchHealth(watched, (misses) => this.#onUnhealthy(replica, misses))
    if (memoryLimitBytes !== undefined && control.usage !== undefined)
      replica.stopMemoryWatch = watchMemory(watched, memoryLimitBytes, (reason) => this.#recycle(replica, reason))
  }

  #onUnhealthy(replica: Replica, misses: number): void {
    this.#seams.log.warn({ backend: this.#spec.tag, replica: replica.id, misses }, 'replica.unhealthy')
    this.#lastFailure = `checkHealth missed ${misses} times`
    this.#letGo(replica)
    this.#replaceAfterDeath()
  }

  /** Replaces a replica that serves well so far: the new one is ready before the old one drains. False when none could be started; it stays then. */
  async #recycle(replica: Replica, reason: string): Promise<boolean> {
    try {
      await this.#startOne()
    } catch (error) {
      this.#noteFailedStart(error)
      this.#evenUp()
      return this.#isRetired(replica)
    }
    if (this.#isRetired(replica)) {
      this.#evenUp()
      return true
    }
    this.#seams.log.info({ backend: this.#spec.tag, replica: replica.id, reason }, 'replica.recycled')
    this.#tell(replica.id, 'recycled', reason)
    this.#letGo(replica)
    this.#evenUp()
    return true
  }

  #isRetired(replica: Replica): boolean {
    return replica.stopping || !this.#replicas.has(replica.id)
  }

  /** Drains and ends it; nobody waits for that, but `stop` does. */
  #letGo(replica: Replica, { config }: BackendSpec = this.#spec): void {
    const work = this.#retire(replica, config.gracefulShutdownTimeoutMs)
    this.#draining.add(work)
    void work.finally(() => this.#draining.delete(work))
  }

  #specOf(replicaId: string): ReplicaSpec {
    const { tag, code, initArgs, config, replicaOptions } = this.#spec
    return {
      backend: tag,
      replicaId,
      code,
      initArgs,
      limits: runtimeLimits(config),
      userConfig: config.userConfig,
      jsonLimits: this.#seams.jsonLimits,
      env: replicaOptions.env,
      memoryLimitBytes: replicaOptions.memoryLimitBytes,
      shared: replicaOptions.shared,
    }
  }

  #describeAbsence(): string {
    const { wanted, starting, crashLooping } = this.status
    const last = this.#lastFailure === undefined ? '' : `, the last one ended: ${this.#lastFailure}`
    return `${wanted} wanted, ${starting} starting${crashLooping ? ', crash looping (ERR_CRASH_LOOP)' : ''}${last}`
  }

  #tell(replicaId: string, state: ReplicaEvent['state'], reason?: string): void {
    this.#seams.onChange({ kind: 'replica', backend: this.#spec.tag, replicaId, state, ...(reason !== undefined && { reason }) })
  }
}

/** A replica that dies meanwhile needs no new config: the one that replaces it has it from the start. */
async function unlessDead(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isServeError(error, 'ERR_REPLICA_DIED')) throw error
  }
}

/** What only the code itself can tell of a config: whether it takes batches, whether it can be reconfigured. */
function checkAgainst(tag: string, config: ResolvedBackendConfig, description: TargetDescription): void {
  if ((config.maxBatchSize ?? 1) > 1 && description.batchMethods.length === 0) {
    throw new ServeError(
      'ERR_INVALID_CONFIG',
      `backend ${tag}: maxBatchSize ${config.maxBatchSize} needs a handler that accepts batches: wrap the function in acceptBatch(), or name methods in static batch = ['call']`,
    )
  }
  if (config.userConfig !== undefined && !description.hasReconfigure) {
    throw new ServeError('ERR_INVALID_CONFIG', `backend ${tag}: userConfig needs a class with a method reconfigure(userConfig)`)
  }
}

function runtimeLimits(config: ResolvedBackendConfig): RuntimeLimits {
  return {
    maxConcurrentQueries: concurrencyOf(config),
    maxBatchSize: config.maxBatchSize ?? 1,
    batchWaitTimeoutMs: config.batchWaitTimeoutMs,
  }
}

/** The limits that count where calls are queued. */
export function queueLimits(config: ResolvedBackendConfig): QueueLimits {
  return {
    maxConcurrentQueries: concurrencyOf(config),
    maxBatchSize: config.maxBatchSize ?? 1,
    maxQueuedRequests: config.maxQueuedRequests,
    maxQueuedBytes: config.maxQueuedBytes,
    requestTimeoutMs: config.requestTimeoutMs,
    streamIdleTimeoutMs: config.streamIdleTimeoutMs,
    idempotent: config.idempotent,
  }
}
