import { ServeError } from '../base/index.ts'
import type { StateEdit } from '../controller/index.ts'
import { notValid, type TicketClaims } from './ticket.ts'

/** Tickets kept in mind; the oldest that can no longer be redeemed go first. */
const MAX_TICKETS = 10_000

/** How long a revocation is remembered at least: longer than any credential that was given for the ticket is good for. */
const REVOKED_MS = 48 * 3_600_000

/** What the book keeps is under keys that begin with this. */
const TICKET = 'ticket/'

interface Entry {
  readonly expiresAtMs: number
  readonly uses: number
  readonly redeemedBy: Set<string>
  /** 0 while it holds. */
  revokedAtMs: number
  /** Settles when all of it that anybody acts upon would outlive a crash. */
  kept: Promise<void>
}

export interface TicketBookOptions {
  /** Milliseconds since 1970. */
  readonly epochMs: () => number
  /** Keeps edits, all or none; resolves when they would outlive a crash. @default the book lives as long as this process */
  readonly keep?: ((edits: readonly StateEdit[]) => Promise<void>) | undefined
  /** What was kept before; keys of others are passed over. `ERR_STORAGE` names one that cannot be read. */
  readonly kept?: ReadonlyMap<string, unknown> | undefined
}

/**
 * What the issuer knows of its tickets: who has used them, and which it took back. Its own clock decides, without leeway. Each change resolves when it
 * would outlive a crash, and counts before: of two peers that come at once with a ticket for one, one is let in.
 */
export class TicketBook {
  readonly #entries = new Map<string, Entry>()
  readonly #epochMs: () => number
  readonly #keep: (edits: readonly StateEdit[]) => Promise<void>

  constructor({ epochMs, keep = async () => {}, kept = new Map() }: TicketBookOptions) {
    this.#epochMs = epochMs
    this.#keep = keep
    for (const [key, value] of kept) if (key.startsWith(TICKET)) this.#entries.set(key.slice(TICKET.length), toEntry(key, value))
  }

  /** Notes a ticket that was issued. `ERR_BACK_PRESSURE` when too many are open. */
  async add(claims: TicketClaims): Promise<void> {
    const forgotten = this.#entries.size >= MAX_TICKETS ? this.#forgetSpent() : []
    if (this.#entries.size >= MAX_TICKETS) {
      throw new ServeError('ERR_BACK_PRESSURE', `${MAX_TICKETS} tickets are open; let some expire, or issue one with more uses`)
    }
    const entry = newEntry(claims)
    this.#entries.set(claims.id, entry)
    try {
      await this.#write(claims.id, entry, forgotten)
    } catch (error) {
      this.#entries.delete(claims.id)
      throw error
    }
  }

  /**
   * Lets a peer in by a ticket whose signature was checked. `ERR_TICKET_EXPIRED`, `ERR_TICKET_USED`, or `ERR_TICKET_INVALID` for one that was taken back
   * or was never issued here. The same peer may redeem again, as its first answer may have been lost.
   */
  async redeem(claims: Pick<TicketClaims, 'id'>, peerId: string): Promise<void> {
    const entry = this.#entries.get(claims.id)
    if (entry === undefined) throw notValid('the ticket was not issued by this controller, or it has forgotten it')
    requireHolds(entry)
    const lateMs = this.#epochMs() - entry.expiresAtMs
    if (lateMs >= 0) throw new ServeError('ERR_TICKET_EXPIRED', `the ticket expired ${Math.ceil(lateMs / 1000)} s ago; ask for a new one`)
    if (entry.redeemedBy.has(peerId)) return entry.kept
    if (entry.redeemedBy.size >= entry.uses) {
      throw new ServeError('ERR_TICKET_USED', `the ticket was used ${entry.redeemedBy.size} times of ${entry.uses}; ask for a new one`)
    }
    entry.redeemedBy.add(peerId)
    try {
      await this.#write(claims.id, entry)
    } catch (error) {
      entry.redeemedBy.delete(peerId)
      throw error
    }
    requireHolds(entry)
  }

  /** Takes a ticket back; peers that came by it are no longer welcome, from the call on. Unknown ones are noted as well. */
  async revoke(claims: Pick<TicketClaims, 'id' | 'expiresAtMs' | 'uses'>): Promise<void> {
    const entry = this.#entries.get(claims.id) ?? newEntry(claims)
    this.#entries.set(claims.id, entry)
    entry.revokedAtMs = this.#epochMs()
    await this.#write(claims.id, entry)
  }

  /** What another controller of the mesh has noted meanwhile; who has redeemed a ticket here has done so all the same. */
  takeIn(kept: ReadonlyMap<string, unknown>): void {
    for (const [key, value] of kept) {
      if (!key.startsWith(TICKET)) continue
      const id = key.slice(TICKET.length)
      const entry = toEntry(key, value)
      const here = this.#entries.get(id)
      if (here !== undefined) {
        for (const peerId of here.redeemedBy) entry.redeemedBy.add(peerId)
        entry.revokedAtMs = Math.max(entry.revokedAtMs, here.revokedAtMs)
        entry.kept = here.kept
      }
      this.#entries.set(id, entry)
    }
  }

  isRevoked(ticketId: string): boolean {
    return (this.#entries.get(ticketId)?.revokedAtMs ?? 0) > 0
  }

  /** Whether anybody came by a ticket that holds. */
  get hasMembers(): boolean {
    return [...this.#entries.values()].some(({ redeemedBy, revokedAtMs }) => redeemedBy.size > 0 && revokedAtMs === 0)
  }

  /** Revoked tickets, for the peers. */
  get revoked(): readonly string[] {
    return [...this.#entries].filter(([, entry]) => entry.revokedAtMs > 0).map(([id]) => id)
  }

  #write(id: string, entry: Entry, along: readonly StateEdit[] = []): Promise<void> {
    const { expiresAtMs, uses, redeemedBy, revokedAtMs } = entry
    const written = this.#keep([{ key: TICKET + id, value: { expiresAtMs, uses, redeemedBy: [...redeemedBy], revokedAtMs } }, ...along])
    entry.kept = written
    return written
  }

  /** Those that can be redeemed no more; a member that came by them is judged by its credential, so revoked ones are remembered for longer. */
  #forgetSpent(): StateEdit[] {
    const nowMs = this.#epochMs()
    const isSpent = ({ expiresAtMs, revokedAtMs }: Entry): boolean =>
      expiresAtMs <= nowMs && (revokedAtMs === 0 || revokedAtMs + REVOKED_MS <= nowMs)
    const spent = [...this.#entries].filter(([, entry]) => isSpent(entry))
    return spent.map(([id]) => {
      this.#entries.delete(id)
      return { key: TICKET + id }
    })
  }
}

function requireHolds({ revokedAtMs }: Entry): void {
  if (revokedAtMs > 0) throw notValid('the ticket was revoked')
}

function newEntry({ expiresAtMs, uses }: Pick<TicketClaims, 'expiresAtMs' | 'uses'>): Entry {
  return { expiresAtMs, uses, redeemedBy: new Set(), revokedAtMs: 0, kept: Promise.resolve() }
}

function toEntry(key: string, value: unknown): Entry {
  const { expiresAtMs, uses, redeemedBy, revokedAtMs } = (value ?? {}) as Record<string, unknown>
  if (typeof expiresAtMs === 'number' && typeof uses === 'number' && Array.isArray(redeemedBy) && typeof revokedAtMs === 'number') {
    return { expiresAtMs, uses, redeemedBy: new Set(redeemedBy), revokedAtMs, kept: Promise.resolve() }
  }
  throw new ServeError('ERR_STORAGE', `what is stored under ${key} is no ticket`)
}
