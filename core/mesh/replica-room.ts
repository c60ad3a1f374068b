import { type Clock, type Logger, ServeError, type Turns } from '../base/index.ts'
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
  readonly spec: ReplicaSpec
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

  get replicaIds(): readonly string[] {
    return [...this.#guests.keys()]
  }

  /** Replicas that take calls, by backend. */
  get ready(): Readonly<Record<string, number>> {
    const ready: Record<string, number> = {}
    for (const { spec, isStopping } of this.#guests.values()) if (!isStopping) ready[spec.backend] = (ready[spec.backend] ?? 0) + 1
    return ready
  }

  /** Rejects as a host does. */
  async start(spec: ReplicaSpec, isolation: string): Promise<TargetDescription> {
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
      this.#admit(spec, hosted)
      return hosted.description
    } finally {
      this.#starting.delete(spec.replicaId)
    }
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
    let stopTimer = (): void => {}
    const timeUp = new Promise<void>((resolve) => {
      stopTimer = timeoutMs > 0 ? this.#clock.after(timeoutMs, resolve) : () => {}
      if (timeoutMs <= 0) resolve()
    })
    await Promise.race([guest.queue.drainLane(guest.lane), timeUp])
    stopTimer()
    await guest.hosted.stop()
    this.#forget(guest, await guest.hosted.whenGone)
  }

  /** Passes a request of the controller on to a replica. `ERR_REPLICA_DIED` when it is not here. */
  async control(replicaId: string, method: keyof ReplicaControl, argument: unknown): Promise<unknown> {
    const control = this.#guests.get(replicaId)?.hosted.control
    if (control === undefined)
      throw new ServeError('ERR_REPLICA_DIED', `replica ${replicaId} is not on this peer`, { outcome: 'not-started' })
    switch (method) {
      case 'configure':
        return control.configure(argument as RuntimeLimits)
      case 'reconfigure':
        return control.reconfigure(argument)
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
    const isAlive = await new Promise<boolean>((resolve) => {
      const stop = this.#clock.after(SILENCE_MS, () => resolve(false))
      const answered = (): void => {
        stop()
        resolve(true)
      }
      guest.hosted.control.ping().then(answered, answered)
    })
    guest.isProbed = false
    if (isAlive || !this.#guests.has(guest.spec.replicaId)) return
    this.#log.warn({ backend: guest.spec.backend, replica: guest.spec.replicaId }, 'replica.hangs')
    await guest.hosted.stop()
    const reason = `its event loop did not turn for ${SILENCE_MS} ms and a call in it was past its deadline`
    this.#forget(guest, { reason, expected: false })
  }

  async close(timeoutMs: number): Promise<void> {
    for (const abort of this.#starting.values()) abort.abort(new ServeError('ERR_CANCELLED', 'the peer leaves'))
    await Promise.all(this.replicaIds.map((id) => this.stop(id, timeoutMs)))
  }

  #admit(spec: ReplicaSpec, hosted: HostedReplica): void {
    const queue = this.#init.queueFor(spec.backend, spec.limits)
    const lane = new CallLane(
      { port: hosted.port, owner: queue, window: spec.limits.maxConcurrentQueries, startedFlags: hosted.startedFlags },
      this.#clock,
    )
    const stopOutbound = serveOutbound(hosted.outbound, this.#init.router, this.#turns)
    const guest: Guest = { spec, hosted, lane, queue, stopOutbound, isStopping: false, isProbed: false }
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
