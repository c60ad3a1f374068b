import { expect } from 'chai'
import { MeshWorld } from '../../support/mesh-world.ts'

const HOST = '10.0.0.1'
const FORGED = 'ticket.{"mesh":"the key of the world"}.forged'

describe('who is refused by a mesh again and again', () => {
  it('is not heard, nor is anybody of its address, but for members of before, for 15 s that double up to 15 min', async () => {
    const world = await MeshWorld.make()
    const ticket = await world.client.createTicket({ uses: 9, ttlMs: 3_600_000 })
    const come = (name: string, given: string, host = HOST): Promise<string> => world.codeOf(world.stranger(name, { host, given }))
    await come('member', ticket)
    for (let i = 0; i < 3; i++) expect(await come(`p${i}`, FORGED)).to.equal('ERR_TICKET_INVALID')
    const bansMs: number[] = []
    for (let i = 0; i < 8; i++) {
      const startedAtMs = world.clock.nowMs()
      // Heard again it fails again, which is the next ban.
      while ((await come(`q${i}`, FORGED)) === 'ERR_BACK_PRESSURE') await world.advance(15_000)
      bansMs.push(world.clock.nowMs() - startedAtMs)
    }
    expect(bansMs).to.deep.equal([15_000, 30_000, 60_000, 120_000, 240_000, 480_000, 900_000, 900_000])
    expect(await come('new', ticket)).to.equal('ERR_BACK_PRESSURE')
    expect(await come('new', ticket, '10.0.0.2')).to.equal('no failure')
    expect(await come('member', ticket)).to.equal('no failure')
  })

  it('is not heard for 15 min when it is a member that asks three times for what its ticket does not allow', async () => {
    const world = await MeshWorld.make()
    await world.serve('open', () => 1)
    const ticket = await world.client.createTicket({ roles: ['caller'], endpoints: ['open'], uses: 9, ttlMs: 3_600_000 })
    const { member } = await world.stranger('p', { given: ticket })
    const port = member.link.openPort('backend:open')
    for (let i = 0; i < 3; i++) port.post([i, 5_000, 0, 'hello', 'closed'])
    await world.settle()
    expect(member.link.isGone).to.equal(true)
    const again = (): Promise<string> => world.codeOf(world.stranger('p', { given: ticket }))
    expect(await again()).to.equal('ERR_BACK_PRESSURE')
    await world.advance(899_000)
    expect(await again()).to.equal('ERR_BACK_PRESSURE')
    await world.advance(1_000)
    expect(await again()).to.equal('no failure')
    expect(world.hub.gateCounts).to.include({ bans: 1, forbidden: 3 })
  })
})
