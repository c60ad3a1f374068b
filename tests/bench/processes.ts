import type { ChildProcess } from 'node:child_process'

/** The processes a run has started, so that an interrupted one leaves none behind. */
export class Processes {
  readonly #alive = new Set<ChildProcess>()

  add<T extends ChildProcess>(child: T): T {
    this.#alive.add(child)
    child.once('exit', () => this.#alive.delete(child))
    child.once('error', () => this.#alive.delete(child))
    return child
  }

  killAll(): void {
    for (const child of this.#alive) child.kill('SIGKILL')
  }
}
