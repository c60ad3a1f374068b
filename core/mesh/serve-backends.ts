import { type Clock, ServeError, type Stop, type Turns } from '../base/index.ts'
import type { RoutingTable } from '../model/index.ts'
import { type BackendQueue, serveGuestCalls } from '../router/index.ts'
import type { Member } from './admission.ts'
import { tagsOf } from './member-view.ts'
import { BACKEND_PORT } from './peer-control.ts'
import { requireRole } from './roles.ts'
import type { VirtualPort } from './virtual-port.ts'

/** How long calls are still taken by a way that traffic has closed, in milliseconds: they have left before their caller knew. */
export const WAY_CLOSES_MS = 5_000

export interface BackendsHere {
  readonly queues: () => ReadonlyMap<string, BackendQueue>
  readonly table: () => RoutingTable
}

/** Takes the ports by which members call backends, and holds each call to what the ticket of its caller says. */
export class BackendDoor {
  readonly #here: BackendsHere
  readonly #ways = new Set<Way>()
  readonly #clock: Clock
  readonly #turns: Turns

  constructor(here: BackendsHere, clock: Clock, turns: Turns) {
    this.#here = here
    this.#clock = clock
    this.#turns = turns
  }

  /**
   * `ERR_FORBIDDEN` when the member is no caller, or its ticket names endpoints and none of them leads there; each call is asked again. False for a port
   * of another kind.
   */
  serve(port: VirtualPort, member: Member): boolean {
    if (!port.name.startsWith(BACKEND_PORT)) return false
    const backend = port.name.slice(BACKEND_PORT.length)
    requireRole(member, 'caller', `calling backend ${backend}`)
    const { endpoints } = member
    const leadsThere = (name: string): boolean => {
      const entry = this.#here.table().endpoints.get(name)
      return entry !== undefined && tagsOf(entry).includes(backend)
    }
    const way = endpoints === undefined ? undefined : new Way(() => endpoints.some(leadsThere), this.#clock)
    const refuse = (): ServeError | undefined => (way?.isOpen === false ? noWay(member, endpoints ?? [], backend) : undefined)
    const refusal = refuse()
    if (refusal !== undefined) throw refusal
    if (way !== undefined) this.#ways.add(way)
    const stop = serveGuestCalls({ port, queue: () => this.#here.queues().get(backend), backend, refuse }, this.#turns)
    port.onClosed(() => {
      if (way !== undefined) this.#ways.delete(way)
      way?.close()
      stop()
    })
    return true
  }

  /** The table has changed. */
  refresh(): void {
    for (const way of this.#ways) way.look()
  }
}

/** A way to a backend that is open as long as an endpoint leads there, and a little longer. */
class Way {
  readonly #isWanted: () => boolean
  readonly #clock: Clock
  #stopClosing: Stop | undefined
  isOpen: boolean

  constructor(isWanted: () => boolean, clock: Clock) {
    this.#isWanted = isWanted
    this.#clock = clock
    this.isOpen = isWanted()
  }

  look(): void {
    if (this.#isWanted()) {
      this.close()
      this.isOpen = true
    } else if (this.isOpen) {
      this.#stopClosing ??= this.#clock.after(WAY_CLOSES_MS, () => {
        this.#stopClosing = undefined
        this.isOpen = false
      })
    }
  }

  /** Leaves nothing behind. */
  close(): void {
    this.#stopClosing?.()
    this.#stopClosing = undefined
  }
}

const noWay = ({ peerId }: Member, endpoints: readonly string[], backend: string): ServeError =>
  new ServeError('ERR_FORBIDDEN', `the ticket of peer ${peerId} is for the endpoints ${endpoints.join(', ')}, not for backend ${backend}`, {
    outcome: 'not-started',
  })
