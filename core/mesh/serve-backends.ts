import type { Clock, ServeError, Turns } from '../base/index.ts'
import type { RoutingTable } from '../model/index.ts'
import { type BackendQueue, type GuestCalls, serveGuestCalls } from '../router/index.ts'
import type { Call } from '../service/index.ts'
import type { Member } from './admission.ts'
import { notGranted, notLed } from './call-limits.ts'
import type { Gatekeeper } from './gatekeeper.ts'
import type { Link } from './link.ts'
import { BACKEND_PORT } from './peer-control.ts'
import { requireRole } from './roles.ts'
import type { VirtualPort } from './virtual-port.ts'

/** How long calls are still judged by a table that another has replaced, in milliseconds: they have left before their caller knew. */
export const TABLE_COUNTS_MS = 5_000
/** Such tables that are kept; of more the oldest go. */
const MAX_TABLES = 64

export interface BackendsHere {
  readonly queues: () => ReadonlyMap<string, BackendQueue>
  readonly table: () => RoutingTable
}

/** Takes the ports by which members call backends, and holds each call to what the ticket of its caller says. */
export class BackendDoor {
  readonly #here: BackendsHere
  readonly #gate: Pick<Gatekeeper, 'strike' | 'noteForbidden'>
  readonly #clock: Clock
  readonly #turns: Turns
  readonly #guests = new WeakMap<Link, Set<GuestCalls>>()
  #table: RoutingTable
  /** The newest first. */
  #replaced: readonly { readonly table: RoutingTable; readonly untilMs: number }[] = []

  constructor(here: BackendsHere, gate: Pick<Gatekeeper, 'strike' | 'noteForbidden'>, clock: Clock, turns: Turns) {
    this.#here = here
    this.#gate = gate
    this.#clock = clock
    this.#turns = turns
    this.#table = here.table()
  }

  /** `ERR_FORBIDDEN` when the member is no caller; each call of one whose ticket names endpoints is judged. False for a port of another kind. */
  serve(port: VirtualPort, member: Member): boolean {
    if (!port.name.startsWith(BACKEND_PORT)) return false
    const backend = port.name.slice(BACKEND_PORT.length)
    requireRole(member, 'caller', `calling backend ${backend}`)
    const { endpoints } = member
    const refuse = endpoints === undefined ? undefined : (call: Call) => this.#judge(call, member, endpoints, backend)
    const calls = serveGuestCalls({ port, queue: () => this.#here.queues().get(backend), backend, refuse }, this.#turns)
    const guests = this.#guests.get(member.link) ?? new Set()
    this.#guests.set(member.link, guests.add(calls))
    port.onClosed(() => {
      guests.delete(calls)
      calls.stop()
    })
    return true
  }

  /** Whether calls that came by the link are not answered yet. */
  isBusy(link: Link): boolean {
    for (const { open } of this.#guests.get(link) ?? []) if (open > 0) return true
    return false
  }

  /** The table has changed. */
  refresh(): void {
    const table = this.#here.table()
    if (table === this.#table) return
    const nowMs = this.#clock.nowMs()
    const replaced = [{ table: this.#table, untilMs: nowMs + TABLE_COUNTS_MS }, ...this.#replaced]
    this.#replaced = replaced.filter(({ untilMs }) => untilMs > nowMs).slice(0, MAX_TABLES)
    this.#table = table
  }

  /** What no table explains counts against the member. */
  #judge(call: Call, member: Member, endpoints: readonly string[], backend: string): ServeError | undefined {
    const breach = notGranted(call, member.peerId, endpoints)
    if (breach !== undefined) {
      this.#gate.strike(member, breach.message)
      return breach
    }
    this.refresh()
    const refusalBy = ({ endpoints: entries }: RoutingTable): ServeError | undefined => notLed(call, backend, entries.get(call.endpoint))
    const refusal = refusalBy(this.#table)
    if (refusal === undefined) return undefined
    const nowMs = this.#clock.nowMs()
    if (this.#replaced.some(({ table, untilMs }) => untilMs > nowMs && refusalBy(table) === undefined)) return undefined
    this.#gate.noteForbidden()
    return refusal
  }
}
