import type { Random } from '../../core/base/index.ts'
import type { Machine, SimTime } from './sim-time.ts'

/** Nothing heard for so long ends a connection, as the heartbeat of a link does. */
const SILENCE_MS = 5_000
const MOST_DELAY_MS = 1_000

export interface NetworkFaults {
  readonly meanDelayMs: number
  /** Share of messages that are lost, doubled or late although their connection stands; only for what may be. */
  readonly unreliable: number
}

/** One end of a connection. */
export interface SimLink {
  readonly peer: string
  /** @param mayGetLost the message bears being lost, doubled and overtaken */
  send(message: unknown, mayGetLost?: boolean): void
}

export interface LinkEnds {
  onMessage(message: unknown): void
  onGone(): void
}

/** A machine as the network sees it. */
export interface SimHost {
  readonly machine: Machine
  readonly isUp: boolean
  /** A connection stands. */
  onLink(link: SimLink): LinkEnds
}

interface Pair {
  readonly names: readonly [string, string]
  readonly ends: Map<string, { readonly life: number; readonly on: LinkEnds }>
  readonly dueMs: Map<string, number>
  readonly held: Map<string, (() => void)[]>
  isGone: boolean
}

/** Connections between machines: in order, delayed, held back by walls, and ended by silence, cuts and deaths. A wall may stand one way only. */
export class SimNetwork {
  readonly #hosts = new Map<string, SimHost>()
  readonly #pairs = new Set<Pair>()
  readonly #walls = new Set<string>()
  readonly #time: SimTime
  readonly #random: Random
  readonly #faults: NetworkFaults
  readonly #trace: (line: string) => void
  isCalm = false

  constructor(faults: NetworkFaults, time: SimTime, random: Random, trace: (line: string) => void) {
    this.#faults = faults
    this.#time = time
    this.#random = random
    this.#trace = trace
  }

  add(name: string, host: SimHost): void {
    this.#hosts.set(name, host)
  }

  isLinked(a: string, b: string): boolean {
    return [...this.#pairs].some((pair) => pair.names.includes(a) && pair.names.includes(b))
  }

  /** Tries to connect; nothing comes of it when one is down or a wall stands between them. */
  dial(from: string, to: string): void {
    const [a, b] = [this.#hosts.get(from), this.#hosts.get(to)]
    if (a === undefined || b === undefined || !a.isUp || !b.isUp || b.machine.isPaused || this.isLinked(from, to)) return
    if (this.#isWalled(from, to) || this.#isWalled(to, from)) return
    const pair: Pair = { names: [from, to], ends: new Map(), dueMs: new Map(), held: new Map(), isGone: false }
    this.#pairs.add(pair)
    const lives = [a.machine.life, b.machine.life]
    this.#time.after(this.#delayMs(), () => {
      const isThere = a.machine.life === lives[0] && b.machine.life === lives[1] && !a.machine.isPaused && !b.machine.isPaused
      if (pair.isGone) return
      if (!isThere) return this.#end(pair)
      this.#trace(`link ${from} ${to}`)
      for (const [host, name, other] of [
        [a, from, to],
        [b, to, from],
      ] as const) {
        host.machine.turn(() => {
          const send = (message: unknown, mayGetLost = false): void => this.#send(pair, name, other, message, mayGetLost)
          pair.ends.set(name, { life: host.machine.life, on: host.onLink({ peer: other, send }) })
        })
      }
    })
  }

  /** A message without a connection: it arrives or it does not. */
  post(from: string, to: string, run: () => void): void {
    if (this.#isWalled(from, to) || this.#isLost()) return
    const host = this.#hosts.get(to)
    const life = host?.machine.life
    this.#time.after(this.#delayMs(), () => {
      if (host === undefined || !host.isUp || host.machine.life !== life) return
      host.machine.turn(run)
    })
  }

  /** Nothing passes from one to the other any more. */
  wall(from: string, to: string): void {
    this.#trace(`wall ${from} ${to}`)
    this.#walls.add(`${from}|${to}`)
    for (const pair of this.#pairs) {
      if (!pair.names.includes(from) || !pair.names.includes(to)) continue
      this.#time.after(SILENCE_MS, () => {
        if (this.#isWalled(from, to)) this.#end(pair)
      })
    }
  }

  /** Takes every wall away; what was held back goes on. */
  heal(): void {
    this.#trace('heal')
    this.#walls.clear()
    for (const pair of this.#pairs) {
      for (const held of pair.held.values()) for (const run of held.splice(0)) run()
    }
  }

  /** Ends the connection between two; what is under way is lost. */
  cut(a: string, b: string): void {
    for (const pair of [...this.#pairs]) if (pair.names.includes(a) && pair.names.includes(b)) this.#end(pair)
  }

  /** Ends all connections of one. @param afterMs when the others notice */
  cutAll(name: string, afterMs: number): void {
    for (const pair of [...this.#pairs]) {
      if (!pair.names.includes(name)) continue
      pair.ends.delete(name)
      this.#time.after(afterMs, () => this.#end(pair))
    }
  }

  /** Ends connections of a machine that has been silent for too long. */
  silence(name: string): void {
    const pairs = [...this.#pairs].filter((pair) => pair.names.includes(name))
    this.#time.after(SILENCE_MS, () => {
      if (this.#hosts.get(name)?.machine.isPaused) for (const pair of pairs) this.#end(pair)
    })
  }

  get names(): readonly string[] {
    return [...this.#hosts.keys()]
  }

  #send(pair: Pair, from: string, to: string, message: unknown, mayGetLost: boolean): void {
    if (pair.isGone) return
    const copies = mayGetLost && this.#isLost() ? (this.#random() < 0.5 ? 0 : 2) : 1
    for (let i = 0; i < copies; i++) {
      const isLate = mayGetLost && this.#isLost()
      const dueMs = Math.max(isLate ? 0 : (pair.dueMs.get(to) ?? 0), this.#time.nowMs() + this.#delayMs(isLate ? 20 : 1))
      if (!isLate) pair.dueMs.set(to, dueMs)
      this.#time.after(dueMs - this.#time.nowMs(), () => this.#arrive(pair, from, to, message))
    }
  }

  #arrive(pair: Pair, from: string, to: string, message: unknown): void {
    if (pair.isGone) return
    const held = pair.held.get(to) ?? []
    pair.held.set(to, held)
    if (this.#isWalled(from, to)) {
      held.push(() => this.#arrive(pair, from, to, message))
      return
    }
    const host = this.#hosts.get(to)
    const life = pair.ends.get(to)?.life
    if (host === undefined || host.machine.life !== life) return
    this.#trace(`${from}>${to} ${(message as { kind?: string }).kind ?? ''}`)
    host.machine.turn(() => {
      if (!pair.isGone) pair.ends.get(to)?.on.onMessage(message)
    })
  }

  #end(pair: Pair): void {
    if (pair.isGone) return
    pair.isGone = true
    this.#pairs.delete(pair)
    this.#trace(`unlink ${pair.names.join(' ')}`)
    for (const [name, { life, on }] of pair.ends) {
      const machine = this.#hosts.get(name)?.machine
      if (machine !== undefined && machine.life === life) machine.turn(() => on.onGone())
    }
  }

  #isWalled(from: string, to: string): boolean {
    return this.#walls.has(`${from}|${to}`)
  }

  #isLost(): boolean {
    return !this.isCalm && this.#random() < this.#faults.unreliable
  }

  /** Exponential, with a tail of twenty times in 2 %; what is under way when all is healed arrives soon. */
  #delayMs(times = 1): number {
    const delayMs = -Math.log(1 - this.#random()) * this.#faults.meanDelayMs * times
    return Math.min(MOST_DELAY_MS, !this.isCalm && this.#random() < 0.02 ? delayMs * 20 : delayMs)
  }
}
