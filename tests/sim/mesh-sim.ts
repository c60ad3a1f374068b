import { msgpackCodec } from '../../core/adapters/codec/index.ts'
import { type Client, ControlChannel, type InstancePlatform } from '../../core/api/index.ts'
import { isServeError, ServeError, SILENT } from '../../core/base/index.ts'
import type { MemoryNetwork, PeekClaims, VerifySigned } from '../../core/mesh/index.ts'
import type { RoutingTable } from '../../core/model/index.ts'
import { InProcessHost } from '../../core/replica/index.ts'
import { testTurns } from '../support/fake-clock.ts'
import { MortalHost } from '../support/mortal-host.ts'
import { Broken } from './checker.ts'
import { SimRun } from './sim-run.ts'
import type { Machine } from './sim-time.ts'

const DEADLINE_MS = 3_000
/** Replicas of each backend. */
export const WANTED = 4

/** Signs nothing and is believed: real signatures take turns of the event loop that no seed decides. */
export const signer = { publicKey: 'key', sign: async (kind: string, claims: object) => JSON.stringify([kind, claims]) }
export const verify: VerifySigned = async (kind, token, publicKey) => {
  const [signedAs, claims] = JSON.parse(token) as [string, Record<string, unknown>]
  if (signedAs !== kind || publicKey !== 'key') throw new ServeError('ERR_TICKET_INVALID', 'the signature does not hold')
  return claims
}
export const peek: PeekClaims = (token) => (JSON.parse(token) as [string, Record<string, unknown>])[1]

/** A machine of the mesh, and what runs on it. */
export interface SimPlace {
  readonly name: string
  machine: Machine
  host: MortalHost
  client: Client | undefined
}

/**
 * The mesh as it is, on machines whose network breaks, with two backends: calls of `once` run at most once, those of `again`, which is idempotent, at
 * most twice. Each call has one outcome, in time.
 */
export abstract class MeshSim<P extends SimPlace> extends SimRun {
  readonly places: P[] = []
  abstract readonly network: MemoryNetwork
  calls = 0
  answered = 0
  /** How the other calls ended, by code. */
  readonly codes: Record<string, number> = {}
  readonly #runs = new Map<number, number>()
  readonly #tables = new Map<string, string>()

  async drive<T>(work: Promise<T>): Promise<T> {
    let isOver = false
    const over = (): void => {
      isOver = true
    }
    work.then(over, over)
    if (!(await this.go(60_000, () => isOver))) throw new Broken('something that should take a moment took a minute')
    return work
  }

  async serveBackends(client: Client): Promise<void> {
    const target = Object.freeze({ [Symbol.for('shoal.ModuleTarget')]: true, url: 'sim:echo', exportName: 'default' })
    for (const name of ['once', 'again']) {
      const config = { numReplicas: WANTED, idempotent: name === 'again' }
      await this.drive(client.createBackend(name, target as never, { config }))
      await this.drive(client.createEndpoint(name, { backend: name }))
    }
  }

  call(place: P): void {
    const { client, machine, name } = place
    if (client === undefined) return
    const id = ++this.calls
    this.trace(`call ${id} from ${name}`)
    const endpoint = this.random() < 0.5 ? 'once' : 'again'
    const lateMs = (DEADLINE_MS + 1_000) / 0.8
    let outcomes = 0
    const settle = (code: string): void => {
      // What is left of a dead machine does not count.
      if (place.machine !== machine) return
      if (++outcomes > 1) this.fail(`call ${id} has a second outcome, ${code}`)
      this.trace(`call ${id} ${code}`)
      if (code === 'answered') this.answered++
      else this.codes[code] = (this.codes[code] ?? 0) + 1
    }
    this.time.after(lateMs, () => {
      if (outcomes === 0 && place.machine === machine) this.fail(`call ${id} of ${name} has no outcome ${lateMs} ms after it began`)
    })
    let answer: Promise<unknown>
    try {
      const handle = client.getHandle(endpoint).options({ timeoutMs: DEADLINE_MS })
      answer = handle.remote([id, endpoint === 'again']) as unknown as Promise<unknown>
    } catch (error) {
      return settle((error as ServeError).code)
    }
    answer.then(
      (value) => {
        if (value !== id) this.fail(`call ${id} was answered with ${String(value)}`)
        settle('answered')
      },
      (error: unknown) => {
        if (!isServeError(error)) return this.fail(`call ${id} failed with ${String(error)}`)
        this.trace(`call ${id} ${error.message}`)
        if (error.outcome === 'not-started' && this.#runs.has(id)) this.fail(`call ${id} ended as not-started and was run (${error.code})`)
        settle(error.code)
      },
    )
  }

  /** So many calls, from all places in turn, are all answered. */
  async proveAnswered(count: number): Promise<void> {
    const answered = this.answered
    for (let i = 0; i < count; i++) {
      this.call(this.places[i % this.places.length] as P)
      await this.go(20)
    }
    await this.settleCalls()
    if (this.answered - answered !== count) {
      const codes = JSON.stringify(this.codes)
      throw new Broken(`${this.answered - answered} of ${count} calls after the heal were answered: ${codes}; ${this.describe()}`)
    }
  }

  /** Until each call that was made has its outcome. */
  async settleCalls(): Promise<void> {
    await this.go(DEADLINE_MS / 0.8 + 2_000)
  }

  /** Two tables of one stamp are one table. */
  noteTable(stamp: string, table: RoutingTable, name: string): void {
    const text = JSON.stringify([[...table.endpoints].sort(byName), [...table.backends].sort(byName)])
    const known = this.#tables.get(stamp)
    if (known !== undefined && known !== text) this.fail(`two tables are stamped ${stamp}: ${text} at ${name}, before ${known}`)
    this.#tables.set(stamp, text)
  }

  get hasAllReplicas(): boolean {
    return ['once', 'again'].every((tag) => this.aliveOf(tag) === WANTED)
  }

  /** Replicas of a backend, on machines that are in the mesh. */
  aliveOf(tag: string): number {
    return this.places.reduce((sum, { host, client }) => {
      return sum + (client === undefined ? 0 : host.alive.filter(({ spec }) => spec.backend === tag).length)
    }, 0)
  }

  /** One kind of the faults that this run has; undefined when it has none. */
  pickFault<K extends string>(faults: Readonly<Record<K, boolean>>): K | undefined {
    const kinds = (Object.keys(faults) as K[]).filter((kind) => faults[kind])
    return kinds.length === 0 ? undefined : this.pick(kinds)
  }

  readonly epochMs = (): number => 1_800_000_000_000 + this.time.nowMs()

  /** Every other mesh closes links that carry nothing soon, and every third has few of them. */
  linkLimits(maxPeers: number) {
    return { ...(this.seed % 2 === 0 && { idleLinkMs: 1_000 }), ...(this.seed % 3 === 0 && { maxPeers }) }
  }

  /** What hubs and peers have in common. */
  get common() {
    return {
      codec: msgpackCodec(),
      verify,
      openControl: (port: ConstructorParameters<typeof ControlChannel>[0], handlers: ConstructorParameters<typeof ControlChannel>[1]) =>
        new ControlChannel(port, handlers),
      epochMs: this.epochMs,
    }
  }

  cardOf({ name, machine }: Pick<P, 'name' | 'machine'>) {
    return { name, runtime: 'node', incarnation: `${machine.life}`, machine: 'm', resources: { cpu: 4 }, labels: {} } as const
  }

  hostOn(machine: Machine): MortalHost {
    const handler = this.#handler(machine)
    const connect = () => ({ getHandle: () => undefined })
    const readBytes = async (): Promise<Uint8Array> => new Uint8Array(1)
    return new MortalHost(new InProcessHost({ load: async () => handler, readBytes, connect }, machine, testTurns()))
  }

  platformOn(machine: Machine, host: MortalHost): InstancePlatform {
    return {
      runtime: 'node',
      clock: machine,
      turns: testTurns(),
      random: this.random,
      log: SILENT,
      hosts: new Map([['thread', host]]),
      resources: { cpu: 4 },
      readBytes: async () => new Uint8Array(1),
      callerOf: () => undefined,
      toPortableCode: () => Promise.reject(new Error('nothing travels by value here')),
      loadModule: async () => this.#handler(machine),
    }
  }

  protected abstract describe(): string

  /** What replicas run: it takes a while, and counts how often each call was run. */
  #handler(machine: Machine): unknown {
    return async (request: { readonly data: readonly [id: number, isSafe: boolean] }): Promise<number> => {
      const [id, isSafe] = request.data
      const runs = (this.#runs.get(id) ?? 0) + 1
      this.#runs.set(id, runs)
      // Once; a call of the idempotent backend may be given to another replica after a death.
      if (runs > (isSafe ? 2 : 1)) this.fail(`call ${id} was run ${runs} times`)
      await new Promise<void>((resolve) => machine.after(this.random() * 60, resolve))
      return id
    }
  }
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)
