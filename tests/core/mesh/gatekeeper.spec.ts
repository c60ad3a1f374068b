import { expect } from 'chai'
import { msgpackCodec } from '../../../core/adapters/codec/index.ts'
import { ServeError } from '../../../core/base/index.ts'
import {
  ADMISSION_MS,
  type AdmissionOptions,
  type CredentialClaims,
  enter,
  Gatekeeper,
  LEAST_SILENCE_MS,
  type Member,
  MemoryNetwork,
  type PeerConnection,
} from '../../../core/mesh/index.ts'
import { FakeClock, settle, testTurns } from '../../support/fake-clock.ts'
import { seededRandom } from '../../support/seeded-random.ts'

const THIS_MACHINE = 'this machine'

describe('Gatekeeper', () => {
  it('does not hear a peer that was refused three times, until its ban is over', async () => {
    const door = new Door()
    for (let i = 0; i < 3; i++) expect(await door.come('p', 'forged')).to.equal('ERR_TICKET_INVALID')
    expect(await door.come('p', 'good')).to.equal('ERR_BACK_PRESSURE')
    await door.clock.advance(15_000)
    expect(await door.come('p', 'good')).to.equal('let in')
  })

  it('does not hear others of an address from which three were refused', async () => {
    const door = new Door()
    for (let i = 0; i < 3; i++) await door.come(`p${i}`, 'forged', '10.0.0.1')
    expect(await door.come('q', 'good', '10.0.0.1')).to.equal('ERR_BACK_PRESSURE')
    expect(await door.come('r', 'good', '10.0.0.2')).to.equal('let in')
    await door.clock.advance(15_000)
    expect(await door.come('q', 'good', '10.0.0.1')).to.equal('let in')
  })

  it('hears peers of such an address that were members before', async () => {
    const door = new Door()
    await door.come('member', 'good', '10.0.0.1')
    for (let i = 0; i < 3; i++) await door.come(`p${i}`, 'forged', '10.0.0.1')
    expect(await door.come('member', 'good', '10.0.0.1')).to.equal('let in')
  })

  it('holds nothing against the neighbours of who is refused on this machine', async () => {
    const door = new Door()
    for (let i = 0; i < 10; i++) await door.come(`p${i}`, 'forged', THIS_MACHINE)
    expect(await door.come('q', 'good', THIS_MACHINE)).to.equal('let in')
  })

  it('bans who says nothing', async () => {
    const door = new Door()
    for (let i = 0; i < 3; i++) await door.comeSilently('p')
    expect(await door.come('p', 'good')).to.equal('ERR_BACK_PRESSURE')
  })

  it('holds an old ticket, a connection that breaks and a fault of its own against nobody', async () => {
    const door = new Door()
    for (let i = 0; i < 9; i++) {
      await door.come('p', ['ERR_TICKET_EXPIRED', 'ERR_STORAGE', 'ERR_NO_CONTROLLER'][i % 3] ?? '')
      await door.comeAndBreak('p')
    }
    expect(await door.come('p', 'good')).to.equal('let in')
    expect(door.gate.counts.bans).to.equal(0)
  })

  it('lets one in before fifty of one address that say nothing, at once', async () => {
    const door = new Door()
    for (let i = 0; i < 50; i++) void door.dial(`silent ${i}`)
    await settle()
    expect(await door.come('p', 'good')).to.equal('let in')
    expect([door.gate.counts.waiting, door.gate.counts.displaced]).to.deep.equal([49, 1])
    expect([...door.gate.counts.refused]).to.deep.equal([['ERR_BACK_PRESSURE', 1]])
  })

  it('lets one in before fifty of as many addresses, after a second', async () => {
    const door = new Door()
    for (let i = 0; i < 50; i++) void door.dial(`silent ${i}`, `of silent ${i}`)
    await settle()
    expect(await door.come('p', 'good')).to.equal('ERR_PEER_UNREACHABLE')
    await door.clock.advance(LEAST_SILENCE_MS)
    expect(await door.come('p', 'good')).to.equal('let in')
    expect(door.gate.counts.displaced).to.equal(1)
  })

  it('holds nothing against who gave way', async () => {
    const door = new Door()
    for (let i = 0; i < 60; i++) void door.dial('silent')
    await settle()
    expect(await door.come('silent', 'good', '10.0.0.9')).to.equal('let in')
    expect(door.gate.counts.bans).to.equal(0)
  })

  it('counts and logs refusals and bans, and is not made to fill the log', async () => {
    const door = new Door()
    for (let i = 0; i < 4; i++) await door.come('p', 'forged')
    for (let i = 0; i < 30; i++) await door.come(`p${i}`, 'forged')
    expect([...door.gate.counts.refused]).to.deep.equal([
      ['ERR_TICKET_INVALID', 33],
      ['ERR_BACK_PRESSURE', 1],
    ])
    expect(door.gate.counts.bans).to.equal(1)
    expect(door.logged.filter((event) => event === 'peer.refused').length).to.equal(20)
    expect(door.logged.filter((event) => event === 'peer.banned').length).to.equal(1)
    await door.clock.advance(60_000)
    await door.come('q', 'forged')
    expect(door.fields.at(-1)).to.deep.include({ unlogged: 13 })
  })

  it('sends a member away that asks three times for what its roles do not allow, for 15 min', async () => {
    const door = new Door()
    await door.come('p', 'good')
    const member = door.members.at(-1) as Member
    const forbidden = (): unknown => {
      throw new ServeError('ERR_FORBIDDEN', 'no', { details: { role: 'replica' } })
    }
    for (let i = 0; i < 3; i++) {
      expect(member.link.isGone).to.equal(false)
      expect(() => door.gate.hold(member, forbidden))
        .to.throw()
        .with.property('code', 'ERR_FORBIDDEN')
    }
    expect(member.link.isGone).to.equal(true)
    expect(door.gate.counts.forbidden).to.equal(3)
    expect(await door.come('p', 'good')).to.equal('ERR_BACK_PRESSURE')
    await door.clock.advance(899_000)
    expect(await door.come('p', 'good')).to.equal('ERR_BACK_PRESSURE')
    await door.clock.advance(1_000)
    expect(await door.come('p', 'good')).to.equal('let in')
  })

  it('holds no other failure against a member, such as traffic that has left', async () => {
    const door = new Door()
    await door.come('p', 'good')
    const member = door.members.at(-1) as Member
    const fail = (): unknown => {
      throw new ServeError('ERR_FORBIDDEN', 'no endpoint of its ticket leads there')
    }
    for (let i = 0; i < 5; i++) expect(() => door.gate.hold(member, fail)).to.throw()
    expect(member.link.isGone).to.equal(false)
  })
})

/** A gate that takes the ticket `good`, and names the error of each other one. */
class Door {
  readonly clock = new FakeClock()
  readonly logged: string[] = []
  readonly fields: object[] = []
  readonly members: Member[] = []
  readonly gate = new Gatekeeper(50, this.clock, testTurns(), {
    debug() {},
    info() {},
    error() {},
    warn: (fields, event) => {
      this.logged.push(event)
      this.fields.push(fields)
    },
  })
  readonly #network = new MemoryNetwork({}, this.clock, seededRandom(1))
  readonly #common: AdmissionOptions = {
    card: () => ({ name: 'n', runtime: 'node', incarnation: '1', machine: 'm', addresses: [], resources: {}, labels: {}, isolations: [] }),
    linkOptions: { codec: msgpackCodec() },
    verify: async (_kind, token) => JSON.parse(token) as Record<string, unknown>,
    epochMs: () => 0,
  }
  #host: string | undefined = '10.0.0.9'

  constructor() {
    this.#network.join('gate').onConnection((connection) => {
      const options = {
        ...this.#common,
        mesh: 'key',
        proof: () => JSON.stringify(claimsOf('gate')),
        isRevoked: () => false,
        redeem: async (ticket: string, peerId: string) => {
          if (ticket === 'good') return { claims: claimsOf(peerId), token: JSON.stringify(claimsOf(peerId)) }
          throw new ServeError(ticket === 'forged' ? 'ERR_TICKET_INVALID' : (ticket as 'ERR_STORAGE'), 'not this one')
        },
      }
      this.gate.admit({ ...connection, host: this.#host }, options).then(
        (member) => this.members.push(member),
        () => undefined,
      )
    })
  }

  dial(name: string, host = this.#host): Promise<PeerConnection> {
    this.#host = host
    return this.#network.join(name).dial('memory/gate', new AbortController().signal)
  }

  /** What comes of it; each peer has an address of its own unless one is given. */
  async come(name: string, ticket: string, host = `of ${name}`): Promise<string> {
    this.#host = host === THIS_MACHINE ? undefined : host
    const connection = await this.dial(name)
    const entering = enter(connection, { ...this.#common, mesh: 'key', pass: { ticket } }, this.clock, testTurns())
    const outcome = entering.then(
      () => 'let in',
      (error: ServeError) => error.code,
    )
    await this.#settle()
    return outcome
  }

  async comeSilently(name: string): Promise<void> {
    this.#host = `of ${name}`
    ;(await this.dial(name)).channel.listen({ onBytes() {}, onDrain() {}, onEnd() {} })
    await this.clock.advance(ADMISSION_MS)
    await this.#settle()
  }

  async comeAndBreak(name: string): Promise<void> {
    this.#host = `of ${name}`
    ;(await this.dial(name)).channel.abort('broken')
    await this.#settle()
  }

  async #settle(): Promise<void> {
    for (let i = 0; i < 30; i++) {
      await this.clock.advance(0)
      await settle()
    }
  }
}

const claimsOf = (peerId: string): CredentialClaims => ({
  mesh: 'key',
  peerId,
  ticketId: 't',
  expiresAtMs: 1_000_000_000,
  roles: ['caller'],
  trusted: true,
})
