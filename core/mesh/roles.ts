import { isServeError, ServeError } from '../base/index.ts'

/** What a member may do. `caller` invokes, `replica` hosts, `gateway` opens HTTP, `controller` edits and keeps the state. */
export const MESH_ROLES = Object.freeze(['replica', 'caller', 'gateway', 'controller'] as const)
/** One of {@link MESH_ROLES}. */
export type MeshRole = (typeof MESH_ROLES)[number]

export function isMeshRole(value: unknown): value is MeshRole {
  return (MESH_ROLES as readonly unknown[]).includes(value)
}

/** Checked by whoever receives a message, from the credential that its sender has shown, never from the message. Throws `ERR_FORBIDDEN`. */
export function requireRole(member: { readonly peerId: string; readonly roles: readonly MeshRole[] }, role: MeshRole, what: string): void {
  if (member.roles.includes(role)) return
  const has = member.roles.join(', ') || 'none'
  throw new ServeError(
    'ERR_FORBIDDEN',
    `${what} needs the role ${role}; peer ${member.peerId} has ${has}. Join with a ticket that grants it`,
    { details: { role } },
  )
}

/** Whether {@link requireRole} threw it. */
export function isRoleError(error: unknown): error is ServeError {
  return isServeError(error, 'ERR_FORBIDDEN') && (error.details as { readonly role?: unknown } | undefined)?.role !== undefined
}
