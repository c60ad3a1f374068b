import { msgpackCodec } from '../../core/adapters/codec/index.ts'
import {
  Client,
  ControlChannel,
  type InstancePlatform,
  LocalInstance,
  PeerInstance,
  StandbyController,
  servePeerClient,
} from '../../core/api/index.ts'
import { type Clock, type Logger, ServeError, SILENT } from '../../core/base/index.ts'
import { MemoryStateStore } from '../../core/controller/index.ts'
import { resolveHttpOptions } from '../../core/gateway/index.ts'
import {
  type BundleDesk,
  type BundleIntakeOptions,
  ControllerGroup,
  type Entered,
  type EnterOptions,
  type Epoch,
  enter,
  type Member,
  MemoryNetwork,
  MeshAuthority,
  MeshHub,
  MeshPeer,
  type MeshRole,
  type MeshSigner,
  type PeekClaims,
  type PeerConnection,
  readTicket,
  type TicketOptions,
  type VerifySigned,
} from '../../core/mesh/index.ts'
import type { Resources } from '../../core/model/index.ts'
import { InProcessHost, type ReplicaCode } from '../../core/replica/index.ts'
import { FakeClock, settle, testTurns } from './fake-clock.ts'
import { MortalHost } from './mortal-host.ts'
import { seededRandom } from './seeded-random.ts'

export interface WorldPeer {
  readonly name: string
  readonly client: Client
  readonly peer: MeshPeer
  readonly host: MortalHost
}

/** A peer that keeps the state too. */
export interface WorldStandby extends WorldPeer {
  readonly standby: StandbyController
  readonly disk: Map<string, unknown>
  /** As SIGKILL does. */
  crash(): Promise<void>
}

/** A member that says what a test makes it say. */
export interface Stranger {
  /** The controller, for it. */
  readonly member: Member
  readonly control: ControlChannel
  /** Goes to another peer by its credential. */
  meet(peer: string): Promise<Member>
}

export interface JoinWorld {
  readonly ticket?: TicketOptions
  /** A ticket that was made before, instead of a new one. */
  readonly given?: string
  readonly roles?: readonly MeshRole[]
  readonly resources?: Resources
  readonly labels?: Readonly<Record<string, string>>
  /** What the peer says of itself. @default 'node' */
  readonly runtime?: 'node' | 'browser'
  /** False: it can be dialled by nobody. @default true */
  readonly listens?: boolean
  /** Where its connections come from. @default this machine */
  readonly host?: string
  readonly maxRelayed?: number
  readonly maxPeers?: number
  readonly idleLinkMs?: number
  /** Takes code by its digest, or none. @default as it comes */
  readonly bundles?: BundleIntakeOptions
}

export interface StartWorld {
  readonly bundles?: BundleDesk | undefined
  readonly maxRelayed?: number | undefined
  readonly maxPeers?: number | undefined
  readonly onStart?: MortalHost['onStart']
  readonly resources?: Resources
}

/** Signatures without cryptography, which would take turns that no fake clock knows of; the real ones have tests of their own. */
const SIGNER: MeshSigner = {
  publicKey: 'the key of the world',
  sign: async (kind, claims) => `${kind}.${JSON.stringify(claims)}.signed`,
}
const peekClaims: PeekClaims = (token) => JSON.parse(token.slice(token.indexOf('.') + 1, token.lastIndexOf('.')))
const verifySigned: VerifySigned = async (kind, token, publicKey) => {
  if (token.startsWith(`${kind}.`) && token.endsWith('.signed') && publicKey === SIGNER.publicKey) return peekClaims(token)
  throw new ServeError('ERR_TICKET_INVALID', 'not signed in this world')
}

/** Backends by the URL under which any node can load them. */
const MODULES = new Map<string, unknown>()

/** A whole mesh in this thread: one controller and peers over an in-memory network, under a fake clock. */
export class MeshWorld {
  readonly clock = new FakeClock()
  readonly network: MemoryNetwork
  readonly random = seededRandom(7)
  readonly authority: MeshAuthority
  hub: MeshHub = undefined as never
  host: MortalHost = undefined as never
  client: Client = undefined as never
  /** What the controller keeps, whatever becomes of it; undefined: nothing. */
  disk: Map<string, unknown> | undefined
  /** The epoch that a peer obeys and that is greater than the controller's. */
  greater: Epoch | undefined
  #life = { isOver: false }

  private constructor(delayMs: readonly [number, number]) {
    this.network = new MemoryNetwork({ delayMs }, this.clock, seededRandom(3))
    this.authority = new MeshAuthority({
      signer: SIGNER,
      verify: verifySigned,
      peek: peekClaims,
      epochMs: this.#epochMs,
      random: this.random,
    })
  }

  /** @param bundles gives code and assets digests, so that they travel. Without it all nodes have the same files */
  static async make(
    delayMs: readonly [number, number] = [0, 0],
    bundles?: BundleDesk,
    maxRelayed?: number,
    maxPeers?: number,
  ): Promise<MeshWorld> {
    const world = new MeshWorld(delayMs)
    await world.startController({ bundles, maxRelayed, maxPeers })
    return world
  }

  /** A world whose controller can be started again on what it kept. */
  static async kept(bundles?: BundleDesk): Promise<MeshWorld> {
    const world = new MeshWorld([1, 3])
    world.disk = new Map()
    await world.startController({ bundles })
    return world
  }

  /** Starts the controller, for the first time or after `crashController`. */
  async startController({ bundles, maxRelayed, maxPeers, onStart, resources = { cpu: 4 } }: StartWorld = {}): Promise<void> {
    const life = { isOver: false }
    this.#life = life
    const clock = this.#clockOf(life)
    this.host = this.#host()
    if (onStart !== undefined) this.host.onStart = onStart
    const group = this.disk === undefined ? undefined : await this.#openGroup(this.disk, clock)
    this.hub = new MeshHub(
      {
        transport: this.network.join('controller'),
        authority: this.authority,
        card: { name: 'controller', runtime: 'node', incarnation: '1', machine: 'm', resources, labels: {}, isolations: [] },
        bundles,
        maxRelayed,
        maxPeers,
        epoch: group?.leader,
        group,
        secret: () => 'the secret of the world',
        onGreater: (greater) => {
          this.greater = greater
          group?.noteLeader(greater)
        },
        isReturning: group !== undefined && group.leader.term > 1,
        ...this.#common,
      },
      clock,
      testTurns(),
      SILENT,
    )
    const { hub } = this
    const options = {
      name: 'controller',
      http: undefined,
      fetchOptions: resolveHttpOptions({}),
      mesh: hub,
      store: group?.asStore(),
      onOpen: (instance: LocalInstance) => {
        this.client = new Client(instance)
        return hub.open(
          instance.controller,
          (event) => instance.emit(event),
          (port, member, access) => servePeerClient(instance, port, member, access, testTurns()),
        )
      },
    }
    await this.drive(LocalInstance.start(options, { ...this.#platform(this.host), clock, resources }))
    this.hub.noteChange()
  }

  /** As SIGKILL does: nothing is said, and nothing happens in it any more. */
  async crashController(): Promise<void> {
    this.#life.isOver = true
    this.host.onStart = () => new Promise(() => {})
    this.network.crash('controller')
    await this.settle()
  }

  async #openGroup(disk: Map<string, unknown>, clock: Clock): Promise<ControllerGroup> {
    const store = new MemoryStateStore(disk)
    const group = new ControllerGroup(
      { controllerId: 'controller', store, isFounder: true, onEvent: (event) => this.hub?.onGroupEvent(event) },
      clock,
      this.random,
      SILENT,
    )
    await group.open()
    return group
  }

  /** A target that every node can load, by name. */
  module(name: string, target: unknown): ReplicaCode {
    MODULES.set(`test:${name}`, target)
    return { kind: 'module', url: `test:${name}`, exportName: 'default' }
  }

  /** A backend and an endpoint of one name. */
  async serve(name: string, target: unknown, options: Parameters<Client['createBackend']>[2] = {}): Promise<void> {
    const { url, exportName } = this.module(name, target) as { url: string; exportName: string }
    const made = Object.freeze({ [Symbol.for('shoal.ModuleTarget')]: true, url, exportName })
    await this.drive(this.client.createBackend(name, made as never, options))
    await this.drive(this.client.createEndpoint(name, { backend: name, route: `/${name}` }))
  }

  async join(name: string, options: JoinWorld = {}): Promise<WorldPeer> {
    const ticket = options.given ?? (await this.client.createTicket(options.ticket))
    const host = this.#host()
    const claims = await readTicket(ticket, verifySigned, peekClaims)
    const peer = new MeshPeer(
      {
        transport: this.network.join(name, { listens: options.listens ?? true, host: options.host }),
        ticket,
        claims,
        roles: options.roles,
        maxRelayed: options.maxRelayed,
        maxPeers: options.maxPeers,
        idleLinkMs: options.idleLinkMs,
        card: {
          name,
          runtime: options.runtime ?? 'node',
          incarnation: '1',
          machine: 'm',
          resources: options.resources ?? { cpu: 4 },
          labels: options.labels ?? {},
        },
        hosts: new Map([['thread', host]]),
        bundles: options.bundles,
        ...this.#common,
      },
      this.clock,
      testTurns(),
      this.random,
      this.#log,
    )
    const init = { peer, platform: this.#platform(host), http: undefined, fetchOptions: resolveHttpOptions({}) }
    const instance = await this.drive(PeerInstance.join(init))
    await this.settle()
    return { name, client: new Client(instance), peer, host }
  }

  /** A peer with the role controller, on a disk of its own. @param credential for one that comes back */
  async standBy(name: string, disk: Map<string, unknown> = new Map(), options: { isReturning?: boolean } = {}): Promise<WorldStandby> {
    const life = { isOver: false }
    const clock = this.#clockOf(life)
    const host = this.#host()
    const roles = ['controller', 'replica', 'caller'] as const
    const ticket = options.isReturning === true ? '' : await this.client.createTicket({ roles })
    const card = { name, runtime: 'node', incarnation: '1', machine: 'm', resources: { cpu: 4 }, labels: {} } as const
    const platform = { ...this.#platform(host), clock }
    const standby = new StandbyController({
      name,
      transport: this.network.join(name),
      store: new MemoryStateStore(disk),
      secret: options.isReturning === true ? 'the secret of the world' : undefined,
      keepSecret: async () => {},
      toAuthority: async () => this.authority,
      hub: { card: { ...card, isolations: [] }, ...this.#common },
      fetchOptions: resolveHttpOptions({}),
      platform,
    })
    const controllers = [...disk].filter(([key]) => key.startsWith('entry/controller/'))
    const addresses = controllers.flatMap(([, entry]) => (entry as { value: string[] }).value)
    const claims =
      ticket !== ''
        ? await readTicket(ticket, verifySigned, peekClaims)
        : { mesh: SIGNER.publicKey, id: '', addresses, expiresAtMs: 0, uses: 1, roles, trusted: true }
    const credential = ticket === '' ? (await this.authority.issue(name, '', { roles, trusted: true })).token : undefined
    const peer = new MeshPeer(
      {
        transport: standby.transport,
        ticket,
        claims,
        roles,
        credential,
        standby,
        card,
        hosts: new Map([['thread', host]]),
        ...this.#common,
      },
      clock,
      testTurns(),
      this.random,
      SILENT,
    )
    await standby.open(peer)
    const init = { peer, platform, http: undefined, fetchOptions: resolveHttpOptions({}) }
    const instance = await this.drive(PeerInstance.join(init))
    instance.atEnd(() => standby.close())
    await this.settle()
    const crash = async (): Promise<void> => {
      life.isOver = true
      host.onStart = () => new Promise(() => {})
      this.network.crash(name)
      await this.settle()
    }
    return { name, client: new Client(instance), peer, host, standby, disk, crash }
  }

  /** A clock whose timers are forgotten at the end of a life. */
  #clockOf(life: { readonly isOver: boolean }): Clock {
    return {
      nowMs: () => this.clock.nowMs(),
      after: (ms, callback) => this.clock.after(ms, () => (life.isOver ? undefined : callback())),
    }
  }

  /** A member that says what the test makes it say. */
  async stranger(name: string, options: JoinWorld = {}): Promise<Stranger> {
    const ticket = options.given ?? (await this.client.createTicket(options.ticket))
    const transport = this.network.join(name, { host: options.host })
    const dial = (peer: string): Promise<PeerConnection> => transport.dial(`memory/${peer}`, new AbortController().signal)
    const card = {
      name,
      runtime: 'node',
      incarnation: '1',
      machine: 'm',
      addresses: [],
      resources: {},
      labels: {},
      isolations: ['thread'],
    } as const
    const { codec, verify, epochMs } = this.#common
    const init = {
      card: () => card,
      linkOptions: { codec },
      verify,
      epochMs,
      mesh: SIGNER.publicKey,
      roles: options.roles,
    }
    const come = async (peer: string, pass: EnterOptions['pass']): Promise<Entered> =>
      this.drive(enter(await dial(peer), { ...init, pass }, this.clock, testTurns()))
    const { member, credential = '' } = await come('controller', { ticket })
    const description = { form: 'function', methods: [], batchMethods: [], hasReconfigure: false, hasCheckHealth: false }
    const requests = new Map<string, (...args: never[]) => unknown>([
      ['lead', () => ({ epoch: { term: 0, controllerId: '' } })],
      ['table', ({ epoch }: { epoch: unknown }) => ({ taken: 'taken', epoch })],
      ['start', () => description],
      ['stop', () => undefined],
    ])
    const control = new ControlChannel(member.link.openPort('control'), { requests, told: new Map() })
    await this.drive(control.request('enter', { replicas: [] }))
    await this.settle()
    return { member, control, meet: async (peer) => (await come(peer, { credential })).member }
  }

  /** Which node each replica of a backend runs on. */
  spread(tag: string): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const id of ['controller', ...Object.keys(this.hub.peers)]) {
      const count = this.hub.ledger.on(id).filter(({ backend }) => backend === tag).length
      if (count > 0) counts[id] = count
    }
    return counts
  }

  /** Lets everything happen that needs no time but the network's. */
  async settle(): Promise<void> {
    for (let i = 0; i < 60; i++) {
      await this.clock.advance(0)
      await settle()
    }
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms)
    await this.settle()
  }

  /** Lets time pass in small steps until it is so. */
  async until(isDone: () => boolean): Promise<void> {
    for (let i = 0; i < 2_000; i++) {
      if (isDone()) return
      await this.clock.advance(50)
      await settle(4)
    }
    throw new Error('waited 100 s in vain')
  }

  /** Waits for work that needs turns and, at most, so much time. */
  async drive<T>(work: Promise<T>, mostMs = 60_000): Promise<T> {
    let isDone = false
    const done = (): void => {
      isDone = true
    }
    work.then(done, done)
    for (let i = 0; i < 200 && !isDone; i++) {
      await this.clock.advance(0)
      await settle()
    }
    for (let passed = 0; passed < mostMs && !isDone; passed += 20) {
      await this.clock.advance(20)
      await settle(4)
    }
    if (!isDone) throw new Error(`waited ${mostMs} ms in vain`)
    return work
  }

  /** The code with which work fails. */
  async codeOf(work: Promise<unknown>): Promise<string> {
    return this.drive(work).then(
      () => 'no failure',
      (error: { code?: string }) => error.code ?? String(error),
    )
  }

  /** A partition between a peer and everybody else. */
  isolate(name: string, others: readonly string[]): void {
    for (const other of others) this.network.partition(name, other)
  }

  /** What the nodes log at warn and error, by its name. */
  readonly logged: string[] = []
  /** The last fields of each. */
  readonly fields = new Map<string, object>()
  readonly #log: Logger = {
    ...SILENT,
    warn: (fields, name) => this.#note(fields, name),
    error: (fields, name) => this.#note(fields, name),
  }

  #note(fields: object, name: string): void {
    this.logged.push(name)
    this.fields.set(name, fields)
  }

  readonly #epochMs = (): number => 1_800_000_000_000 + this.clock.nowMs()

  get #common() {
    return {
      codec: msgpackCodec(),
      verify: verifySigned,
      openControl: (port: ConstructorParameters<typeof ControlChannel>[0], handlers: ConstructorParameters<typeof ControlChannel>[1]) =>
        new ControlChannel(port, handlers),
      epochMs: this.#epochMs,
    }
  }

  #host(): MortalHost {
    const inner = new InProcessHost(
      {
        load: async (code) => MODULES.get((code as { url: string }).url),
        readBytes: async (url) => new TextEncoder().encode(url),
        connect: () => ({ getHandle: () => undefined }),
      },
      this.clock,
      testTurns(),
    )
    return new MortalHost(inner)
  }

  #platform(host: MortalHost): InstancePlatform {
    return {
      runtime: 'node',
      clock: this.clock,
      turns: testTurns(),
      random: this.random,
      log: this.#log,
      hosts: new Map([['thread', host]]),
      resources: { cpu: 4 },
      readBytes: async (url) => new TextEncoder().encode(url),
      callerOf: () => undefined,
      toPortableCode: () => Promise.reject(new Error('nothing travels by value in this world')),
      loadModule: async (url) => MODULES.get(url),
    }
  }
}
