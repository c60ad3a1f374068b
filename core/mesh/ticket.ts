import { ServeError } from '../base/index.ts'
import { isMeshRole, MESH_ROLES, type MeshRole } from './roles.ts'

/** What `createTicket` is asked for. */
export interface TicketOptions {
  /** @default ['replica', 'caller'] */
  readonly roles?: readonly MeshRole[]
  /** How long it may be redeemed, in milliseconds from now; 1 or more. @default 600000 */
  readonly ttlMs?: number
  /** How many peers may join with it; integer of 1 or more. @default 1 */
  readonly uses?: number
  /** Most replicas that a peer may be given; integer of 0 or more. @default no limit */
  readonly maxReplicas?: number
  /** Endpoints that a peer may call. @default all */
  readonly endpoints?: readonly string[]
  /** False: nobody vouches for who comes by it, who is given only backends with `placement.untrusted`. A page is never trusted. @default true */
  readonly trusted?: boolean
}

/** What a ticket or a credential grants. */
export interface Grant {
  readonly roles: readonly MeshRole[]
  readonly maxReplicas?: number
  readonly endpoints?: readonly string[]
  readonly trusted: boolean
}

/** What a ticket says, all of it under the signature. */
export interface TicketClaims extends Grant {
  /** Public key of the mesh: 32 bytes of Ed25519 in base64url. */
  readonly mesh: string
  readonly id: string
  /** Where the issuer can be dialled; each names its peer id. */
  readonly addresses: readonly string[]
  /** Milliseconds since 1970, by the issuer's clock. */
  readonly expiresAtMs: number
  readonly uses: number
}

/** What a member shows to others. Bound to its peer id, which the transport proves: worthless to anyone else. */
export interface CredentialClaims extends Grant {
  readonly mesh: string
  readonly peerId: string
  /** The ticket that it was given for; '' for the controller's own. */
  readonly ticketId: string
  readonly expiresAtMs: number
}

/** The kinds of what the mesh key signs. */
export type SignedKind = 'ticket' | 'peer'

/** The key of a mesh. */
export interface MeshSigner {
  readonly publicKey: string
  sign(kind: SignedKind, claims: object): Promise<string>
}

/** Resolves with the claims when the key has signed them as this kind, and rejects with `ERR_TICKET_INVALID` otherwise. */
export type VerifySigned = (kind: SignedKind, token: string, publicKey: string) => Promise<Record<string, unknown>>

/** Claims of a ticket that nobody has verified, to know by which key it must be. */
export type PeekClaims = (token: string) => Record<string, unknown>

/** Longest ticket in characters. */
const MAX_TICKET_CHARS = 8_192

const DEFAULT_TTL_MS = 600_000

/** Checks and fills what `createTicket` was asked for. `ERR_INVALID_CONFIG`. */
export function resolveTicketOptions(options: TicketOptions = {}): Grant & { readonly ttlMs: number; readonly uses: number } {
  const { roles = ['replica', 'caller'], ttlMs = DEFAULT_TTL_MS, uses = 1, maxReplicas, endpoints, trusted = true, ...unknown } = options
  const stranger = Object.keys(unknown)[0]
  if (stranger !== undefined)
    throw invalid(`option ${stranger} is unknown; there are roles, ttlMs, uses, maxReplicas, endpoints and trusted`)
  if (!Array.isArray(roles) || roles.length === 0 || !roles.every(isMeshRole))
    throw invalid(`roles must be some of ${MESH_ROLES.join(', ')}`)
  if (typeof ttlMs !== 'number' || !(ttlMs >= 1)) throw invalid(`ttlMs must be a number of 1 or more, got ${String(ttlMs)}`)
  if (!Number.isInteger(uses) || uses < 1) throw invalid(`uses must be an integer of 1 or more, got ${String(uses)}`)
  if (maxReplicas !== undefined && (!Number.isInteger(maxReplicas) || maxReplicas < 0)) {
    throw invalid(`maxReplicas must be an integer of 0 or more, got ${String(maxReplicas)}`)
  }
  if (endpoints !== undefined && !(Array.isArray(endpoints) && endpoints.every((name) => typeof name === 'string'))) {
    throw invalid('endpoints must be a list of names')
  }
  if (typeof trusted !== 'boolean') throw invalid(`trusted must be true or false, got ${String(trusted)}`)
  if (!trusted && roles.includes('controller')) throw invalid('a controller has the key of the mesh; trusted cannot be false for it')
  return {
    roles: [...new Set(roles)],
    ttlMs,
    uses,
    trusted,
    ...(maxReplicas !== undefined && { maxReplicas }),
    ...(endpoints !== undefined && { endpoints: [...endpoints] }),
  }
}

/**
 * Reads a ticket and checks that the key it names has signed all of it, addresses included. Nothing was dialled yet. Whether it has expired or was
 * used only its issuer decides. Rejects with `ERR_TICKET_INVALID`.
 */
export async function readTicket(ticket: unknown, verify: VerifySigned, peek: PeekClaims): Promise<TicketClaims> {
  if (typeof ticket !== 'string' || ticket.length > MAX_TICKET_CHARS) {
    throw notValid(
      `a ticket is a text of at most ${MAX_TICKET_CHARS} characters, got ${typeof ticket === 'string' ? ticket.length : typeof ticket}`,
    )
  }
  const { mesh } = peek(ticket)
  if (typeof mesh !== 'string') throw notValid('the text is no ticket')
  return toTicketClaims(await verify('ticket', ticket, mesh), mesh)
}

/** The same for what a member shows, against the key of the mesh that one is in. */
export async function readCredential(token: unknown, mesh: string, verify: VerifySigned): Promise<CredentialClaims> {
  if (typeof token !== 'string' || token.length > MAX_TICKET_CHARS) throw notValid('a credential is missing')
  const claims = await verify('peer', token, mesh)
  const { peerId, ticketId, expiresAtMs } = claims
  if (claims.mesh !== mesh || typeof peerId !== 'string' || typeof ticketId !== 'string' || typeof expiresAtMs !== 'number') {
    throw notValid('a credential is malformed')
  }
  return { ...toGrant(claims), mesh, peerId, ticketId, expiresAtMs }
}

function toTicketClaims(claims: Record<string, unknown>, mesh: string): TicketClaims {
  const { id, addresses, expiresAtMs, uses } = claims
  const isWhole =
    claims.mesh === mesh && typeof id === 'string' && isTexts(addresses) && typeof expiresAtMs === 'number' && typeof uses === 'number'
  if (!isWhole) throw notValid('the ticket is malformed')
  return { ...toGrant(claims), mesh, id, addresses, expiresAtMs, uses }
}

function toGrant({ roles, maxReplicas, endpoints, trusted }: Record<string, unknown>): Grant {
  if (!Array.isArray(roles) || !roles.every(isMeshRole)) throw notValid('its roles are malformed')
  return {
    roles,
    trusted: trusted === true,
    ...(typeof maxReplicas === 'number' && { maxReplicas }),
    ...(isTexts(endpoints) && { endpoints }),
  }
}

const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every((item) => typeof item === 'string')

const invalid = (why: string): ServeError => new ServeError('ERR_INVALID_CONFIG', `createTicket: ${why}`)

export const notValid = (why: string): ServeError => new ServeError('ERR_TICKET_INVALID', why)
