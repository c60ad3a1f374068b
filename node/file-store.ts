import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { deserialize, Serializer } from 'node:v8'
import { crc32 } from 'node:zlib'
import { ServeError } from '../core/base/index.ts'
import type { StateEdit, StateStore } from '../core/controller/index.ts'
import { isRunning, startOf } from './is-running.ts'

/** Length of the payload, then its CRC-32; four bytes each, the greatest first. The payload is a list of edits in V8's format. */
const HEAD_BYTES = 8
/** The journal is folded into the snapshot when it is larger than this and than four snapshots. */
const COMPACT_BYTES = 256 * 1024
/** Most edits that may wait for the disk. */
const MAX_WAITING = 10_000

const JOURNAL = 'journal'
const SNAPSHOT = 'snapshot'
const LOCK = 'lock'

interface Waiting {
  readonly edits: readonly StateEdit[]
  resolve(): void
  reject(error: unknown): void
}

/**
 * State in a folder: a snapshot, and a journal of what came since. A put is one checksummed record, on the disk (fsync) before it resolves; puts that
 * wait for the disk together share a record. A record that a crash has cut short at the end of the journal is cut off: nobody was told of it. One
 * process owns the folder.
 */
export class FileStateStore implements StateStore {
  readonly #folder: string
  readonly #values = new Map<string, unknown>()
  readonly #waiting: Waiting[] = []
  #journal: FileHandle | undefined
  #journalBytes = 0
  #snapshotBytes = 0
  #writing: Promise<void> | undefined
  #failure: ServeError | undefined
  #closed = false

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** Makes the folder where it is not there and takes it for this process: `ERR_STORAGE` when another one that runs has it. */
  static async open(folder: string): Promise<FileStateStore> {
    const store = new FileStateStore(folder)
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      takeLock(join(folder, LOCK), folder)
    } catch (cause) {
      throw toStorageError(`storage ${folder} cannot be opened`, cause)
    }
    return store
  }

  /** Takes away what a store keeps in a folder, and files that others put beside it; the folder must have no owner. */
  static async erase(folder: string, beside: readonly string[] = []): Promise<void> {
    for (const file of [JOURNAL, SNAPSHOT, `${SNAPSHOT}.new`, ...beside]) await rm(join(folder, file), { force: true })
  }

  async load(): Promise<ReadonlyMap<string, unknown>> {
    this.#requireOpen()
    try {
      const snapshot = await readIfThere(this.#path(SNAPSHOT))
      const journal = await readIfThere(this.#path(JOURNAL))
      const isNew = journal === undefined
      // A snapshot is complete before it gets its name: what is torn there is no crash of ours.
      const { end: snapshotEnd } = this.#replay(snapshot ?? Buffer.alloc(0), SNAPSHOT)
      if (snapshotEnd !== (snapshot?.length ?? 0)) throw new ServeError('ERR_STORAGE', `storage ${this.#path(SNAPSHOT)} is cut short`)
      const { end } = this.#replay(journal ?? Buffer.alloc(0), JOURNAL)
      this.#snapshotBytes = snapshotEnd
      this.#journal = await open(this.#path(JOURNAL), 'a', 0o600)
      if (journal !== undefined && end < journal.length) {
        await this.#journal.truncate(end)
        await this.#journal.sync()
      }
      this.#journalBytes = end
      if (isNew) await syncFolder(this.#folder)
      return new Map([...this.#values].map(([key, value]) => [key, structuredClone(value)]))
    } catch (cause) {
      throw toStorageError(`storage ${this.#folder} cannot be read`, cause)
    }
  }

  put(edits: readonly StateEdit[]): Promise<void> {
    try {
      this.#requireOpen()
      if (this.#journal === undefined) throw new ServeError('ERR_STORAGE', `storage ${this.#folder}: load() comes first`)
      if (this.#failure !== undefined) throw this.#failure
      if (this.#waiting.length >= MAX_WAITING) {
        throw new ServeError('ERR_STORAGE', `storage ${this.#folder}: ${MAX_WAITING} edits wait for the disk already`)
      }
      const copies = structuredClone(edits)
      return new Promise((resolve, reject) => {
        this.#waiting.push({ edits: copies, resolve, reject })
        this.#writing ??= this.#write()
      })
    } catch (error) {
      return Promise.reject(toStorageError(`storage ${this.#folder}: an edit cannot be kept`, error))
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#writing
    await this.#journal?.close()
    rmSync(this.#path(LOCK), { force: true })
  }

  #path(file: string): string {
    return join(this.#folder, file)
  }

  #requireOpen(): void {
    if (this.#closed) throw new ServeError('ERR_STORAGE', `storage ${this.#folder} is closed`)
  }

  /** Writes what waits, again and again until nothing does. */
  async #write(): Promise<void> {
    // Whoever puts in the same turn comes along.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const taken = this.#waiting.splice(0)
      try {
        if (this.#failure !== undefined) throw this.#failure
        await this.#append(taken.flatMap(({ edits }) => edits))
        for (const { resolve } of taken) resolve()
      } catch (cause) {
        // What is on the disk now is unknown, and so would be what comes behind it: only a new start can tell.
        this.#failure ??= toStorageError(
          `storage ${this.#folder} cannot be written; the instance must be started anew to edit again`,
          cause,
        )
        for (const { reject } of taken) reject(this.#failure)
      }
    }
    this.#writing = undefined
  }

  async #append(edits: readonly StateEdit[]): Promise<void> {
    const journal = this.#journal as FileHandle
    const record = encodeRecord(edits)
    await journal.appendFile(record)
    await journal.datasync()
    this.#journalBytes += record.length
    applyEdits(this.#values, edits)
    if (this.#journalBytes > Math.max(COMPACT_BYTES, 4 * this.#snapshotBytes)) await this.#compact()
  }

  /** A crash between the two steps replays the journal onto a snapshot that has it already, which changes nothing. */
  async #compact(): Promise<void> {
    const record = encodeRecord([...this.#values].map(([key, value]) => ({ key, value })))
    const fresh = `${this.#path(SNAPSHOT)}.new`
    const file = await open(fresh, 'w', 0o600)
    try {
      await file.writeFile(record)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(fresh, this.#path(SNAPSHOT))
    await syncFolder(this.#folder)
    await this.#journal?.truncate(0)
    await this.#journal?.sync()
    this.#snapshotBytes = record.length
    this.#journalBytes = 0
  }

  /** Applies records as far as they are whole; says where the last whole one ends. What is broken in the middle is no torn tail: `ERR_STORAGE`. */
  #replay(bytes: Buffer, file: string): { end: number } {
    let at = 0
    while (at + HEAD_BYTES <= bytes.length) {
      const length = bytes.readUInt32BE(at)
      const end = at + HEAD_BYTES + length
      if (end > bytes.length || isBlank(bytes, at)) break
      const payload = bytes.subarray(at + HEAD_BYTES, end)
      if (crc32(payload) !== bytes.readUInt32BE(at + 4)) {
        if (end === bytes.length) break
        throw new ServeError('ERR_STORAGE', `storage ${this.#path(file)} is damaged at byte ${at}; restore it from a copy, or move it away`)
      }
      applyEdits(this.#values, deserialize(payload) as readonly StateEdit[])
      at = end
    }
    return { end: at }
  }
}

function encodeRecord(edits: readonly StateEdit[]): Buffer {
  const serializer = new Serializer()
  serializer.writeHeader()
  serializer.writeValue(edits)
  const payload = serializer.releaseBuffer()
  const record = Buffer.allocUnsafe(HEAD_BYTES + payload.length)
  record.writeUInt32BE(payload.length, 0)
  record.writeUInt32BE(crc32(payload), 4)
  payload.copy(record, HEAD_BYTES)
  return record
}

function applyEdits(values: Map<string, unknown>, edits: readonly StateEdit[]): void {
  for (const { key, value } of edits) {
    if (value === undefined) values.delete(key)
    else values.set(key, value)
  }
}

/** Some file systems make a file longer before they write what belongs there: the rest is zeros then. */
function isBlank(bytes: Buffer, from: number): boolean {
  return bytes.readUInt32BE(from) === 0 && bytes.subarray(from).every((byte) => byte === 0)
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** A new or renamed file is there after a crash only when its folder was written too. Windows has no such call and needs none. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function toStorageError(message: string, cause: unknown): ServeError {
  if (cause instanceof ServeError) return cause
  return new ServeError('ERR_STORAGE', `${message}: ${(cause as Error).message}`, { cause })
}

/** Holds process id and start of the owner, so that a process which got the number of a dead one is not taken for it. */
function takeLock(path: string, folder: string): void {
  const mine = `${process.pid} ${startOf(process.pid)}`
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const lock = openSync(path, 'wx', 0o600)
      writeFileSync(lock, mine)
      closeSync(lock)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const [pid = 0, start = ''] = readFileSync(path, 'utf8').split(' ')
    if (isRunning(Number(pid)) && start === startOf(Number(pid))) {
      throw new ServeError('ERR_STORAGE', `storage ${folder} is in use by process ${pid}; stop it, or take another folder`)
    }
    rmSync(path, { force: true })
  }
  throw new ServeError('ERR_STORAGE', `storage ${folder}: others keep taking it`)
}
