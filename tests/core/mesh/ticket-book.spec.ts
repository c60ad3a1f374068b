import { expect } from 'chai'
import type { ServeError } from '../../../core/base/index.ts'
import { MemoryStateStore, type StateEdit } from '../../../core/controller/index.ts'
import { TicketBook, type TicketClaims } from '../../../core/mesh/index.ts'
import { settle } from '../../support/fake-clock.ts'

const START_MS = 1_800_000_000_000
const DAY_MS = 86_400_000

describe('TicketBook', () => {
  it('knows after a restart who has used a ticket, and lets that peer redeem it again', async () => {
    const desk = new Desk()
    await desk.book.add(ticket('t'))
    await desk.book.redeem(ticket('t'), 'p')
    const next = await desk.reopened()
    expect(await codeOf(next.redeem(ticket('t'), 'q'))).to.equal('ERR_TICKET_USED')
    expect(await codeOf(next.redeem(ticket('t'), 'p'))).to.equal(undefined)
  })

  it('takes in what another controller has noted, and keeps who has come here meanwhile', async () => {
    const [here, there] = [new Desk(), new Desk()]
    for (const { book } of [here, there]) await book.add({ ...ticket('t'), uses: 2 })
    await there.book.add(ticket('other'))
    await there.book.redeem(ticket('t'), 'q')
    await there.book.revoke(ticket('other'))
    await here.book.redeem(ticket('t'), 'p')
    here.book.takeIn(await there.store.load())
    expect(await codeOf(here.book.redeem(ticket('t'), 'r'))).to.equal('ERR_TICKET_USED')
    expect(await codeOf(here.book.redeem(ticket('t'), 'p'))).to.equal(undefined)
    expect(here.book.revoked).to.deep.equal(['other'])
  })

  it('knows after a restart which tickets are open', async () => {
    const desk = new Desk()
    await desk.book.add(ticket('t'))
    const next = await desk.reopened()
    expect(await codeOf(next.redeem(ticket('t'), 'p'))).to.equal(undefined)
    expect(await codeOf(next.redeem(ticket('never issued'), 'p'))).to.equal('ERR_TICKET_INVALID')
  })

  it('knows after a restart which tickets were taken back, those of before its time included', async () => {
    const desk = new Desk()
    await desk.book.add(ticket('t'))
    await desk.book.revoke(ticket('t'))
    await desk.book.revoke(ticket('older'))
    const next = await desk.reopened()
    expect(await codeOf(next.redeem(ticket('t'), 'p'))).to.equal('ERR_TICKET_INVALID')
    expect(next.revoked).to.deep.equal(['t', 'older'])
    expect(next.isRevoked('older')).to.equal(true)
  })

  for (const [what, change] of [
    ['a ticket', (book) => book.add(ticket('new'))],
    ['a redemption', (book) => book.redeem(ticket('t'), 'p')],
    [
      'a second redemption by the same peer',
      (book) => {
        void book.redeem(ticket('t'), 'p')
        return book.redeem(ticket('t'), 'p')
      },
    ],
    ['a revocation', (book) => book.revoke(ticket('t'))],
  ] as readonly (readonly [string, (book: TicketBook) => Promise<unknown>])[]) {
    it(`answers for ${what} only when it is kept`, async () => {
      const desk = new Desk()
      await desk.book.add(ticket('t'))
      desk.isSlow = true
      let isAnswered = false
      const answer = change(desk.book).then(() => {
        isAnswered = true
      })
      await settle()
      expect(isAnswered).to.equal(false)
      desk.finish()
      await answer
      expect(isAnswered).to.equal(true)
    })
  }

  it('lets one of two peers in that redeem a ticket for one at the same time', async () => {
    const desk = new Desk()
    await desk.book.add(ticket('t'))
    const codes = await Promise.all(['p', 'q'].map((peer) => codeOf(desk.book.redeem(ticket('t'), peer))))
    expect(codes).to.deep.equal([undefined, 'ERR_TICKET_USED'])
  })

  it('does not let a peer in whose ticket is taken back meanwhile', async () => {
    const desk = new Desk()
    await desk.book.add(ticket('t'))
    desk.isSlow = true
    const redeemed = codeOf(desk.book.redeem(ticket('t'), 'p'))
    const revoked = desk.book.revoke(ticket('t'))
    desk.finish()
    await revoked
    expect(await redeemed).to.equal('ERR_TICKET_INVALID')
  })

  it('takes a ticket back at once, kept or not', async () => {
    const desk = new Desk()
    await desk.book.add(ticket('t'))
    desk.isSlow = true
    const revoked = desk.book.revoke(ticket('t'))
    expect(desk.book.isRevoked('t')).to.equal(true)
    desk.finish()
    await revoked
  })

  it('counts no use that could not be kept, and gives no ticket', async () => {
    const desk = new Desk()
    await desk.book.add(ticket('t'))
    desk.isBroken = true
    expect(await codeOf(desk.book.redeem(ticket('t'), 'p'))).to.equal('ERR_STORAGE')
    expect(await codeOf(desk.book.add(ticket('new')))).to.equal('ERR_STORAGE')
    desk.isBroken = false
    expect(await codeOf(desk.book.redeem(ticket('t'), 'q'))).to.equal(undefined)
    expect(await codeOf(desk.book.redeem(ticket('new'), 'q'))).to.equal('ERR_TICKET_INVALID')
  })

  it('forgets what can be redeemed no more when it is full, here and in the store', async () => {
    const desk = new Desk()
    await Promise.all(Array.from({ length: 10_000 }, (_, i) => desk.book.add(ticket(`t${i}`))))
    expect(await codeOf(desk.book.add(ticket('one more')))).to.equal('ERR_BACK_PRESSURE')
    desk.epochMs += 1_000
    await desk.book.add({ ...ticket('one more'), expiresAtMs: desk.epochMs + 1_000 })
    expect([...(await desk.store.load()).keys()]).to.deep.equal(['ticket/one more'])
  })

  it('remembers a revocation for two days after, when credentials given for it are long over', async () => {
    const desk = new Desk()
    await desk.book.revoke(ticket('bad'))
    const fill = (name: string): Promise<unknown> =>
      Promise.all(
        Array.from({ length: 10_000 }, (_, i) =>
          desk.book.add({ ...ticket(`${name}${i}`), expiresAtMs: desk.epochMs + 1 }).catch(() => undefined),
        ),
      )
    await fill('a')
    desk.epochMs += 2 * DAY_MS - 1
    await fill('b')
    expect(desk.book.isRevoked('bad')).to.equal(true)
    desk.epochMs += 1
    await fill('c')
    expect(desk.book.isRevoked('bad')).to.equal(false)
  })

  it('refuses with ERR_STORAGE what is stored and is no ticket, and passes over what is not its own', () => {
    const open = (kept: ReadonlyMap<string, unknown>) => new TicketBook({ epochMs: () => START_MS, kept })
    open(new Map([['backend/echo', 7]]))
    for (const value of [undefined, null, 7, {}, { expiresAtMs: 1, uses: 1, redeemedBy: 'p', revokedAtMs: 0 }]) {
      expect(() => open(new Map([['ticket/t', value]])), String(value))
        .to.throw()
        .with.property('code', 'ERR_STORAGE')
    }
  })
})

const ticket = (id: string): TicketClaims => ({
  id,
  mesh: 'key',
  addresses: [],
  roles: ['caller'],
  trusted: true,
  uses: 1,
  expiresAtMs: START_MS + 1_000,
})

const codeOf = (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => undefined,
    (error: ServeError) => error.code,
  )

/** A book and the store under it, which can be slow or broken. */
class Desk {
  readonly store = new MemoryStateStore()
  epochMs = START_MS
  isSlow = false
  isBroken = false
  readonly book: TicketBook
  #finish: (() => void)[] = []

  constructor() {
    this.book = this.#open(new Map())
  }

  async reopened(): Promise<TicketBook> {
    return this.#open(await this.store.load())
  }

  finish(): void {
    this.isSlow = false
    for (const finish of this.#finish.splice(0)) finish()
  }

  #open(kept: ReadonlyMap<string, unknown>): TicketBook {
    return new TicketBook({ epochMs: () => this.epochMs, kept, keep: (edits) => this.#keep(edits) })
  }

  async #keep(edits: readonly StateEdit[]): Promise<void> {
    if (this.isBroken) throw Object.assign(new Error('the disk is full'), { code: 'ERR_STORAGE' })
    if (this.isSlow) await new Promise<void>((resolve) => this.#finish.push(resolve))
    await this.store.put(edits)
  }
}
