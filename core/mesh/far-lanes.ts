import type { Clock } from '../base/index.ts'
import { CallLane } from '../replica/index.ts'
import type { BackendQueue } from '../router/index.ts'
import type { Link } from './link.ts'
import { BACKEND_PORT } from './peer-control.ts'

/** Window of a lane until its queue sets it. */
const FIRST_WINDOW = 1

/**
 * Lanes to the replicas of other nodes: as many to a node as it has ready replicas of a backend, so that the queue counts its slots right. All of a
 * node lead to the one queue there, which gives each call to any of its replicas.
 */
export class FarLanes {
  readonly #queues: ReadonlyMap<string, BackendQueue>
  readonly #clock: Clock
  readonly #nodes = new Map<
    string,
    { readonly link: Link; ready: Readonly<Record<string, number>>; readonly lanes: Map<string, CallLane[]> }
  >()

  /** @param queues by tag; kept up to date by its owner, who calls `refresh` then */
  constructor(queues: ReadonlyMap<string, BackendQueue>, clock: Clock) {
    this.#queues = queues
    this.#clock = clock
  }

  /** What a node has ready, and the link to it. */
  set(nodeId: string, link: Link, ready: Readonly<Record<string, number>>): void {
    const known = this.#nodes.get(nodeId)
    if (known?.link === link) known.ready = ready
    else {
      // What the lanes of another link hold is answered there first.
      for (const [tag, lanes] of known?.lanes ?? []) for (const lane of lanes.splice(0)) this.#retire(this.#queues.get(tag), lane)
      this.#nodes.set(nodeId, { link, ready, lanes: new Map() })
    }
    this.refresh()
  }

  /** The node is gone: calls in its lanes are told or go elsewhere. */
  remove(nodeId: string, reason: string): void {
    const node = this.#nodes.get(nodeId)
    this.#nodes.delete(nodeId)
    for (const [tag, lanes] of node?.lanes ?? []) for (const lane of lanes.splice(0)) this.#queues.get(tag)?.removeLane(lane, reason, false)
  }

  /** Makes the lanes as the nodes and the queues are now. */
  refresh(): void {
    for (const [nodeId, { link, ready, lanes }] of this.#nodes) {
      if (link.isGone) continue
      for (const tag of new Set([...Object.keys(ready), ...lanes.keys()])) {
        const queue = this.#queues.get(tag)
        const list = lanes.get(tag) ?? []
        lanes.set(tag, list)
        const wanted = queue === undefined ? 0 : (ready[tag] ?? 0)
        while (list.length < wanted && queue !== undefined) this.#open(nodeId, link, tag, queue, list)
        for (const lane of list.splice(wanted)) this.#retire(queue, lane)
      }
    }
  }

  #open(nodeId: string, link: Link, tag: string, queue: BackendQueue, list: CallLane[]): void {
    const port = link.openPort(BACKEND_PORT + tag)
    const lane = new CallLane({ port, owner: queue, window: FIRST_WINDOW, isRemote: true }, this.#clock)
    list.push(lane)
    queue.addLane(lane)
    port.onClosed((reason) => {
      const at = list.indexOf(lane)
      if (at >= 0) list.splice(at, 1)
      queue.removeLane(lane, `peer ${nodeId} is out of reach (${reason})`, false)
    })
  }

  /** Takes no more for it; what it holds is answered first. */
  #retire(queue: BackendQueue | undefined, lane: CallLane): void {
    if (queue === undefined) return void lane.close()
    void queue.drainLane(lane).then(() => queue.removeLane(lane, 'the replica went', false))
  }
}
