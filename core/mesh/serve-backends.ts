import { ServeError, type Turns } from '../base/index.ts'
import type { RoutingTable } from '../model/index.ts'
import { type BackendQueue, serveGuestCalls } from '../router/index.ts'
import type { Member } from './admission.ts'
import { BACKEND_PORT } from './peer-control.ts'
import { requireRole } from './roles.ts'
import type { VirtualPort } from './virtual-port.ts'

export interface BackendsHere {
  readonly queues: ReadonlyMap<string, BackendQueue>
  readonly table: () => RoutingTable
}

/**
 * Takes a port by which a member calls a backend: `ERR_FORBIDDEN` when it is no caller, or its ticket names endpoints and none of them leads there.
 * False for a port of another kind.
 */
export function serveBackendPort(port: VirtualPort, member: Member, { queues, table }: BackendsHere, turns: Turns): boolean {
  if (!port.name.startsWith(BACKEND_PORT)) return false
  const backend = port.name.slice(BACKEND_PORT.length)
  requireRole(member, 'caller', `calling backend ${backend}`)
  const { endpoints } = member
  if (endpoints !== undefined && !endpoints.some((name) => leadsTo(table(), name, backend))) {
    throw new ServeError(
      'ERR_FORBIDDEN',
      `the ticket of peer ${member.peerId} is for the endpoints ${endpoints.join(', ')}, not for backend ${backend}`,
    )
  }
  const stop = serveGuestCalls({ port, queue: () => queues.get(backend), backend }, turns)
  port.onClosed(stop)
  return true
}

function leadsTo({ endpoints }: RoutingTable, endpoint: string, backend: string): boolean {
  const policy = endpoints.get(endpoint)?.policy
  return policy !== undefined && [...policy.entries, ...policy.shadows].some((entry) => entry.backend === backend)
}
