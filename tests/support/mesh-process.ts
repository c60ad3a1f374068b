import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** A node of a mesh in a process of its own; see `fixtures/mesh-node.ts`. */
export class MeshProcess {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #id = 0

  private constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (message: unknown) => {
      const [id, value, error] = message as [number, unknown, string?]
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(value)
      else waiting?.reject(new Error(error))
    })
  }

  /** Resolves when it has started or joined. */
  static async start(env: Readonly<Record<string, string>>): Promise<MeshProcess> {
    const child = fork(new URL('../node/fixtures/mesh-node.ts', import.meta.url), { env: { ...process.env, ...env } })
    const ended = once(child, 'exit').then(() => Promise.reject(new Error('the process ended before it was ready')))
    ended.catch(() => undefined)
    await Promise.race([once(child, 'message'), ended])
    return new MeshProcess(child)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  ask<T>(what: string, argument?: unknown): Promise<T> {
    const id = ++this.#id
    const answer = new Promise<T>((resolve, reject) => this.#waiting.set(id, { resolve: resolve as never, reject }))
    this.#child.send([id, what, argument])
    return answer
  }

  /** Resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}
