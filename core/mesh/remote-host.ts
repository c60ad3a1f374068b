import { ServeError } from '../base/index.ts'
import {
  type CallPort,
  type HostedReplica,
  type ReplicaControl,
  type ReplicaEnd,
  type ReplicaHost,
  type ReplicaSpec,
  raceAbort,
  type TargetDescription,
} from '../replica/index.ts'
import type { Link } from './link.ts'
import { BACKEND_PORT, type PeerControl } from './peer-control.ts'

/** What a host on another node works through. */
export interface RemoteNode {
  readonly id: string
  readonly name: string
  readonly link: Link
  readonly control: PeerControl
}

/** How long a replica on another node may finish what other callers have given it, in milliseconds. */
const DRAIN_MS = 20_000

/**
 * Starts replicas on another node. The port of one leads to the queue of its backend there; its death is told by that node, and the loss of the node
 * ends all that run on it.
 */
export class RemoteHost implements ReplicaHost {
  readonly name: string
  readonly #node: RemoteNode
  readonly #isolation: string
  readonly #ends: Map<string, (end: ReplicaEnd) => void>

  /** @param ends by replica id: told of the end of each; shared by all hosts of the node */
  constructor(node: RemoteNode, isolation: string, ends: Map<string, (end: ReplicaEnd) => void>) {
    this.name = `${isolation} of peer ${node.name}`
    this.#node = node
    this.#isolation = isolation
    this.#ends = ends
  }

  /** @param mark kept beside the replica, for whoever finds it there later */
  start(spec: ReplicaSpec, signal: AbortSignal, mark = ''): Promise<HostedReplica> {
    return this.#stand(spec, signal, (control) => control.request('start', spec, this.#isolation, mark))
  }

  /** As `start`, with a replica that runs there under another id. */
  adopt(runningId: string, spec: ReplicaSpec, signal: AbortSignal): Promise<HostedReplica> {
    const { replicaId, limits, userConfig } = spec
    return this.#stand(spec, signal, (control) => control.request('adopt', runningId, { replicaId, limits, userConfig }))
  }

  async #stand(
    { backend, replicaId }: ReplicaSpec,
    signal: AbortSignal,
    ask: (control: PeerControl) => Promise<unknown>,
  ): Promise<HostedReplica> {
    const { control, link } = this.#node
    signal.throwIfAborted()
    let end = (_end: ReplicaEnd): void => {}
    const whenGone = new Promise<ReplicaEnd>((resolve) => {
      end = resolve
    })
    this.#ends.set(replicaId, end)
    const forget = (): void => {
      if (this.#ends.get(replicaId) === end) this.#ends.delete(replicaId)
    }
    void whenGone.then(forget)
    try {
      const description = (await raceAbort(ask(control), signal)) as TargetDescription
      const port = link.openPort(BACKEND_PORT + backend)
      // When the whole link is gone its owner tells all ends, once it has seen to it that nothing is placed there again.
      port.onClosed((reason) => {
        if (!link.isGone) this.#ends.get(replicaId)?.(nodeGone(this.#node.name, reason))
      })
      return {
        description,
        port,
        outbound: SILENT_PORT,
        isRemote: true,
        control: remoteControl(control, replicaId),
        whenGone,
        stop: () => this.#stop(replicaId, port),
      }
    } catch (error) {
      forget()
      control.tell('abandon', replicaId)
      throw error
    }
  }

  async #stop(replicaId: string, port: CallPort): Promise<void> {
    const end = this.#ends.get(replicaId)
    if (end === undefined) return
    // A node that is gone has stopped it in its own way.
    await this.#node.control.request('stop', replicaId, DRAIN_MS).catch(() => undefined)
    end({ reason: 'stopped', expected: true })
    port.close()
  }
}

function remoteControl(control: PeerControl, replicaId: string): ReplicaControl {
  const ask = async (method: keyof ReplicaControl, argument?: unknown): Promise<void> => {
    await control.request('control', replicaId, method, argument)
  }
  return {
    configure: (limits) => ask('configure', limits),
    reconfigure: (userConfig) => ask('reconfigure', userConfig),
    checkHealth: () => ask('checkHealth'),
    ping: () => ask('ping'),
  }
}

/** Calls that its code makes are served where it runs. */
const SILENT_PORT: CallPort = Object.freeze({ post() {}, listen() {}, close() {} })

/** How the replicas of a node end that is out of reach. */
export function nodeGone(name: string, reason: string): ReplicaEnd {
  return {
    reason: `peer ${name} is out of reach (${reason})`,
    expected: false,
    placeGone: true,
    cause: new ServeError('ERR_PEER_UNREACHABLE', reason),
  }
}
