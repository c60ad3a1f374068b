import type { Random } from '../../core/base/index.ts'
import { ServeError } from '../../core/base/index.ts'
import type { StateEdit, StateStore } from '../../core/controller/index.ts'
import type { Machine } from './sim-time.ts'

interface Pending {
  readonly edits: readonly StateEdit[]
}

/** A disk that outlives its machine. A put is acknowledged once it is synced; a crash loses what is not, but for a part at the front by chance. */
export class SimDisk {
  readonly synced = new Map<string, unknown>()
  readonly #random: Random
  #pending: Pending[] = []
  #crashes = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** A store for one life of the machine. */
  open(machine: Machine, syncMs: number): StateStore {
    let isClosed = false
    const life = this.#crashes
    return {
      load: async () => new Map(this.synced),
      put: (edits) => {
        // What is left of a dead machine writes nothing.
        if (this.#crashes !== life) return new Promise(() => {})
        if (isClosed) return Promise.reject(new ServeError('ERR_STORAGE', 'the store is closed'))
        const pending = { edits }
        this.#pending.push(pending)
        return new Promise((resolve) => {
          machine.after(syncMs * (0.2 + this.#random()), () => {
            // In order: what was put before is synced with it.
            for (let next = this.#pending[0]; next !== undefined; next = this.#pending[0]) {
              this.#pending.shift()
              this.#apply(next)
              if (next === pending) break
            }
            resolve()
          })
        })
      },
      close: async () => {
        isClosed = true
      },
    }
  }

  /** The machine died: of what was not synced a part at the front may be there all the same. */
  crash(): void {
    const kept = Math.floor(this.#random() * (this.#pending.length + 1))
    for (const pending of this.#pending.slice(0, kept)) this.#apply(pending)
    this.#pending = []
    this.#crashes++
  }

  #apply({ edits }: Pending): void {
    for (const { key, value } of edits) {
      if (value === undefined) this.synced.delete(key)
      else this.synced.set(key, value)
    }
  }
}
