import { type Random, randomName, ServeError } from '../base/index.ts'
import { isMeshRole, type MeshRole } from './roles.ts'
import {
  type CredentialClaims,
  type Grant,
  type MeshSigner,
  notValid,
  type PeekClaims,
  readTicket,
  resolveTicketOptions,
  type TicketClaims,
  type TicketOptions,
  type VerifySigned,
} from './ticket.ts'
import { TicketBook } from './ticket-book.ts'

/** How long a credential lasts; members get a new one at half of it. */
export const CREDENTIAL_MS = 3_600_000

/** How long after its end a credential still brings its peer back to the controller; nobody else takes it then. */
export const RETURN_MS = 24 * 3_600_000

/** A credential, and what it says. */
export interface Credential {
  readonly claims: CredentialClaims
  readonly token: string
}

export interface AuthoritySeams {
  readonly signer: MeshSigner
  readonly verify: VerifySigned
  readonly peek: PeekClaims
  /** Milliseconds since 1970. */
  readonly epochMs: () => number
  /** For the names of tickets: they need not be secret, the signature is. */
  readonly random: Random
  /** What is known of tickets. @default an empty one that lives as long as this process */
  readonly book?: TicketBook
}

/** Who holds the key of a mesh: issues tickets, redeems them, and takes them back. */
export class MeshAuthority {
  readonly #seams: AuthoritySeams
  readonly #book: TicketBook

  constructor(seams: AuthoritySeams) {
    this.#seams = seams
    this.#book = seams.book ?? new TicketBook({ epochMs: seams.epochMs })
  }

  /** Public key of the mesh. */
  get publicKey(): string {
    return this.#seams.signer.publicKey
  }

  get revoked(): readonly string[] {
    return this.#book.revoked
  }

  isRevoked(ticketId: string): boolean {
    return this.#book.isRevoked(ticketId)
  }

  /** `ERR_INVALID_CONFIG`; `ERR_UNSUPPORTED` without an address to dial. */
  async createTicket(options: TicketOptions | undefined, addresses: readonly string[]): Promise<string> {
    const { ttlMs, uses, ...grant } = resolveTicketOptions(options)
    if (addresses.length === 0)
      throw new ServeError('ERR_UNSUPPORTED', 'createTicket: this instance listens nowhere, so nobody could dial it')
    const { signer, epochMs, random } = this.#seams
    const claims: TicketClaims = {
      mesh: signer.publicKey,
      id: randomName(random, 20),
      addresses: [...addresses],
      expiresAtMs: epochMs() + ttlMs,
      uses,
      ...grant,
    }
    await this.#book.add(claims)
    return signer.sign('ticket', claims)
  }

  /** Lets a peer in by a ticket of this mesh and makes its credential. `ERR_TICKET_INVALID`, `ERR_TICKET_EXPIRED`, `ERR_TICKET_USED`, `ERR_FORBIDDEN`. */
  async redeem(ticket: string, peerId: string, wantedRoles: readonly string[] | undefined): Promise<Credential> {
    const claims = await this.#read(ticket)
    const roles = wantedRoles === undefined ? claims.roles : narrowed(claims.roles, wantedRoles)
    await this.#book.redeem(claims, peerId)
    return this.issue(peerId, claims.id, { ...claims, roles })
  }

  /** A credential bound to a peer. */
  async issue(peerId: string, ticketId: string, { roles, maxReplicas, endpoints, trusted }: Grant): Promise<Credential> {
    const { signer, epochMs } = this.#seams
    const claims: CredentialClaims = {
      mesh: signer.publicKey,
      peerId,
      ticketId,
      expiresAtMs: epochMs() + CREDENTIAL_MS,
      roles,
      trusted,
      ...(maxReplicas !== undefined && { maxReplicas }),
      ...(endpoints !== undefined && { endpoints }),
    }
    return { claims, token: await signer.sign('peer', claims) }
  }

  /**
   * A new credential for a member that comes back with one, which may have ended up to a day ago: whoever was cut off comes back by itself. That it is the
   * same peer the transport has proven. `ERR_TICKET_EXPIRED`; `ERR_TICKET_INVALID` when its ticket was revoked.
   */
  renew(claims: CredentialClaims): Promise<Credential> {
    const { peerId, ticketId, expiresAtMs } = claims
    if (this.isRevoked(ticketId)) throw notValid('the ticket of this peer was revoked')
    const lateMs = this.#seams.epochMs() - expiresAtMs
    if (lateMs < RETURN_MS) return this.issue(peerId, ticketId, claims)
    const hours = Math.floor(lateMs / 3_600_000)
    throw new ServeError(
      'ERR_TICKET_EXPIRED',
      `peer ${peerId} was away for too long: its credential ended ${hours} h ago; join with a new ticket`,
    )
  }

  /** What another controller of the mesh has noted of tickets. */
  takeIn(kept: ReadonlyMap<string, unknown>): void {
    this.#book.takeIn(kept)
  }

  /** @returns the id of the ticket, by which peers that came with it are known */
  async revoke(ticket: string): Promise<string> {
    const claims = await this.#read(ticket)
    await this.#book.revoke(claims)
    return claims.id
  }

  async #read(ticket: string): Promise<TicketClaims> {
    const claims = await readTicket(ticket, this.#seams.verify, this.#seams.peek)
    if (claims.mesh !== this.publicKey) throw notValid('the ticket is of another mesh')
    return claims
  }
}

function narrowed(granted: readonly MeshRole[], wanted: readonly string[]): MeshRole[] {
  const roles = [...new Set(wanted)].filter(isMeshRole)
  const missing = wanted.find((role) => !(granted as readonly string[]).includes(role))
  if (missing !== undefined || roles.length === 0) {
    throw new ServeError('ERR_FORBIDDEN', `the ticket grants ${granted.join(', ')}, not ${missing ?? 'no role at all'}`)
  }
  return roles
}
