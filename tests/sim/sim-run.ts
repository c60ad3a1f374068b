import type { Random } from '../../core/base/index.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { Broken } from './checker.ts'
import { SimTime } from './sim-time.ts'

/** What one run of a simulation is made of, whatever it simulates: time and chance of its own, faults for a while, and a hash of all that happened. */
export abstract class SimRun {
  readonly seed: number
  readonly random: Random
  readonly time = new SimTime()
  isChaos = true
  readonly #onLine: (line: string) => void
  readonly #hash: [number, number] = [0x811c9dc5, 0x01000193]
  #failure: unknown

  /** @param factor keeps the chance of one simulation apart from that of another */
  constructor(seed: number, factor: number, onLine: (line: string) => void) {
    this.seed = seed
    this.random = seededRandom(seed * factor)
    this.#onLine = onLine
  }

  /** Of all that happened, in order: equal for equal seeds. */
  get hash(): string {
    return this.#hash.map((word) => (word >>> 0).toString(16)).join('.')
  }

  /** Runs on and looks after every event; what broke ends the run. */
  async go(ms: number, isDone: () => boolean = () => false): Promise<boolean> {
    const isSo = await this.time.run(ms, () => {
      this.look()
      return this.#failure !== undefined || isDone()
    })
    if (this.#failure !== undefined) throw this.#failure
    return isSo
  }

  /** Again and again while there is chaos. */
  every(leastMs: number, mostMs: number, work: () => void): void {
    this.time.after(leastMs + this.random() * (mostMs - leastMs), () => {
      if (!this.isChaos) return
      work()
      this.every(leastMs, mostMs, work)
    })
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)] as T
  }

  /** Ends the run; of several failures the first is told. */
  fail(failure: unknown): void {
    this.#failure ??= typeof failure === 'string' ? new Broken(failure) : failure
  }

  trace(line: string): void {
    const text = `${this.time.nowMs().toFixed(3)} ${line}`
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      this.#hash[0] = Math.imul(this.#hash[0] ^ code, 0x01000193)
      this.#hash[1] = Math.imul(this.#hash[1] ^ code, 0x85ebca6b) ^ (this.#hash[1] >>> 15)
    }
    this.#onLine(text)
  }

  /** What must hold after every event. */
  protected abstract look(): void
}

/** The result of a run; {@link Broken} names the seed. */
export async function withSeed<T>(seed: number, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw new Broken(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}
