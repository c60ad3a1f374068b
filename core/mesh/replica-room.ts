import { type Clock, type Logger, ServeError, type Turns } from '../base/index.ts'
import { answersWithin, within } from '../controller/index.ts'
import {
  CallLane,
  type HostedReplica,
  type ReplicaControl,
  type ReplicaEnd,
  type ReplicaHost,
  type ReplicaSpec,
  type RuntimeLimits,
  type TargetDescription,
} from '../replica/index.ts'
import { type BackendQueue, type CallTarget, serveOutbound } from '../router/index.ts'
import type { ReplicaReport } from './adoption.ts'
import { sameText } from './replica-mark.ts'

/** What a replica that runs already is from now on. */
export type AdoptedAs = Pick<ReplicaSpec, 'replicaId' | 'limits' | 'userConfig'>

/** How long an event loop may stay silent, once a call in it is past its deadline, before its replica is ended. */
const SILENCE_MS = 3_000

export interface ReplicaRoomInit {
  /** By isolation. */
  readonly hosts: ReadonlyMap<string, ReplicaHost>
  /** Where calls of the replicas' own code go. */
  readonly router: CallTarget
  readonly queueFor: (tag: string, limits: RuntimeLimits) => BackendQueue
  /** A replica ended by itself. */
  readonly onGone: (replicaId: string, end: ReplicaEnd) => void
  /** The number of ready replicas has changed. */
  readonly onChange: () => void
}

interface Guest {
  spec: ReplicaSpec
  /** By which a controller knows what it runs. */
  readonly mark: string
  readonly hosted: HostedReplica
  readonly lane: CallLane
  readonly queue: BackendQueue
  readonly stopOutbound: () => void
  isStopping: boolean
  isProbed: boolean
}

/** Replicas that a controller elsewhere has asked for: they run here, take the calls of this node's queue, and are watched from there. */
export class ReplicaRoom {
  readonly #init: ReplicaRoomInit
  readonly #guests = new Map<string, Guest>()
  readonly #starting = new Map<string, AbortController>()
  readonly #clock: Clock
  readonly #turns: Turns
  readonly #log: Logger

  constructor(init: ReplicaRoomInit, clock: Clock, turns: Turns, log: Logger) {
    this.#init = init
    this.#clock = clock
    this.#turns = turns
    this.#log = log
  }

  /** What runs and is not on its way out, for a controller that has not started it or has given it up. */
  get report(): readonly ReplicaReport[] {
    return [...this.#guests.values()].flatMap(({ spec: { replicaId, backend }, mark, isStopping }) => {
      return isStopping ? [] : [{ replicaId, backend, mark }]
    })
  }

  /** Replicas that take calls, by backend. */
  get ready(): Readonly<Record<string, number>> {
    const ready: Record<string, number> = {}
    for (const { spec, isStopping } of this.#guests.values()) if (!isStopping) ready[spec.backend] = (ready[spec.backend] ?? 0) + 1
    return ready
  }

  /** Rejects as a host does. @param mark given back in the report */
  async start(spec: ReplicaSpec, isolation: string, mark: string): Promise<TargetDescription> {
    const host = this.#init.hosts.get(isolation)
    if (host === undefined) throw new ServeError('ERR_UNSUPPORTED', `backend ${spec.backend}: this peer has no isolation '${isolation}'`)
    if (spec.code.kind !== 'source' && spec.code.kind !== 'module') {
      throw new ServeError('ERR_UNSUPPORTED', `backend ${spec.backend}: code of kind ${spec.code.kind} cannot come from another peer`)
    }
    if (this.#guests.has(spec.replicaId) || this.#starting.has(spec.replicaId)) {
      throw new ServeError('ERR_BAD_REQUEST', `replica ${spec.replicaId} is here already`)
    }
    const abort = new AbortController()
    this.#starting.set(spec.replicaId, abort)
    try {
      const hosted = await host.start(spec, abort.signal)
      if (abort.signal.aborted) {
        await hosted.stop()
        throw abort.signal.reason
      }
      this.#admit(spec, hosted, mark)
      return hosted.description
    } finally {
      this.#starting.delete(spec.replicaId)
    }
  }

  /**
   * Goes on with a replica that runs, under another id and as its config says now. Rejects, and it stays as it is, when it has ended or does not take the
   * config.
   */
  async adopt(replicaId: string, { replicaId: newId, limits, userConfig }: AdoptedAs): Promise<TargetDescription> {
    const guest = this.#guests.get(replicaId)
    if (guest === undefined || guest.isStopping) throw notHere(replicaId)
    if (newId !== replicaId && this.#guests.has(newId)) throw new ServeError('ERR_BAD_REQUEST', `replica ${newId} is here already`)
    await this.#configure(guest, limits)
    if (sameText(userConfig) !== sameText(guest.spec.userConfig)) await this.#reconfigure(guest, userConfig)
    if (this.#guests.get(replicaId) !== guest || guest.isStopping) throw notHere(replicaId)
    this.#guests.delete(replicaId)
    guest.spec = { ...guest.spec, replicaId: newId }
    this.#guests.set(newId, guest)
    return guest.hosted.description
  }

  /** Nobody waits for this replica any more. */
  abandon(replicaId: string): void {
    this.#starting.get(replicaId)?.abort(new ServeError('ERR_CANCELLED', `replica ${replicaId} is not wanted any more`))
    void this.stop(replicaId, 0)
  }

  /** Lets it finish for at most `timeoutMs`, then ends it. Unknown: nothing happens. */
  async stop(replicaId: string, timeoutMs: number): Promise<void> {
    const guest = this.#guests.get(replicaId)
    if (guest === undefined || guest.isStopping) return
    guest.isStopping = true
    this.#init.onChange()
    await within(this.#clock, guest.queue.drainLane(guest.lane), timeoutMs, undefined)
    await guest.hosted.stop()
    this.#forget(guest, await guest.hosted.whenGone)
  }

  /** Passes a request of the controller on to a replica. `ERR_REPLICA_DIED` when it is not here. */
  async control(replicaId: string, method: keyof ReplicaControl, argument: unknown): Promise<unknown> {
    const guest = this.#guests.get(replicaId)
    if (guest === undefined) throw notHere(replicaId)
    const { control } = guest.hosted
    switch (method) {
      case 'configure':
        return this.#configure(guest, argument as RuntimeLimits)
      case 'reconfigure':
        return this.#reconfigure(guest, argument)
      case 'checkHealth':
        return control.checkHealth()
      case 'ping':
        return control.ping()
      case 'usage':
        return control.usage?.()
      default:
        throw new ServeError('ERR_UNSUPPORTED', `a replica has no control called ${String(method)}`)
    }
  }

  /** A call in a replica is past its deadline: one whose event loop does not turn is ended. */
  async probe(lane: CallLane): Promise<void> {
    const guest = [...this.#guests.values()].find((candidate) => candidate.lane === lane)
    if (guest === undefined || guest.isProbed) return
    guest.isProbed = true
    // A failure is an answer as well: that of a replica that is ending is told otherwise.
    const answered = guest.hosted.control.ping().catch(() => undefined)
    const isAlive = await answersWithin(this.#clock, answered, SILENCE_MS)
    guest.isProbed = false
    if (isAlive || !this.#guests.has(guest.spec.replicaId)) return
    this.#log.warn({ backend: guest.spec.backend, replica: guest.spec.replicaId }, 'replica.hangs')
    await guest.hosted.stop()
    const reason = `its event loop did not turn for ${SILENCE_MS} ms and a call in it was past its deadline`
    this.#forget(guest, { reason, expected: false })
  }

  async close(timeoutMs: number): Promise<void> {
    for (const abort of this.#starting.values()) abort.abort(new ServeError('ERR_CANCELLED', 'the peer leaves'))
    await Promise.all([...this.#guests.keys()].map((id) => this.stop(id, timeoutMs)))
  }

  async #configure(guest: Guest, limits: RuntimeLimits): Promise<void> {
    await guest.hosted.control.configure(limits)
    guest.spec = { ...guest.spec, limits }
  }

  async #reconfigure(guest: Guest, userConfig: unknown): Promise<void> {
    await guest.hosted.control.reconfigure(userConfig)
    guest.spec = { ...guest.spec, userConfig }
  }

  #admit(spec: ReplicaSpec, hosted: HostedReplica, mark: string): void {
    const queue = this.#init.queueFor(spec.backend, spec.limits)
    const lane = new CallLane(
      { port: hosted.port, owner: queue, window: spec.limits.maxConcurrentQueries, startedFlags: hosted.startedFlags },
      this.#clock,
    )
    const stopOutbound = serveOutbound(hosted.outbound, this.#init.router, this.#turns)
    const guest: Guest = { spec, mark, hosted, lane, queue, stopOutbound, isStopping: false, isProbed: false }
    this.#guests.set(spec.replicaId, guest)
    queue.addLane(lane)
    void hosted.whenGone.then((end) => this.#forget(guest, end))
    this.#init.onChange()
  }

  #forget(guest: Guest, end: ReplicaEnd): void {
    if (!this.#guests.delete(guest.spec.replicaId)) return
    guest.stopOutbound()
    guest.queue.removeLane(guest.lane, `replica ${guest.spec.replicaId} ended (${end.reason})`, !guest.isStopping)
    if (!guest.isStopping)
      this.#log.warn({ backend: guest.spec.backend, replica: guest.spec.replicaId, reason: end.reason }, 'replica.died')
    this.#init.onGone(guest.spec.replicaId, { reason: end.reason, expected: guest.isStopping || end.expected })
    this.#init.onChange()
  }
}

const notHere = (replicaId: string): ServeError =>
  new ServeError('ERR_REPLICA_DIED', `replica ${replicaId} is not on this peer`, { outcome: 'not-started' })
