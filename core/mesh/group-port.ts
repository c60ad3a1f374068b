import { ServeError } from '../base/index.ts'
import type { Member } from './admission.ts'
import type { ControllerGroup, GroupMessage, GroupSeat } from './controller-group.ts'
import { requireRole } from './roles.ts'
import {
  DIGEST_RANGES,
  isEpoch,
  type MapConflict,
  type MapDelta,
  type MapEntry,
  type Version,
  type VersionVector,
} from './versioned-map.ts'
import type { VirtualPort } from './virtual-port.ts'

/** What controllers say to each other. One message of the port is one {@link GroupMessage}. */
export const GROUP_PORT = 'group'

/**
 * Seats another controller by a port of its link, which either side may have opened. `ERR_FORBIDDEN` without the role `controller`. What does not have
 * the shape of a message ends the seat: the state of all controllers is not where to be lenient.
 */
export function seatController(port: VirtualPort, member: Pick<Member, 'peerId' | 'roles'>, group: ControllerGroup): GroupSeat {
  requireRole(member, 'controller', 'keeping the state')
  const seat = group.attach(member.peerId, (message) => port.post([message]))
  port.listen(([message]) => {
    if (isGroupMessage(message)) return seat.receive(message)
    seat.detach()
    port.close()
  })
  port.onClosed(() => seat.detach())
  return seat
}

/** As {@link seatController}, for a port that the other side opened; false for a port of another kind. */
export function serveGroupPort(port: VirtualPort, member: Pick<Member, 'peerId' | 'roles'>, group: ControllerGroup | undefined): boolean {
  if (port.name !== GROUP_PORT) return false
  if (group === undefined) throw new ServeError('ERR_UNSUPPORTED', 'this peer is no controller')
  seatController(port, member, group)
  return true
}

/** Whether something from the wire is a message of the group. Values of entries are opaque. */
export function isGroupMessage(value: unknown): value is GroupMessage {
  if (!isRecord(value)) return false
  const message = value as Record<string, unknown>
  switch (message.kind) {
    case 'beat':
      return isEpoch(message.leader) && isNumber(message.unseenMs) && isVector(message.vector) && typeof message.root === 'string'
    case 'delta':
      return isDelta(message.delta)
    case 'digests':
      return Array.isArray(message.digests) && message.digests.length === DIGEST_RANGES * 2 && message.digests.every(isNumber)
    case 'entries':
      return isEntries(message.entries)
    case 'conflict':
      return isConflict(message.conflict)
    default:
      return false
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function isVersion(value: unknown): value is Version {
  return isEpoch(value) && isCount((value as Version).sequence)
}

function isVector(value: unknown): value is VersionVector {
  return isRecord(value) && Object.entries(value).every(([epoch, sequence]) => /^\d+:/.test(epoch) && isCount(sequence))
}

function isEntries(value: unknown): value is readonly MapEntry[] {
  return (
    Array.isArray(value) && value.every((entry) => isRecord(entry) && isKey(entry.key) && isVersion(entry.version) && isVector(entry.seen))
  )
}

function isDelta(value: unknown): value is MapDelta {
  return isRecord(value) && isVector(value.from) && isVector(value.to) && isEntries(value.entries)
}

function isConflict(value: unknown): value is MapConflict {
  return isRecord(value) && isKey(value.key) && isVersion(value.kept) && isVersion(value.lost)
}

const isKey = (value: unknown): value is string => typeof value === 'string' && value !== ''
