import { ServeError } from '../base/index.ts'
import { notValid, type TicketClaims } from './ticket.ts'

/** Tickets kept in mind; the oldest that can no longer be redeemed go first. */
const MAX_TICKETS = 10_000

interface Entry {
  readonly expiresAtMs: number
  readonly uses: number
  readonly redeemedBy: Set<string>
  isRevoked: boolean
}

/** What the issuer knows of its tickets: who has used them, and which it took back. Its own clock decides, without leeway. */
export class TicketBook {
  readonly #entries = new Map<string, Entry>()
  readonly #epochMs: () => number

  /** @param epochMs milliseconds since 1970 */
  constructor(epochMs: () => number) {
    this.#epochMs = epochMs
  }

  /** Notes a ticket that was issued. `ERR_BACK_PRESSURE` when too many are open. */
  add(claims: TicketClaims): void {
    if (this.#entries.size >= MAX_TICKETS) this.#forgetSpent()
    if (this.#entries.size >= MAX_TICKETS) {
      throw new ServeError('ERR_BACK_PRESSURE', `${MAX_TICKETS} tickets are open; let some expire, or issue one with more uses`)
    }
    this.#entries.set(claims.id, { expiresAtMs: claims.expiresAtMs, uses: claims.uses, redeemedBy: new Set(), isRevoked: false })
  }

  /**
   * Lets a peer in by a ticket whose signature was checked. `ERR_TICKET_EXPIRED`, `ERR_TICKET_USED`, or `ERR_TICKET_INVALID` for one that was taken back
   * or was never issued here. The same peer may redeem again, as its first answer may have been lost.
   */
  redeem(claims: TicketClaims, peerId: string): void {
    const entry = this.#entries.get(claims.id)
    if (entry === undefined) throw notValid('the ticket was not issued by this controller, or it has forgotten it')
    if (entry.isRevoked) throw notValid('the ticket was revoked')
    const lateMs = this.#epochMs() - entry.expiresAtMs
    if (lateMs >= 0) throw new ServeError('ERR_TICKET_EXPIRED', `the ticket expired ${Math.ceil(lateMs / 1000)} s ago; ask for a new one`)
    if (entry.redeemedBy.has(peerId)) return
    if (entry.redeemedBy.size >= entry.uses) {
      throw new ServeError('ERR_TICKET_USED', `the ticket was used ${entry.redeemedBy.size} times of ${entry.uses}; ask for a new one`)
    }
    entry.redeemedBy.add(peerId)
  }

  /** Takes a ticket back; peers that came by it are no longer welcome. Unknown ones are noted as well. */
  revoke(claims: Pick<TicketClaims, 'id' | 'expiresAtMs' | 'uses'>): void {
    const entry = this.#entries.get(claims.id)
    if (entry !== undefined) entry.isRevoked = true
    else this.#entries.set(claims.id, { expiresAtMs: claims.expiresAtMs, uses: claims.uses, redeemedBy: new Set(), isRevoked: true })
  }

  isRevoked(ticketId: string): boolean {
    return this.#entries.get(ticketId)?.isRevoked === true
  }

  /** Revoked tickets, for the peers. */
  get revoked(): readonly string[] {
    return [...this.#entries].filter(([, entry]) => entry.isRevoked).map(([id]) => id)
  }

  /** Those that can be redeemed no more and were not revoked: a member that came by them is judged by its credential. */
  #forgetSpent(): void {
    const nowMs = this.#epochMs()
    for (const [id, entry] of this.#entries) if (entry.expiresAtMs <= nowMs && !entry.isRevoked) this.#entries.delete(id)
  }
}
