import type { Turns } from '../../core/base/index.ts'

/** Turns that a test runs by hand: nothing happens until `run`, and then everything, in order, without an await. */
export class ManualTurns implements Turns {
  readonly #soon: (() => void)[] = []
  readonly #later: (() => void)[] = []

  soon(callback: () => void): void {
    this.#soon.push(callback)
  }

  later(callback: () => void): void {
    this.#later.push(callback)
  }

  /** Runs what was asked for, and what that asks for in turn, until nothing is left. */
  run(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) next()
  }

  #next(): (() => void) | undefined {
    return this.#soon.shift() ?? this.#later.shift()
  }
}
