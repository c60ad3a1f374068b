import type { Clock, Stop } from '../base/index.ts'
import type { ResolvedAutoscaling } from '../model/index.ts'
import { autoscale, CALM, type ScaleMemory } from './autoscale.ts'
import { LoadHistory } from './load-history.ts'

/** From one look at the load to the next. */
const PERIOD_MS = 100

/** What an autoscaler sees of its backend, and how it acts on it. */
export interface Scalable {
  readonly wanted: number
  readonly ready: number
  /** Calls that wait or run. */
  readonly load: number
  scaleTo(wanted: number): void
}

/** Looks at the load of one backend ten times a second and lets its number of replicas follow. Runs until it is stopped. */
export class Autoscaler {
  readonly #backend: Scalable
  readonly #clock: Clock
  readonly #history: LoadHistory
  #config: ResolvedAutoscaling
  #memory: ScaleMemory = CALM
  #stop: Stop

  constructor(backend: Scalable, config: ResolvedAutoscaling, clock: Clock) {
    this.#backend = backend
    this.#config = config
    this.#clock = clock
    this.#history = new LoadHistory(Math.max(config.lookBackMs, config.panicWindowMs))
    this.#stop = clock.after(PERIOD_MS, this.#look)
  }

  configure(config: ResolvedAutoscaling): void {
    this.#config = config
    this.#history.configure(Math.max(config.lookBackMs, config.panicWindowMs))
  }

  /** Looks at once: a call waits and nobody is there. */
  wake(): void {
    this.#stop()
    this.#look()
  }

  stop(): void {
    this.#stop()
  }

  readonly #look = (): void => {
    this.#stop = this.#clock.after(PERIOD_MS, this.#look)
    const nowMs = this.#clock.nowMs()
    const { wanted, ready, load } = this.#backend
    this.#history.add(nowMs, load)
    const view = {
      nowMs,
      wanted,
      ready,
      load,
      meanLoad: this.#history.mean(nowMs, this.#config.lookBackMs),
      panicLoad: this.#history.meanFromZero(nowMs, this.#config.panicWindowMs),
    }
    const decided = autoscale(view, this.#memory, this.#config)
    this.#memory = decided.memory
    if (decided.wanted !== wanted) this.#backend.scaleTo(decided.wanted)
  }
}
