import { ServeError } from '../core/base/index.ts'
import type { StateEdit, StateStore } from '../core/controller/index.ts'
import { holdLock } from './held-lock.ts'

const TABLE = 'state'
/** Longest wait for another owner, in milliseconds: the page before this one may just be leaving. */
const OWNER_TIMEOUT_MS = 2_000

interface Row {
  readonly key: string
  /** Counts up with new keys, so that they come back in the order in which they came. */
  readonly order: number
  readonly value: unknown
}

/**
 * State in a database of the browser, which belongs to the origin. A put is one transaction, strictly durable. One page owns it; another one's attempt
 * fails with `ERR_STORAGE`. The browser may clear it when the disk runs full, unless the page has asked for persistence.
 */
export class IndexedDbStateStore implements StateStore {
  readonly #name: string
  readonly #database: IDBDatabase
  readonly #ownership: AbortController
  readonly #orders = new Map<string, number>()
  #nextOrder = 0
  #last: Promise<void> = Promise.resolve()
  #closed = false

  private constructor(name: string, database: IDBDatabase, ownership: AbortController) {
    this.#name = name
    this.#database = database
    this.#ownership = ownership
  }

  /** Makes the database where it is not there and takes it for this page. */
  static async open(name: string): Promise<IndexedDbStateStore> {
    const ownership = new AbortController()
    try {
      await takeOwnership(name, ownership.signal)
      return new IndexedDbStateStore(name, await openDatabase(`shoal.${name}`), ownership)
    } catch (cause) {
      ownership.abort()
      throw cause instanceof ServeError ? cause : storageError(name, 'cannot be opened', cause)
    }
  }

  /** Takes a database away; it must have no owner. */
  static async erase(name: string): Promise<void> {
    await settled(indexedDB.deleteDatabase(`shoal.${name}`)).catch((cause: unknown) => {
      throw storageError(name, 'cannot be erased', cause)
    })
  }

  async load(): Promise<ReadonlyMap<string, unknown>> {
    this.#requireOpen()
    const rows = await settled<Row[]>(this.#database.transaction(TABLE).objectStore(TABLE).getAll()).catch((cause: unknown) => {
      throw storageError(this.#name, 'cannot be read', cause)
    })
    rows.sort((a, b) => a.order - b.order)
    for (const { key, order } of rows) this.#orders.set(key, order)
    this.#nextOrder = (rows.at(-1)?.order ?? -1) + 1
    return new Map(rows.map(({ key, value }) => [key, value]))
  }

  /** The values are copied before this returns. */
  put(edits: readonly StateEdit[]): Promise<void> {
    try {
      this.#requireOpen()
      const done = this.#write(edits)
      this.#last = done.catch(() => undefined)
      return done
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return this.#last
    this.#closed = true
    await this.#last
    this.#database.close()
    this.#ownership.abort()
  }

  #write(edits: readonly StateEdit[]): Promise<void> {
    const transaction = this.#database.transaction(TABLE, 'readwrite', { durability: 'strict' })
    const table = transaction.objectStore(TABLE)
    const done = new Promise<void>((resolve, reject) => {
      transaction.addEventListener('complete', () => resolve())
      transaction.addEventListener('abort', () => reject(storageError(this.#name, 'took no edit', transaction.error)))
    })
    try {
      for (const { key, value } of edits) {
        if (value === undefined) table.delete(key)
        else table.put({ key, order: this.#orderOf(key), value } satisfies Row)
        if (value === undefined) this.#orders.delete(key)
      }
    } catch (cause) {
      transaction.abort()
      done.catch(() => undefined)
      throw new ServeError('ERR_NOT_SERIALIZABLE', `storage ${this.#name}: an edit cannot be kept: ${(cause as Error).message}`, { cause })
    }
    return done
  }

  #orderOf(key: string): number {
    const order = this.#orders.get(key) ?? this.#nextOrder++
    this.#orders.set(key, order)
    return order
  }

  #requireOpen(): void {
    if (this.#closed) throw new ServeError('ERR_STORAGE', `storage ${this.#name} is closed`)
  }
}

async function takeOwnership(name: string, release: AbortSignal): Promise<void> {
  if ((navigator.locks as LockManager | undefined) === undefined) {
    throw new ServeError('ERR_STORAGE', `storage ${name} needs Web Locks, which need HTTPS (or localhost)`)
  }
  await holdLock(`shoal.storage.${name}`, release, AbortSignal.timeout(OWNER_TIMEOUT_MS)).catch((cause: unknown) => {
    throw new ServeError(
      'ERR_STORAGE',
      `storage ${name} is in use by another page of this origin; name another one by start({ storage })`,
      { cause },
    )
  })
}

function openDatabase(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1)
  request.addEventListener('upgradeneeded', () => request.result.createObjectStore(TABLE, { keyPath: 'key' }))
  return settled(request)
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result))
    request.addEventListener('error', () => reject(request.error))
  })
}

function storageError(name: string, what: string, cause: unknown): ServeError {
  return new ServeError('ERR_STORAGE', `storage ${name} ${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
}
