import { Broken, Checker } from './checker.ts'
import { backendValue, ControllerNode, endpointValue, PeerNode, type Surroundings } from './nodes.ts'
import { SimDisk } from './sim-disk.ts'
import { SimNetwork } from './sim-network.ts'
import { SimRun, withSeed } from './sim-run.ts'
import { Machine } from './sim-time.ts'

/** How long the faults last and what is promised afterwards, in milliseconds. */
const CHAOS_MS = 60_000
const HEAL_MS = 10_000
const SLOWEST = 2 / 3

export interface RunResult {
  readonly seed: number
  /** Of all that happened, in order: equal for equal seeds. */
  readonly hash: string
  readonly events: number
  readonly acked: number
  readonly refused: number
  readonly calls: number
  readonly answered: number
  readonly conflicts: number
  /** Controllers that began to act. */
  readonly terms: number
  /** From the heal until all were equal, in milliseconds. */
  readonly healedMs: number
}

/**
 * One run: 3 to 9 machines, of which 1 to 3 are controllers, under a mix of faults that the seed draws; then everything is healed and must be whole.
 * Throws {@link Broken} with the seed in its message.
 */
export async function runSeed(seed: number, onLine: (line: string) => void = () => {}): Promise<RunResult> {
  return withSeed(seed, () => new Run(seed, onLine).run())
}

class Run extends SimRun {
  readonly #checker = new Checker()
  readonly #network: SimNetwork
  readonly #controllers: ControllerNode[] = []
  readonly #peers: PeerNode[] = []
  readonly #faults: Readonly<Record<'crash' | 'pause' | 'wall' | 'oneWay' | 'cut' | 'drift' | 'unreliable', boolean>>
  #mark = 0
  #call = 0
  #refused = 0
  #terms = 0

  constructor(seed: number, onLine: (line: string) => void) {
    super(seed, 2_654_435_761, onLine)
    const { random } = this
    const coin = (): boolean => random() < 0.5
    this.#faults = { crash: coin(), pause: coin(), wall: coin(), oneWay: coin(), cut: coin(), drift: coin(), unreliable: coin() }
    const trace = (line: string): void => this.trace(line)
    this.#network = new SimNetwork(
      { meanDelayMs: 1 + random() * 49, unreliable: this.#faults.unreliable ? random() * 0.1 : 0 },
      this.time,
      random,
      trace,
    )
    const all: Surroundings = { network: this.#network, random, checker: this.#checker, time: this.time, trace, disks: new Map() }
    const controllers = ['c0', 'c1', 'c2'].slice(0, 1 + Math.floor(random() * 3))
    const peers = Array.from({ length: 2 + Math.floor(random() * 5) }, (_, i) => `p${i}`)
    for (const name of controllers) {
      const node = new ControllerNode(name, name === 'c0', controllers, this.#machine(name), new SimDisk(random), all)
      this.#controllers.push(node)
      this.#network.add(name, node)
    }
    for (const name of peers) {
      const node = new PeerNode(name, shuffled(controllers, random), this.#machine(name), all)
      this.#peers.push(node)
      this.#network.add(name, node)
    }
  }

  async run(): Promise<RunResult> {
    for (const node of this.#nodes) node.start()
    await this.go(3_000)
    this.every(100, 900, () => this.#edit())
    this.every(20, 200, () => this.#makeCall())
    this.every(500, 6_000, () => this.#fault())
    await this.go(CHAOS_MS)
    this.isChaos = false
    const healedMs = await this.#heal()
    await this.#proveAlive()
    return {
      seed: this.seed,
      hash: this.hash,
      events: this.time.events,
      acked: this.#checker.acked.length,
      refused: this.#refused,
      calls: this.#call,
      answered: this.#checker.answeredCalls,
      conflicts: this.#checker.conflicts,
      terms: this.#terms,
      healedMs,
    }
  }

  get #nodes(): (ControllerNode | PeerNode)[] {
    return [...this.#controllers, ...this.#peers]
  }

  #machine(name: string): Machine {
    const rate = this.#faults.drift ? SLOWEST + this.random() * (1.5 - SLOWEST) : 1
    return new Machine(name, rate, this.random() * 600_000, this.time, () => {})
  }

  /** An invariant that broke inside of an event ends the run. */
  protected look(): void {
    if (this.#checker.failure !== undefined) this.fail(this.#checker.failure)
  }

  /** At a controller that acts, or thinks so: the others would only point there. */
  #edit(): void {
    const acting = this.#controllers.filter((node) => node.isUp && !node.machine.isPaused && node.group.role === 'acting')
    if (acting.length === 0) return
    const node = this.pick(acting)
    const mark = ++this.#mark
    const name = `${Math.floor(this.random() * 6)}`
    const isGone = this.random() < 0.15
    const [key, value] =
      this.random() < 0.3
        ? [`backend/b${name}`, backendValue(`b${name}`, mark)]
        : [`endpoint/e${name}`, endpointValue(`e${name}`, 'b0', mark)]
    this.trace(`edit ${mark} ${key} at ${node.name}`)
    node.edit(key, isGone ? undefined : value).then(
      (code) => {
        this.trace(`edit ${mark} ${code ?? 'ok'}`)
        if (code !== undefined) this.#refused++
      },
      (error: unknown) => this.fail(error),
    )
  }

  #makeCall(): void {
    const callers = this.#peers.filter((node) => node.isUp && !node.machine.isPaused)
    if (callers.length === 0) return
    this.pick(callers).call(++this.#call, this.pick(this.#peers))
  }

  #fault(): void {
    const faults = this.#faults
    const kinds = (Object.keys(faults) as (keyof typeof faults)[]).filter((kind) => faults[kind])
    if (kinds.length === 0) return
    const kind = this.pick(kinds)
    const node = this.random() < 0.6 ? this.pick(this.#controllers) : this.pick(this.#peers)
    if (kind === 'cut') this.#network.cut(node.name, this.pick(this.#nodes).name)
    if (kind === 'crash' && node.isUp) {
      this.#kill(node)
      this.time.after(200 + this.random() * 12_000, () => this.#revive(node))
    }
    if (kind === 'pause' && node.isUp && !node.machine.isPaused) {
      this.trace(`pause ${node.name}`)
      node.machine.pause()
      this.#network.silence(node.name)
      const { life } = node.machine
      this.time.after(1_000 + this.random() * 20_000, () => {
        if (node.machine.life === life) this.#resume(node)
      })
    }
    if (kind === 'wall' || kind === 'oneWay') {
      const side = new Set(
        this.random() < 0.5 ? [node.name] : shuffled(this.#network.names, this.random).slice(0, this.#network.names.length >> 1),
      )
      for (const a of this.#network.names) {
        for (const b of this.#network.names) {
          if (!side.has(a) || side.has(b)) continue
          this.#network.wall(a, b)
          if (kind === 'wall') this.#network.wall(b, a)
        }
      }
      this.time.after(2_000 + this.random() * 13_000, () => this.#network.heal())
    }
  }

  #kill(node: ControllerNode | PeerNode): void {
    this.trace(`kill ${node.name}`)
    node.kill()
    // A process that dies closes its sockets; a machine that dies does not.
    this.#network.cutAll(node.name, this.random() < 0.5 ? 1 : 5_000)
  }

  #revive(node: ControllerNode | PeerNode): void {
    if (node.isUp) return
    this.trace(`start ${node.name}`)
    node.start()
  }

  #resume(node: ControllerNode | PeerNode): void {
    if (!node.machine.isPaused) return
    this.trace(`resume ${node.name}`)
    node.machine.resume()
  }

  /** Everything works again; all must be equal in time. A controller that starts only now needs its whole lease, on its own clock. */
  async #heal(): Promise<number> {
    this.#network.isCalm = true
    this.#network.heal()
    for (const node of this.#nodes) {
      this.#resume(node)
      this.#revive(node)
    }
    const startedAtMs = this.time.nowMs()
    const limitMs = HEAL_MS / (this.#faults.drift ? SLOWEST : 1)
    if (!(await this.go(limitMs, () => this.#isWhole()))) throw new Broken(`not equal ${limitMs} ms after the heal: ${this.#describe()}`)
    const healedMs = this.time.nowMs() - startedAtMs
    await this.go(3_000)
    if (!this.#isWhole()) throw new Broken(`equal after the heal, and not any more: ${this.#describe()}`)
    this.#checker.survives((key) => this.#controllers[0]?.group.map.get(key))
    if (this.#checker.openCalls > 0) throw new Broken(`${this.#checker.openCalls} calls have no outcome`)
    return healedMs
  }

  #isWhole(): boolean {
    const acting = this.#controllers.filter(({ group }) => group.role === 'acting')
    const [leader] = acting
    if (leader === undefined || acting.length > 1) return false
    return (
      this.#controllers.every(({ group }) => group.map.root === leader.group.map.root) &&
      this.#nodes.every((node) => node.stamp === leader.stamp) &&
      leader.stamp.startsWith(`${leader.group.leader.term}.${leader.name}/`)
    )
  }

  #describe(): string {
    const controllers = this.#controllers.map(
      ({ name, group, stamp }) =>
        `${name} ${group.role} of ${group.leader.term}.${group.leader.controllerId} root ${group.map.root} ${stamp}`,
    )
    return [...controllers, ...this.#peers.map(({ name, stamp }) => `${name} ${stamp}`)].join('; ')
  }

  /** The next edits are acknowledged and reach everyone, and the next hundred calls are answered. */
  async #proveAlive(): Promise<void> {
    const acting = this.#controllers.find(({ group }) => group.role === 'acting') as ControllerNode
    const codes: (string | undefined)[] = []
    for (const [key, value] of [
      ['backend/b0', backendValue('b0', ++this.#mark)],
      ['endpoint/e0', endpointValue('e0', 'b0', ++this.#mark)],
    ] as const) {
      void acting.edit(key, value).then((code) => codes.push(code))
    }
    if (!(await this.go(5_000, () => codes.length === 2 && this.#isWhole())) || codes.some((code) => code !== undefined)) {
      throw new Broken(`edits after the heal: ${codes.map(String).join(', ')}; ${this.#describe()}`)
    }
    const before = this.#checker.answeredCalls
    for (let i = 0; i < 100; i++) {
      this.#makeCall()
      await this.go(5)
    }
    await this.go(5_000)
    const answered = this.#checker.answeredCalls - before
    if (answered < 100 || this.#checker.openCalls > 0) throw new Broken(`${answered} of 100 calls after the heal were answered`)
  }

  override trace(line: string): void {
    super.trace(line)
    if (line.includes(' role acting')) this.#terms++
  }
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const rest = [...list]
  const mixed: T[] = []
  while (rest.length > 0) mixed.push(...rest.splice(Math.floor(random() * rest.length), 1))
  return mixed
}
