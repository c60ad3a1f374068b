import type { Clock } from '../base/index.ts'
import { CallLane, type CallPort } from '../replica/index.ts'
import { SLOTS_PER_CALL } from '../request/index.ts'
import { type BackendQueue, SLOTS_PER_NAMED_CALL } from '../router/index.ts'
import { withNames } from './call-limits.ts'
import { LazyPort } from './lazy-port.ts'
import type { Link } from './link.ts'
import { BACKEND_PORT } from './peer-control.ts'
import type { VirtualPort } from './virtual-port.ts'

/** Window of a lane until its queue sets it. */
const FIRST_WINDOW = 1

interface FarLane {
  readonly lane: CallLane
  /** Set while its node is not linked. */
  readonly lazy: LazyPort | undefined
}

interface FarNode {
  readonly link: Link | undefined
  /** No way there was found; it has no lanes until there is a link. */
  readonly isOut: boolean
  ready: Readonly<Record<string, number>>
  readonly lanes: Map<string, FarLane[]>
}

/**
 * Lanes to the replicas of other nodes: as many to a node as it has ready replicas of a backend, so that the queue counts its slots right. All of a
 * node lead to the one queue there, which gives each call to any of its replicas. A node to which there is no link has lanes too; the first call in one of
 * them asks for the link.
 */
export class FarLanes {
  readonly #queues: ReadonlyMap<string, BackendQueue>
  readonly #onNeeded: (nodeId: string) => void
  readonly #isLimited: () => boolean
  readonly #clock: Clock
  readonly #nodes = new Map<string, FarNode>()
  /** Lanes that take no more, with the queues whose calls are in them. */
  readonly #draining = new Map<CallLane, BackendQueue>()

  /**
   * @param queues by tag; kept up to date by its owner, who calls `refresh` then
   * @param onNeeded a call waits for a link to that node; answered by `set` with the link, or by `remove`
   * @param isLimited whether this node may call some endpoints alone; known when the first node is set
   */
  constructor(queues: ReadonlyMap<string, BackendQueue>, onNeeded: (nodeId: string) => void, isLimited: () => boolean, clock: Clock) {
    this.#queues = queues
    this.#onNeeded = onNeeded
    this.#isLimited = isLimited
    this.#clock = clock
  }

  /** What a node has ready, and the link to it, if there is one. */
  set(nodeId: string, link: Link | undefined, ready: Readonly<Record<string, number>>): void {
    const known = this.#nodes.get(nodeId)
    if (known !== undefined && (link === undefined || known.link === link)) known.ready = ready
    else {
      const lanes = known?.link === undefined ? this.#linked(nodeId, link, known) : this.#retired(known)
      this.#nodes.set(nodeId, { link, isOut: false, ready, lanes })
    }
    this.refresh()
  }

  /** There is no way to the node, or it is not there any more: calls in its lanes are told or go elsewhere. It has none until a link is set. */
  remove(nodeId: string, reason: string): void {
    const node = this.#nodes.get(nodeId)
    if (node === undefined) return
    this.#nodes.set(nodeId, { link: undefined, isOut: true, ready: node.ready, lanes: new Map() })
    for (const [tag, lanes] of node.lanes) {
      for (const { lane, lazy } of lanes.splice(0)) {
        lazy?.refuse(reason)
        this.#queues.get(tag)?.removeLane(lane, reason, false)
      }
    }
  }

  /** Whether calls to the node have not their answers yet. */
  isBusy(nodeId: string): boolean {
    for (const lanes of this.#nodes.get(nodeId)?.lanes.values() ?? []) if (lanes.some(({ lane }) => lane.outstanding > 0)) return true
    return false
  }

  /** The link to the node is not to be used any more; the next call waits for another, or for this one when it is set again. */
  unlink(nodeId: string): void {
    const node = this.#nodes.get(nodeId)
    if (node?.link === undefined) return
    this.#nodes.set(nodeId, { link: undefined, isOut: false, ready: node.ready, lanes: new Map() })
    this.refresh()
    this.#retired(node)
  }

  /** Nobody seeks a way to the node any more: the next call does. */
  revive(nodeId: string): void {
    const node = this.#nodes.get(nodeId)
    if (node === undefined || !node.isOut) return
    this.#nodes.set(nodeId, { ...node, isOut: false })
    this.refresh()
  }

  /** Calls in all lanes are told. */
  close(reason: string): void {
    for (const nodeId of [...this.#nodes.keys()]) this.remove(nodeId, reason)
    this.#nodes.clear()
    for (const [lane, queue] of this.#draining) queue.removeLane(lane, reason, false)
    this.#draining.clear()
  }

  /** Forgets nodes that are not listed any more. */
  retain(isListed: (nodeId: string) => boolean): void {
    for (const [nodeId, { link }] of this.#nodes) {
      if (isListed(nodeId) || link !== undefined) continue
      this.remove(nodeId, `peer ${nodeId} is gone`)
      this.#nodes.delete(nodeId)
    }
  }

  /** Makes the lanes as the nodes and the queues are now. */
  refresh(): void {
    for (const [nodeId, { link, isOut, ready, lanes }] of this.#nodes) {
      if (isOut || link?.isGone === true) continue
      for (const tag of new Set([...Object.keys(ready), ...lanes.keys()])) {
        const queue = this.#queues.get(tag)
        const list = lanes.get(tag) ?? []
        lanes.set(tag, list)
        const wanted = queue === undefined ? 0 : (ready[tag] ?? 0)
        while (list.length < wanted && queue !== undefined) this.#open(nodeId, link, tag, queue, list)
        for (const one of list.splice(wanted)) this.#retire(queue, one)
      }
    }
  }

  #open(nodeId: string, link: Link | undefined, tag: string, owner: BackendQueue, list: FarLane[]): void {
    const isLimited = this.#isLimited()
    const slots = isLimited ? SLOTS_PER_NAMED_CALL : SLOTS_PER_CALL
    const lazy = link === undefined ? new LazyPort(() => this.#onNeeded(nodeId), slots) : undefined
    const port: CallPort | undefined = lazy ?? link?.openPort(BACKEND_PORT + tag)
    if (port === undefined) return
    const named = isLimited ? withNames(port, (id) => lane.at(id)?.endpoint) : port
    const lane: CallLane = new CallLane({ port: named, owner, window: FIRST_WINDOW, isRemote: true }, this.#clock)
    list.push({ lane, lazy })
    owner.addLane(lane)
    if (lazy === undefined) this.#watch(nodeId, port as VirtualPort, lane, owner, list)
  }

  #watch(nodeId: string, port: VirtualPort, lane: CallLane, queue: BackendQueue | undefined, list: FarLane[]): void {
    port.onClosed((reason) => {
      const at = list.findIndex((one) => one.lane === lane)
      if (at >= 0) list.splice(at, 1)
      queue?.removeLane(lane, `peer ${nodeId} is out of reach (${reason})`, false)
    })
  }

  /** The lanes of a node that had no link, with the ports of the one it has now. */
  #linked(nodeId: string, link: Link | undefined, node: FarNode | undefined): Map<string, FarLane[]> {
    const all = new Map<string, FarLane[]>()
    for (const [tag, lanes] of node?.lanes ?? []) {
      const list: FarLane[] = []
      all.set(tag, list)
      for (const { lane, lazy } of lanes) {
        const port = link?.openPort(BACKEND_PORT + tag)
        if (port === undefined) continue
        list.push({ lane, lazy: undefined })
        this.#watch(nodeId, port, lane, this.#queues.get(tag), list)
        lazy?.use(port)
      }
    }
    return all
  }

  /** What the lanes of another link hold is answered there first. */
  #retired({ lanes }: FarNode): Map<string, FarLane[]> {
    for (const [tag, list] of lanes) for (const one of list.splice(0)) this.#retire(this.#queues.get(tag), one)
    return new Map()
  }

  /** Takes no more for it; what it holds is answered first, but for calls that wait for a link: those go elsewhere. */
  #retire(queue: BackendQueue | undefined, { lane, lazy }: FarLane): void {
    if (queue === undefined) return void lane.close()
    this.#draining.set(lane, queue)
    void queue.drainLane(lane).then(() => {
      if (this.#draining.delete(lane)) queue.removeLane(lane, 'the replica went', false)
    })
    lazy?.refuse('the replica went')
  }
}
