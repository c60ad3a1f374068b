import { msgpackCodec } from '../../core/adapters/codec/index.ts'
import { Client, ControlChannel, type InstancePlatform, LocalInstance, PeerInstance, servePeerClient } from '../../core/api/index.ts'
import { isServeError, type Random, ServeError, SILENT } from '../../core/base/index.ts'
import { resolveHttpOptions } from '../../core/gateway/index.ts'
import { MemoryNetwork, MeshAuthority, MeshHub, MeshPeer, type PeekClaims, readTicket, type VerifySigned } from '../../core/mesh/index.ts'
import type { RoutingTable } from '../../core/model/index.ts'
import { InProcessHost } from '../../core/replica/index.ts'
import { testTurns } from '../support/fake-clock.ts'
import { MortalHost } from '../support/mortal-host.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { Broken } from './checker.ts'
import { Machine, SimTime } from './sim-time.ts'

const CHAOS_MS = 40_000
/** After the heal all have found the controller again, and its table, within this time. */
const IN_STEP_MS = 10_000
/** And all replicas are there within this: a backend whose replicas died often waits before it starts the next. */
const HEAL_MS = 40_000
/** Until peers that lose each other have noticed and found another way. */
const BRIDGE_MS = 20_000
const DEADLINE_MS = 3_000
const WANTED = 4

export interface MeshResult {
  readonly seed: number
  readonly hash: string
  readonly events: number
  readonly calls: number
  readonly answered: number
  /** How the others ended, by code. */
  readonly codes: Readonly<Record<string, number>>
  readonly edits: number
  readonly healedMs: number
}

/** Signs nothing and is believed: real signatures take turns of the event loop that no seed decides. */
export const signer = { publicKey: 'key', sign: async (kind: string, claims: object) => JSON.stringify([kind, claims]) }
export const verify: VerifySigned = async (kind, token, publicKey) => {
  const [signedAs, claims] = JSON.parse(token) as [string, Record<string, unknown>]
  if (signedAs !== kind || publicKey !== 'key') throw new ServeError('ERR_TICKET_INVALID', 'the signature does not hold')
  return claims
}
export const peek: PeekClaims = (token) => (JSON.parse(token) as [string, Record<string, unknown>])[1]

interface Place {
  readonly name: string
  machine: Machine
  host: MortalHost
  client: Client | undefined
  peer: MeshPeer | undefined
}

/** One run of the mesh as it is: a controller and its hub, peers, links and calls, on machines whose network breaks. Throws {@link Broken}. */
export async function runMesh(seed: number, onLine: (line: string) => void = () => {}): Promise<MeshResult> {
  try {
    return await new MeshRun(seed, onLine).run()
  } catch (error) {
    throw new Broken(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

class MeshRun {
  readonly #seed: number
  readonly #random: Random
  readonly #time = new SimTime()
  readonly #network: MemoryNetwork
  readonly #places: Place[] = []
  readonly #hub: MeshHub
  readonly #onLine: (line: string) => void
  readonly #faults: Readonly<Record<'wall' | 'oneWay' | 'pair' | 'cut' | 'crash' | 'replica', boolean>>
  readonly #runs = new Map<number, number>()
  readonly #settled = new Map<number, number>()
  readonly #seen = new Map<string, RoutingTable>()
  readonly #tables = new Map<number, string>()
  readonly #codes: Record<string, number> = {}
  #tableOf: () => { readonly version: number } = () => ({ version: 0 })
  #ticket = ''
  #hash = 0x811c9dc5
  #calls = 0
  #answered = 0
  #edits = 0
  #isChaos = true
  #failure: Broken | undefined

  constructor(seed: number, onLine: (line: string) => void) {
    this.#seed = seed
    this.#onLine = onLine
    const random = seededRandom(seed * 2_246_822_519)
    this.#random = random
    const maybe = (): boolean => random() < 0.5
    this.#faults = { wall: maybe(), oneWay: maybe(), pair: maybe(), cut: maybe(), crash: maybe(), replica: maybe() }
    const wire = new Machine('wire', 1, 0, this.#time, () => {})
    this.#network = new MemoryNetwork({ delayMs: [1, 1 + random() * 40] }, wire, random)
    const count = 3 + Math.floor(random() * 4)
    for (let i = 0; i < count; i++) {
      const machine = new Machine(i === 0 ? 'controller' : `p${i}`, 0.8 + random() * 0.5, random() * 600_000, this.#time, () => {})
      this.#places.push({ name: machine.name, machine, host: this.#host(machine), client: undefined, peer: undefined })
    }
    this.#hub = new MeshHub(
      {
        transport: this.#network.join('controller'),
        authority: new MeshAuthority({ signer, verify, peek, epochMs: this.#epochMs, random }),
        card: { name: 'controller', runtime: 'node', incarnation: '1', machine: 'm', resources: { cpu: 4 }, labels: {}, isolations: [] },
        ...this.#common,
      },
      this.#controller.machine,
      testTurns(),
      SILENT,
    )
  }

  async run(): Promise<MeshResult> {
    const { machine, host } = this.#controller
    const options = { name: 'controller', http: undefined, fetchOptions: resolveHttpOptions({}), mesh: this.#hub }
    const instance = await this.#drive(LocalInstance.start(options, this.#platform(machine, host)))
    await this.#drive(
      this.#hub.open(
        instance.controller,
        (event) => instance.emit(event),
        (port, member, access) => servePeerClient(instance, port, member, access, testTurns()),
      ),
    )
    this.#tableOf = () => instance.controller.table
    const client = new Client(instance)
    this.#controller.client = client
    this.#ticket = await this.#drive(client.createTicket({ uses: 1_000, ttlMs: 86_400_000 }))
    for (const place of this.#peers) await this.#join(place)
    for (const idempotent of [false, true]) {
      const name = idempotent ? 'again' : 'once'
      const target = Object.freeze({ [Symbol.for('shoal.ModuleTarget')]: true, url: 'sim:echo', exportName: 'default' })
      await this.#drive(client.createBackend(name, target as never, { config: { numReplicas: WANTED, idempotent } }))
      await this.#drive(client.createEndpoint(name, { backend: name }))
    }
    this.#every(10, 120, () => this.#call(this.#pick(this.#places)))
    this.#every(2_000, 6_000, () => this.#edit())
    this.#every(1_000, 7_000, () => this.#fault())
    await this.#go(CHAOS_MS)
    this.#isChaos = false
    this.#trace('heal')
    this.#network.heal()
    const healedMs = await this.#heal()
    await this.#go(1_000)
    await this.#proveAlive()
    await this.#proveBridged()
    return {
      seed: this.#seed,
      hash: (this.#hash >>> 0).toString(16),
      events: this.#time.events,
      calls: this.#calls,
      answered: this.#answered,
      codes: this.#codes,
      edits: this.#edits,
      healedMs,
    }
  }

  get #controller(): Place {
    return this.#places[0] as Place
  }

  get #peers(): Place[] {
    return this.#places.slice(1)
  }

  /** Runs on and looks at every table after every event. */
  async #go(ms: number, isDone: () => boolean = () => false): Promise<boolean> {
    const isSo = await this.#time.run(ms, () => {
      this.#look()
      return this.#failure !== undefined || isDone()
    })
    if (this.#failure !== undefined) throw this.#failure
    return isSo
  }

  async #drive<T>(work: Promise<T>): Promise<T> {
    let isOver = false
    const over = (): void => {
      isOver = true
    }
    work.then(over, over)
    if (!(await this.#go(60_000, () => isOver))) throw new Broken('something that should take a moment took a minute')
    return work
  }

  #look(): void {
    for (const { name, peer } of this.#peers) {
      if (peer === undefined) continue
      const { table } = peer
      const before = this.#seen.get(name)
      if (before === table) continue
      this.#seen.set(name, table)
      if (before !== undefined && table.version < before.version) this.#fail(`${name} went back from ${before.version} to ${table.version}`)
      if (table.version === 0) continue
      const text = JSON.stringify([[...table.endpoints].sort(byName), [...table.backends].sort(byName)])
      const known = this.#tables.get(table.version)
      if (known !== undefined && known !== text) this.#fail(`two tables of version ${table.version}: ${text} at ${name}, before ${known}`)
      this.#tables.set(table.version, text)
    }
  }

  async #join(place: Place): Promise<void> {
    const { name, machine } = place
    place.host = this.#host(machine)
    const claims = await readTicket(this.#ticket, verify, peek)
    const peer = new MeshPeer(
      {
        transport: this.#network.join(name),
        ticket: this.#ticket,
        claims,
        roles: undefined,
        card: { name, runtime: 'node', incarnation: `${machine.life}`, machine: 'm', resources: { cpu: 4 }, labels: {} },
        hosts: new Map([['thread', place.host]]),
        ...this.#common,
      },
      machine,
      testTurns(),
      this.#random,
      SILENT,
    )
    const joining = PeerInstance.join({
      peer,
      platform: this.#platform(machine, place.host),
      http: undefined,
      fetchOptions: resolveHttpOptions({}),
    })
    const joined = joining.then(
      (instance) => {
        if (place.machine !== machine) return
        this.#trace(`joined ${name}`)
        this.#seen.delete(name)
        place.peer = peer
        place.client = new Client(instance)
      },
      // As who starts it would: again, a little later.
      (error: unknown) => {
        this.#trace(`not joined ${name} ${String((error as ServeError).code)}`)
        if (place.machine === machine) machine.after(1_000, () => void this.#join(place))
      },
    )
    if (this.#calls === 0) await this.#drive(joined)
  }

  #call(place: Place): void {
    const { client, machine, name } = place
    if (client === undefined) return
    const id = ++this.#calls
    this.#trace(`call ${id} from ${name}`)
    const endpoint = this.#random() < 0.5 ? 'once' : 'again'
    const lateMs = (DEADLINE_MS + 1_000) / 0.8
    let isOver = false
    const settle = (code: string): void => {
      // What is left of a dead machine does not count.
      if (place.machine !== machine) return
      const times = (this.#settled.get(id) ?? 0) + 1
      this.#settled.set(id, times)
      if (times > 1) this.#fail(`call ${id} has a second outcome, ${code}`)
      isOver = true
      this.#trace(`call ${id} ${code}`)
      if (code === 'answered') this.#answered++
      else this.#codes[code] = (this.#codes[code] ?? 0) + 1
    }
    this.#time.after(lateMs, () => {
      if (!isOver && place.machine === machine) this.#fail(`call ${id} of ${name} has no outcome ${lateMs} ms after it began`)
    })
    let answer: Promise<unknown>
    try {
      answer = client
        .getHandle(endpoint)
        .options({ timeoutMs: DEADLINE_MS })
        .remote([id, endpoint === 'again']) as unknown as Promise<unknown>
    } catch (error) {
      return settle((error as ServeError).code)
    }
    answer.then(
      (value) => {
        if (value !== id) this.#fail(`call ${id} was answered with ${String(value)}`)
        settle('answered')
      },
      (error: unknown) => {
        if (!isServeError(error)) this.#fail(`call ${id} failed with ${String(error)}`)
        const { code, outcome, message } = error as ServeError
        this.#trace(`call ${id} ${message}`)
        if (outcome === 'not-started' && this.#runs.has(id)) this.#fail(`call ${id} ended as not-started and was run (${code})`)
        settle(code)
      },
    )
  }

  #edit(): void {
    const { client } = this.#controller
    if (client === undefined) return
    const limit = 1 + Math.floor(this.#random() * 4)
    client.updateBackendConfig('again', { maxConcurrentQueries: limit }).then(
      () => {
        this.#edits++
        this.#trace(`edit ${limit}`)
      },
      (error: unknown) => this.#trace(`edit ${limit} ${(error as ServeError).code}`),
    )
  }

  #fault(): void {
    const faults = this.#faults
    const kinds = (Object.keys(faults) as (keyof typeof faults)[]).filter((kind) => faults[kind])
    if (kinds.length === 0) return
    const kind = this.#pick(kinds)
    const place = this.#pick(this.#peers)
    this.#trace(`fault ${kind} ${place.name}`)
    if (kind === 'cut') this.#network.cut(place.name, this.#pick(this.#places).name)
    if (kind === 'pair') {
      this.#network.partition(place.name, this.#pick(this.#peers).name)
      this.#time.after(1_000 + this.#random() * 9_000, () => this.#network.heal())
    }
    if (kind === 'wall' || kind === 'oneWay') {
      const others = this.#places.filter(({ name }) => name !== place.name && this.#random() < 0.7)
      const isOutward = this.#random() < 0.5
      for (const { name } of others) {
        if (kind === 'wall') this.#network.partition(place.name, name)
        else if (isOutward) this.#network.partitionOneWay(place.name, name)
        else this.#network.partitionOneWay(name, place.name)
      }
      this.#time.after(1_000 + this.#random() * 9_000, () => this.#network.heal())
    }
    if (kind === 'replica') {
      const { alive } = this.#pick(this.#places).host
      if (alive.length > 0) void this.#pick(alive).die()
    }
    if (kind === 'crash' && place.client !== undefined) {
      place.machine = place.machine.replace()
      place.client = undefined
      place.peer = undefined
      this.#network.crash(place.name)
      this.#time.after(500 + this.#random() * 8_000, () => void this.#join(place))
    }
  }

  async #heal(): Promise<number> {
    const startedAtMs = this.#time.nowMs()
    if (!(await this.#go(IN_STEP_MS, () => this.#isInStep()))) {
      throw new Broken(`not in step ${IN_STEP_MS} ms after the heal: ${this.#describe()}`)
    }
    if (!(await this.#go(HEAL_MS, () => this.#isWhole()))) throw new Broken(`not whole ${HEAL_MS} ms after the heal: ${this.#describe()}`)
    return this.#time.nowMs() - startedAtMs
  }

  #isInStep(): boolean {
    const { peers } = this.#hub
    const { version } = this.#tableOf()
    return this.#peers.every(({ name, peer }) => name in peers && peer?.table.version === version)
  }

  #isWhole(): boolean {
    return this.#isInStep() && ['once', 'again'].every((tag) => this.#readyOf(tag) === WANTED)
  }

  #readyOf(tag: string): number {
    return this.#places.reduce((sum, { host, client }) => {
      return sum + (client === undefined ? 0 : host.alive.filter(({ spec }) => spec.backend === tag).length)
    }, 0)
  }

  #describe(): string {
    const places = this.#peers.map(({ name, peer, client }) => {
      const ways = this.#peers.map((other) => peer?.viaOf(other.name) ?? '-').join(',')
      const seat = name in this.#hub.peers ? 'seated' : 'unseated'
      const lanes = peer?.queues.get('once')?.ready
      return `${name} ${client === undefined ? 'out' : 'in'} ${seat} table ${peer?.table.version} lanes ${lanes} ways ${ways}`
    })
    return `table ${this.#tableOf().version}; once ${this.#readyOf('once')}, again ${this.#readyOf('again')}; ${places.join('; ')}`
  }

  async #proveAlive(): Promise<void> {
    await this.#go(DEADLINE_MS / 0.8 + 2_000)
    const answered = this.#answered
    for (let i = 0; i < 100; i++) {
      this.#call(this.#places[i % this.#places.length] as Place)
      await this.#go(20)
    }
    await this.#go(DEADLINE_MS / 0.8 + 2_000)
    if (this.#answered - answered !== 100) {
      throw new Broken(
        `${this.#answered - answered} of 100 calls after the heal were answered: ${JSON.stringify(this.#codes)}; ${this.#describe()}`,
      )
    }
  }

  /** Peers between which nothing passes reach each other through the controller: every replica, and every call is answered. */
  async #proveBridged(): Promise<void> {
    for (const { name } of this.#peers) for (const other of this.#peers) this.#network.partition(name, other.name)
    const isBridged = (): boolean => this.#peers.every(({ peer }) => peer?.queues.get('once')?.ready === WANTED)
    await this.#go(BRIDGE_MS / 2)
    if (!(await this.#go(BRIDGE_MS, isBridged))) throw new Broken(`peers without a way to each other: ${this.#describe()}`)
    await this.#proveAlive()
    this.#network.heal()
  }

  /** What replicas run: it takes a while, and counts how often each call was run. */
  #handler(machine: Machine): unknown {
    return async (request: { readonly data: readonly [id: number, isSafe: boolean] }): Promise<number> => {
      const [id, isSafe] = request.data
      const runs = (this.#runs.get(id) ?? 0) + 1
      this.#runs.set(id, runs)
      // Once; a call of the idempotent backend may be given to another replica after a death.
      if (runs > (isSafe ? 2 : 1)) this.#fail(`call ${id} was run ${runs} times`)
      await new Promise<void>((resolve) => machine.after(this.#random() * 60, resolve))
      return id
    }
  }

  #fail(message: string): void {
    this.#failure ??= new Broken(message)
  }

  #every(leastMs: number, mostMs: number, work: () => void): void {
    this.#time.after(leastMs + this.#random() * (mostMs - leastMs), () => {
      if (!this.#isChaos) return
      work()
      this.#every(leastMs, mostMs, work)
    })
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)] as T
  }

  readonly #epochMs = (): number => 1_800_000_000_000 + this.#time.nowMs()

  get #common() {
    return {
      codec: msgpackCodec(),
      verify,
      openControl: (port: ConstructorParameters<typeof ControlChannel>[0], handlers: ConstructorParameters<typeof ControlChannel>[1]) =>
        new ControlChannel(port, handlers),
      epochMs: this.#epochMs,
    }
  }

  #host(machine: Machine): MortalHost {
    const handler = this.#handler(machine)
    const connect = () => ({ getHandle: () => undefined })
    return new MortalHost(
      new InProcessHost({ load: async () => handler, readBytes: async () => new Uint8Array(1), connect }, machine, testTurns()),
    )
  }

  #platform(machine: Machine, host: MortalHost): InstancePlatform {
    return {
      runtime: 'node',
      clock: machine,
      turns: testTurns(),
      random: this.#random,
      log: SILENT,
      hosts: new Map([['thread', host]]),
      resources: { cpu: 4 },
      readBytes: async () => new Uint8Array(1),
      callerOf: () => undefined,
      toPortableCode: () => Promise.reject(new Error('nothing travels by value here')),
      loadModule: async () => this.#handler(machine),
    }
  }

  #trace(line: string): void {
    const text = `${this.#time.nowMs().toFixed(3)} ${line}`
    for (let i = 0; i < text.length; i++) this.#hash = Math.imul(this.#hash ^ text.charCodeAt(i), 0x01000193)
    this.#onLine(text)
  }
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)
