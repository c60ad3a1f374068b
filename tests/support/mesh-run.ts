import { expect } from 'chai'
import { MeshWorld, type WorldPeer } from './mesh-world.ts'
import { seededRandom } from './seeded-random.ts'

const STEPS = 60
const WANTED = 4
/** What a call may fail with while peers come, go and lose each other. */
const FAILURES = new Set([
  'ERR_REPLICA_DIED',
  'ERR_NO_REPLICA',
  'ERR_TIMEOUT',
  'ERR_BACK_PRESSURE',
  'ERR_OUT_OF_REACH',
  'ERR_CLIENT_CLOSED',
])

/** Runs seeds one after the other; an error names the seed that reproduces it. */
export async function runMeshSeeds(first: number, count: number): Promise<void> {
  for (let seed = first; seed < first + count; seed++) {
    try {
      const run = await MeshRun.of(seed)
      run.check()
    } catch (cause) {
      throw new Error(`seed ${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    }
  }
}

/** One story of a mesh under faults: what happens, and what must be true in the end, all of it from the seed. */
export class MeshRun {
  readonly #random: () => number
  readonly #world: MeshWorld
  readonly #peers: WorldPeer[] = []
  /** How often each call was run. */
  readonly #runs = new Map<number, number>()
  readonly #outcomes = new Map<number, unknown>()
  /** Who waits for each call. */
  readonly #callers = new Map<number, WorldPeer['client']>()
  /** Every event, with its time: the same for the same seed. */
  readonly trace: string[] = []
  #sent = 0
  #names = 0

  private constructor(seed: number, world: MeshWorld) {
    this.#random = seededRandom(seed)
    this.#world = world
  }

  static async begin(seed: number): Promise<MeshRun> {
    const world = await MeshWorld.make([0, 15])
    const run = new MeshRun(seed, world)
    void run.#follow()
    const work = async (request: { data: unknown }): Promise<unknown> => {
      const id = request.data as number
      run.#runs.set(id, (run.#runs.get(id) ?? 0) + 1)
      await new Promise<void>((resolve) => world.clock.after(run.#random() * 20, resolve))
      return id
    }
    await world.serve('work', work, { config: { numReplicas: WANTED, requestTimeoutMs: 20_000 } })
    for (let i = 0; i < 3; i++) await run.#join()
    return run
  }

  /** The whole story of a seed, up to the heal. */
  static async of(seed: number): Promise<MeshRun> {
    const run = await MeshRun.begin(seed)
    for (let i = 0; i < STEPS; i++) await run.step()
    await run.heal()
    return run
  }

  /** A call, a fault, or somebody who comes or goes. */
  async step(): Promise<void> {
    const dice = this.#random()
    if (dice < 0.6) this.#call()
    else if (dice < 0.68) this.#world.network.cut(...this.#pair())
    else if (dice < 0.75) this.#world.network.partition(...this.#pair())
    else if (dice < 0.8) this.#world.network.heal()
    else if (dice < 0.86) await this.#oneOf(this.#peers)?.host.alive[0]?.die()
    else if (dice < 0.89 && this.#peers.length < 4) await this.#join()
    else if (dice < 0.92 && this.#peers.length > 1) await this.#leave()
    else if (dice < 0.94 && this.#peers.length > 1) this.#crash()
    await this.#world.clock.advance(this.#random() * 400)
  }

  /** Everything can reach everything again, and gets time. */
  async heal(): Promise<void> {
    const world = this.#world
    world.network.heal()
    const names = this.#peers.map(({ name }) => name).sort()
    await world.until(() => Object.keys(world.hub.peers).sort().join() === names.join())
    await world.until(() => [...this.#callers.keys()].every((id) => this.#outcomes.has(id)))
    const total = (): number => Object.values(world.spread('work')).reduce((sum, count) => sum + count, 0)
    const alive = (): number => [world.host, ...this.#peers.map(({ host }) => host)].reduce((sum, host) => sum + host.alive.length, 0)
    await world.until(() => total() === WANTED && alive() === WANTED)
    await world.until(() => this.#peers.every(({ peer }) => peer.table.version === world.hub.tableVersion))
  }

  /** Throws when a call was run twice, failed for a reason that is none, or when too few went well. */
  check(): void {
    expect([...this.#runs].filter(([, times]) => times > 1)).to.deep.equal([])
    expect([...this.#outcomes].filter(([id, outcome]) => outcome !== id && !FAILURES.has(String(outcome)))).to.deep.equal([])
    expect([...this.#outcomes.values()].filter((outcome) => typeof outcome === 'number').length).to.be.above(this.#sent / 4)
  }

  async #follow(): Promise<void> {
    for await (const event of this.#world.client.watch()) this.trace.push(`${this.#world.clock.nowMs()} ${JSON.stringify(event)}`)
  }

  #call(): void {
    const id = this.#sent++
    const client = this.#oneOf([this.#world.client, ...this.#peers.map((peer) => peer.client)]) ?? this.#world.client
    this.#callers.set(id, client)
    const handle = client.getHandle('work', { missingOk: true }) as unknown as { remote(data: unknown): Promise<unknown> }
    handle.remote(id).then(
      (value) => this.#outcomes.set(id, value),
      (error: { code?: string }) => this.#outcomes.set(id, error.code ?? error),
    )
  }

  async #join(): Promise<void> {
    this.#world.network.heal()
    this.#peers.push(await this.#world.join(`p${this.#names++}`))
  }

  /** A peer is gone without a word, and with it whoever has called from it. */
  #crash(): void {
    const [peer] = this.#peers.splice(Math.floor(this.#random() * this.#peers.length), 1)
    if (peer === undefined) return
    this.#world.network.crash(peer.name)
    for (const [id, client] of this.#callers) if (client === peer.client && !this.#outcomes.has(id)) this.#callers.delete(id)
  }

  async #leave(): Promise<void> {
    const [peer] = this.#peers.splice(Math.floor(this.#random() * this.#peers.length), 1)
    if (peer !== undefined) await this.#world.drive(peer.client.close())
  }

  #pair(): [string, string] {
    const names = ['controller', ...this.#peers.map(({ name }) => name)]
    const a = Math.floor(this.#random() * names.length)
    const b = (a + 1 + Math.floor(this.#random() * (names.length - 1))) % names.length
    return [names[a] ?? '', names[b] ?? '']
  }

  #oneOf<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random() * list.length)]
  }
}
