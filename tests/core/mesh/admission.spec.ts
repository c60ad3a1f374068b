import { expect } from 'chai'
import { msgpackCodec } from '../../../core/adapters/codec/index.ts'
import { meshKey, peekClaims, verifySigned } from '../../../core/adapters/tickets/index.ts'
import { ServeError } from '../../../core/base/index.ts'
import {
  ADMISSION_MS,
  admit,
  CREDENTIAL_MS,
  type Entered,
  type EnterOptions,
  enter,
  type GateOptions,
  Link,
  type Member,
  MemoryNetwork,
  MeshAuthority,
  type PeerCard,
  type PeerConnection,
  type PeerTransport,
  RETURN_MS,
  readTicket,
  requireRole,
  type TicketOptions,
} from '../../../core/mesh/index.ts'
import { FakeClock, settle, testTurns } from '../../support/fake-clock.ts'
import { seededRandom } from '../../support/seeded-random.ts'

describe('admission', () => {
  it('lets a peer in by a ticket, with the roles it grants, and gives it a credential', async () => {
    const mesh = await Mesh.make()
    const { entered, admitted } = await mesh.join('p', await mesh.ticket({ roles: ['caller'], maxReplicas: 2 }))
    expect(admitted?.roles).to.deep.equal(['caller'])
    expect(admitted?.maxReplicas).to.equal(2)
    expect(admitted?.card.name).to.equal('p')
    expect(entered?.member.roles).to.deep.equal(['controller'])
    expect(entered?.credential).to.be.a('string')
    const port = admitted?.link.openPort('hello')
    port?.post(['hi'])
    const got: unknown[] = []
    entered?.member.link.onPort((other) => other.listen((message) => got.push(message[0])))
    await mesh.until(() => got.length > 0)
    expect(got).to.deep.equal(['hi'])
  })

  it('lets a member back in by its credential', async () => {
    const mesh = await Mesh.make()
    const { entered } = await mesh.join('p', await mesh.ticket())
    const back = await mesh.join('p', undefined, { pass: { credential: entered?.credential ?? '' } })
    expect(back.admitted?.roles).to.deep.equal(['replica', 'caller'])
  })

  describe('at the controller, by a credential', () => {
    it('gives who comes back a new one', async () => {
      const { mesh, credential } = await joined()
      mesh.epochMs += 1_000
      const back = await mesh.join('p', undefined, { pass: { credential } })
      expect(peekClaims(back.entered?.credential ?? '')).to.deep.equal({
        ...peekClaims(credential),
        expiresAtMs: mesh.epochMs + CREDENTIAL_MS,
      })
    })

    it('takes one that has ended for less than a day', async () => {
      const { mesh, credential } = await joined()
      await mesh.pass(CREDENTIAL_MS + RETURN_MS - 1)
      expect((await mesh.join('p', undefined, { pass: { credential } })).code).to.equal(undefined)
      await mesh.pass(1)
      expect((await mesh.join('p', undefined, { pass: { credential } })).code).to.equal('ERR_TICKET_EXPIRED')
    })

    it('does not take from another peer what has ended, nor when its ticket was revoked', async () => {
      const { mesh, credential, ticket } = await joined()
      await mesh.pass(2 * CREDENTIAL_MS)
      expect((await mesh.join('q', undefined, { pass: { credential } })).code).to.equal('ERR_TICKET_INVALID')
      await mesh.authority.revoke(ticket)
      expect((await mesh.join('p', undefined, { pass: { credential } })).code).to.equal('ERR_TICKET_INVALID')
    })

    async function joined(): Promise<{ mesh: Mesh; ticket: string; credential: string }> {
      const mesh = await Mesh.make()
      mesh.isController = true
      const ticket = await mesh.ticket({ maxReplicas: 2 })
      const { entered } = await mesh.join('p', ticket)
      return { mesh, ticket, credential: entered?.credential ?? '' }
    }
  })

  it('lets a peer ask for fewer roles than its ticket grants', async () => {
    const mesh = await Mesh.make()
    const { admitted } = await mesh.join('p', await mesh.ticket(), { roles: ['replica'] })
    expect(admitted?.roles).to.deep.equal(['replica'])
  })

  it('lets in as many peers as a ticket has uses', async () => {
    const mesh = await Mesh.make()
    const ticket = await mesh.ticket({ uses: 2 })
    expect((await mesh.join('p', ticket)).code).to.equal(undefined)
    expect((await mesh.join('q', ticket)).code).to.equal(undefined)
    expect((await mesh.join('r', ticket)).code).to.equal('ERR_TICKET_USED')
  })

  it('lets the same peer redeem its ticket again, as its first answer may have been lost', async () => {
    const mesh = await Mesh.make()
    const ticket = await mesh.ticket()
    await mesh.join('p', ticket)
    expect((await mesh.join('p', ticket)).code).to.equal(undefined)
  })

  const refused: readonly (readonly [what: string, code: string, run: (mesh: Mesh) => Promise<Outcome>])[] = [
    ['a peer with neither ticket nor credential', 'ERR_TICKET_INVALID', (mesh) => mesh.join('p', undefined, { pass: {} as never })],
    [
      'a ticket that has expired on the clock of its issuer',
      'ERR_TICKET_EXPIRED',
      async (mesh) => {
        const ticket = await mesh.ticket({ ttlMs: 1_000 })
        mesh.epochMs += 1_000
        return mesh.join('p', ticket)
      },
    ],
    [
      'a ticket that another peer has used',
      'ERR_TICKET_USED',
      async (mesh) => {
        const ticket = await mesh.ticket()
        await mesh.join('q', ticket)
        return mesh.join('p', ticket)
      },
    ],
    [
      'a ticket of another mesh',
      'ERR_TICKET_INVALID',
      async (mesh) => {
        const other = await Mesh.make()
        return mesh.join('p', await other.ticket())
      },
    ],
    [
      'a ticket that was revoked',
      'ERR_TICKET_INVALID',
      async (mesh) => {
        const ticket = await mesh.ticket()
        await mesh.authority.revoke(ticket)
        return mesh.join('p', ticket)
      },
    ],
    [
      'a role that the ticket does not grant',
      'ERR_FORBIDDEN',
      async (mesh) => mesh.join('p', await mesh.ticket({ roles: ['caller'] }), { roles: ['replica'] }),
    ],
    [
      'the credential of another peer',
      'ERR_TICKET_INVALID',
      async (mesh) => {
        const { entered } = await mesh.join('q', await mesh.ticket())
        return mesh.join('p', undefined, { pass: { credential: entered?.credential ?? '' } })
      },
    ],
    [
      'the credential of a peer whose ticket was revoked',
      'ERR_TICKET_INVALID',
      async (mesh) => {
        const ticket = await mesh.ticket()
        const { entered } = await mesh.join('p', ticket)
        await mesh.authority.revoke(ticket)
        return mesh.join('p', undefined, { pass: { credential: entered?.credential ?? '' } })
      },
    ],
    [
      'a credential that has expired, at another member',
      'ERR_TICKET_EXPIRED',
      async (mesh) => {
        const { entered } = await mesh.join('p', await mesh.ticket())
        await mesh.pass(2 * CREDENTIAL_MS)
        return mesh.join('p', undefined, { pass: { credential: entered?.credential ?? '' } })
      },
    ],
    [
      'a ticket used as a credential',
      'ERR_TICKET_INVALID',
      async (mesh) => mesh.join('p', undefined, { pass: { credential: await mesh.ticket() } }),
    ],
    [
      'a credential used as a ticket',
      'ERR_TICKET_INVALID',
      async (mesh) => {
        const { entered } = await mesh.join('q', await mesh.ticket())
        return mesh.join('p', entered?.credential ?? '')
      },
    ],
  ]
  for (const [what, code, run] of refused) {
    it(`refuses ${what} with ${code}`, async () => {
      const mesh = await Mesh.make()
      const outcome = await run(mesh)
      expect(outcome.code).to.equal(code)
      expect(outcome.gateCode).to.equal(code)
      expect(outcome.admitted).to.equal(undefined)
    })
  }

  it('does not trust a controller that cannot prove that it is of the mesh', async () => {
    const mesh = await Mesh.make()
    const rogue = await Mesh.make()
    const { code } = await rogue.join('p', await rogue.ticket(), { mesh: mesh.authority.publicKey })
    expect(code).to.equal('ERR_TICKET_INVALID')
  })

  it('does not trust a controller that shows what was made for another', async () => {
    const mesh = await Mesh.make()
    mesh.proof = (await mesh.authority.issue('someone else', '', { roles: ['controller'], trusted: true })).token
    const { code } = await mesh.join('p', await mesh.ticket())
    expect(code).to.equal('ERR_TICKET_INVALID')
  })

  it('tells a stranger that it is not welcome, and nothing else', async () => {
    const mesh = await Mesh.make()
    const said: string[] = []
    const stranger = mesh.network.join('stranger')
    void mesh.serve()
    const { channel } = await stranger.dial('memory/controller', new AbortController().signal)
    let ended = false
    channel.listen({
      onBytes: (bytes) => said.push(new TextDecoder().decode(bytes)),
      onDrain() {},
      onEnd: () => {
        ended = true
      },
    })
    const link = frameOf(6, JSON.stringify({ kind: 'hello', protocol: 99, card: {}, ticket: 'let me in' }))
    channel.send(link)
    await mesh.until(() => ended)
    const words = said.join('')
    expect(words).to.include('ERR_TICKET_INVALID')
    for (const secret of ['controller', 'memory/', mesh.authority.publicKey, 'stack', 'cause']) expect(words).not.to.include(secret)
  })

  it('closes on a stranger that skips admission', async () => {
    const mesh = await Mesh.make()
    const gate = mesh.serve()
    const { channel } = await mesh.network.join('stranger').dial('memory/controller', new AbortController().signal)
    const link = new Link({ channel, isDialler: true, codec: msgpackCodec() }, mesh.clock, testTurns())
    link.open()
    link.openPort('backend:echo').post([1])
    const { gateCode } = await gate
    expect(gateCode).to.equal('ERR_FORBIDDEN')
  })

  it('closes on a stranger that says nothing for five seconds', async () => {
    const mesh = await Mesh.make()
    const gate = mesh.serve()
    const { channel } = await mesh.network.join('stranger').dial('memory/controller', new AbortController().signal)
    let ended = false
    channel.listen({
      onBytes() {},
      onDrain() {},
      onEnd: () => {
        ended = true
      },
    })
    await mesh.clock.advance(ADMISSION_MS)
    expect((await gate).gateCode).to.equal('ERR_PEER_UNREACHABLE')
    await mesh.until(() => ended)
  })

  it('refuses a member that speaks another version, and tells only members', async () => {
    const mesh = await Mesh.make()
    const ticket = await mesh.ticket()
    const gate = mesh.serve()
    const { channel } = await mesh.network.join('old').dial('memory/controller', new AbortController().signal)
    channel.listen({ onBytes() {}, onDrain() {}, onEnd() {} })
    channel.send(frameOf(6, JSON.stringify({ kind: 'hello', protocol: 99, card: {}, ticket })))
    expect((await gate).gateCode).to.equal('ERR_PROTOCOL_VERSION')
  })

  it('takes a card of any shape for what it is', async () => {
    const mesh = await Mesh.make()
    const card = { name: 7, resources: { cpu: -1, custom: { x: 'many' } }, addresses: 'no', labels: { a: 1 } } as unknown as PeerCard
    const { admitted } = await mesh.join('p', await mesh.ticket(), { card: () => card })
    expect(admitted?.card).to.deep.include({
      name: '',
      addresses: [],
      labels: { a: '' },
      resources: { cpu: 0, gpu: 0, memoryBytes: 0, custom: { x: 0 } },
    })
  })
})

describe('requireRole', () => {
  it('throws ERR_FORBIDDEN for a member that lacks the role', () => {
    const member = { peerId: 'p', roles: ['caller'] as const }
    requireRole(member, 'caller', 'a call')
    expect(() => requireRole(member, 'controller', 'an edit'))
      .to.throw(ServeError)
      .with.property('code', 'ERR_FORBIDDEN')
  })
})

describe('tickets', () => {
  it('are read without asking anybody', async () => {
    const mesh = await Mesh.make()
    const claims = await readTicket(await mesh.ticket({ endpoints: ['a'], uses: 3 }), verifySigned, peekClaims)
    expect(claims).to.deep.include({ mesh: mesh.authority.publicKey, addresses: ['memory/controller'], uses: 3, endpoints: ['a'] })
  })

  it('are signed as what they are: a credential is no ticket', async () => {
    const signer = await meshKey()
    const token = await signer.sign('peer', { mesh: signer.publicKey })
    const error = await verifySigned('ticket', token, signer.publicKey).catch((reason: unknown) => reason)
    expect(error).to.have.property('code', 'ERR_TICKET_INVALID')
  })

  it('cannot be changed by one bit, wherever it is', async function () {
    this.timeout(180_000)
    const mesh = await Mesh.make()
    const ticket = await mesh.ticket()
    const random = seededRandom(99)
    let refusals = 0
    const FLIPS = 20_000
    for (let i = 0; i < FLIPS; i++) {
      const at = Math.floor(random() * ticket.length)
      const flipped = String.fromCharCode(ticket.charCodeAt(at) ^ (1 << Math.floor(random() * 7)))
      const forged = ticket.slice(0, at) + flipped + ticket.slice(at + 1)
      try {
        await readTicket(forged, verifySigned, peekClaims)
      } catch (error) {
        if ((error as ServeError).code === 'ERR_TICKET_INVALID') refusals++
      }
    }
    expect(refusals).to.equal(FLIPS)
  })

  for (const [what, options] of [
    ['an unknown role', { roles: ['king'] }],
    ['no role', { roles: [] }],
    ['a ttl of 0', { ttlMs: 0 }],
    ['a trust that is no answer', { trusted: 'a bit' }],
    ['half a use', { uses: 0.5 }],
    ['an unknown option', { use: 1 }],
  ] as const) {
    it(`are not made with ${what}: ERR_INVALID_CONFIG`, async () => {
      const mesh = await Mesh.make()
      const error = await mesh.ticket(options as never).catch((reason: unknown) => reason)
      expect(error).to.have.property('code', 'ERR_INVALID_CONFIG')
    })
  }

  it('make controllers only where they say so', async () => {
    const mesh = await Mesh.make()
    const rolesOf = async (ticket: string) => (await readTicket(ticket, verifySigned, peekClaims)).roles
    expect(await rolesOf(await mesh.ticket({ roles: ['controller'], trusted: true }))).to.deep.equal(['controller'])
    expect(await rolesOf(await mesh.ticket({}))).not.to.include('controller')
  })
})

interface Outcome {
  readonly entered: Entered | undefined
  readonly admitted: Member | undefined
  /** What the side that dialled was told. */
  readonly code: string | undefined
  /** What the side that was dialled knows. */
  readonly gateCode: string | undefined
}

/** A controller on an in-memory network, and whoever tries to join it. */
class Mesh {
  readonly clock = new FakeClock()
  readonly network = new MemoryNetwork({}, this.clock, seededRandom(1))
  readonly authority: MeshAuthority
  epochMs = 1_800_000_000_000
  proof = ''
  /** Whether who is dialled makes new credentials. */
  isController = false
  readonly #transport: PeerTransport

  private constructor(signer: Awaited<ReturnType<typeof meshKey>>) {
    const epochMs = (): number => this.epochMs
    this.authority = new MeshAuthority({ signer, verify: verifySigned, peek: peekClaims, epochMs, random: seededRandom(5) })
    this.#transport = this.network.join('controller')
  }

  static async make(): Promise<Mesh> {
    const mesh = new Mesh(await meshKey())
    await mesh.pass(0)
    return mesh
  }

  /** Lets time pass, in which who is dialled renews its own credential. */
  async pass(ms: number): Promise<void> {
    this.epochMs += ms
    this.proof = (await this.authority.issue('controller', '', { roles: ['controller'], trusted: true })).token
  }

  ticket(options?: TicketOptions): Promise<string> {
    return this.authority.createTicket(options, this.#transport.addresses)
  }

  /** Waits for the next connection and admits it, or not. */
  async serve(): Promise<Pick<Outcome, 'admitted' | 'gateCode'>> {
    const connection = await new Promise<PeerConnection>((resolve) => {
      const stop = this.#transport.onConnection((made) => {
        stop()
        resolve(made)
      })
    })
    try {
      return { admitted: await this.#drive(admit(connection, this.#gate, this.clock, testTurns())), gateCode: undefined }
    } catch (error) {
      return { admitted: undefined, gateCode: (error as ServeError).code }
    }
  }

  async join(name: string, ticket: string | undefined, options: Partial<EnterOptions> = {}): Promise<Outcome> {
    const gate = this.serve()
    const connection = await this.network.join(name).dial('memory/controller', new AbortController().signal)
    let code: string | undefined
    let entered: Entered | undefined
    try {
      const full: EnterOptions = {
        ...this.#common(name),
        mesh: this.authority.publicKey,
        pass: { ticket: ticket ?? '' },
        ...options,
      }
      entered = await this.#drive(enter(connection, full, this.clock, testTurns()))
    } catch (error) {
      code = (error as ServeError).code
    }
    return { entered, code, ...(await this.#drive(gate)) }
  }

  async until(isDone: () => boolean): Promise<void> {
    const endMs = performance.now() + 28_000
    while (!isDone() && performance.now() < endMs) {
      await this.clock.advance(0)
      await settle()
    }
    if (!isDone()) throw new Error('waited in vain')
  }

  get #gate(): GateOptions {
    return {
      ...this.#common('controller'),
      mesh: this.authority.publicKey,
      proof: () => this.proof,
      isRevoked: (id) => this.authority.isRevoked(id),
      redeem: (ticket, peerId, roles) => this.authority.redeem(ticket, peerId, roles),
      ...(this.isController && { renew: (claims) => this.authority.renew(claims) }),
    }
  }

  #common(name: string) {
    const card: PeerCard = {
      name,
      runtime: 'node',
      incarnation: '1',
      machine: 'm',
      addresses: [`memory/${name}`],
      resources: { cpu: 2 },
      labels: {},
      isolations: ['thread'],
    }
    return { card: () => card, linkOptions: { codec: msgpackCodec() }, verify: verifySigned, epochMs: () => this.epochMs }
  }

  /** Lets the network's time pass while real cryptography works. */
  async #drive<T>(work: Promise<T>): Promise<T> {
    let isDone = false
    void work.then(
      () => {
        isDone = true
      },
      () => {
        isDone = true
      },
    )
    // However long that takes on a busy machine, up to the limit of a test.
    const endMs = performance.now() + 28_000
    while (!isDone && performance.now() < endMs) {
      await this.clock.advance(0)
      await settle()
    }
    return work
  }
}

function frameOf(kind: number, text: string): Uint8Array {
  const payload = new TextEncoder().encode(text)
  const bytes = new Uint8Array(10 + payload.length)
  bytes[0] = 1
  bytes[1] = kind
  new DataView(bytes.buffer).setUint32(6, payload.length)
  bytes.set(payload, 10)
  return bytes
}
