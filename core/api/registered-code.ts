import { ServeError } from '../base/index.ts'
import { requireName } from '../model/index.ts'
import type { ReplicaCode } from '../replica/index.ts'
import type { BackendTarget } from './client.ts'
import { isModuleTarget, isWorkerTarget, requireCallable } from './targets.ts'

/** Backends that one process may give the code of. */
const MAX_REGISTERED = 1_000

/** What `serve.register` gave, by backend. A process that joins with `code: 'named'` runs this and nothing else. */
export class RegisteredCode {
  readonly #code = new Map<string, Promise<ReplicaCode>>()

  /**
   * Gives the code of a backend; a second time takes the place of the first. `ERR_INVALID_ARG_TYPE`.
   * @param toPortable makes a function or class portable; called before anything is awaited
   */
  add(tag: string, target: BackendTarget, toPortable: () => Promise<ReplicaCode>): void {
    requireName('backend tag', tag)
    if (!this.#code.has(tag) && this.#code.size >= MAX_REGISTERED) {
      throw new ServeError('ERR_PAYLOAD_TOO_LARGE', `register: ${MAX_REGISTERED} backends are registered already`)
    }
    const code = toCode(tag, target, toPortable)
    // Who joins hears of it.
    code.catch(() => undefined)
    this.#code.set(tag, code)
  }

  /** All of it. Rejects with `ERR_BACKEND_NOT_PORTABLE` when a function or class among it needs more than itself. */
  async whole(): Promise<ReadonlyMap<string, ReplicaCode>> {
    return new Map(await Promise.all([...this.#code].map(async ([tag, code]) => [tag, await code] as const)))
  }
}

function toCode(tag: string, target: BackendTarget, toPortable: () => Promise<ReplicaCode>): Promise<ReplicaCode> {
  if (isModuleTarget(target)) return Promise.resolve({ kind: 'module', url: target.url, exportName: target.exportName })
  if (isWorkerTarget(target)) return Promise.resolve({ kind: 'worker', factory: target.factory })
  requireCallable(tag, target, [])
  return toPortable()
}
