import { createHash, webcrypto } from 'node:crypto'
import { copyFile, link, mkdir, mkdtemp, open, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { pipe } from 'it-pipe'
import { type BundleShelf, BundleStore, type BundleStoreOptions, type Received, toFileName } from '../core/mesh/index.ts'
import type { BlobRef } from '../core/replica/index.ts'
import { isRunning } from './is-running.ts'

/** A store in a temporary folder that only this user can enter; it is made with the first thing that is put there and removed at the end. */
export function openBundleStore(options: BundleStoreOptions = {}): BundleStore {
  return new BundleStore(new FolderBundleShelf(), sha256, options)
}

/** Computed beside this thread, which a large model would hold up. */
async function sha256(bytes: Uint8Array): Promise<string> {
  return Buffer.from(await webcrypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)).toString('hex')
}

/**
 * Bundles and assets as files: each under its digest, and linked under its name into a folder of its own where it is asked for, so that code finds what
 * lies beside it and a library that goes by the ending of a name is served.
 */
class FolderBundleShelf implements BundleShelf {
  #folder: Promise<string> | undefined
  #writes = 0
  readonly #linked = new Map<string, Set<string>>()

  async put(digest: string, bytes: Uint8Array): Promise<void> {
    const path = join(await this.#open(), digest)
    // Whoever reads what lies there already must not meet half of it.
    const part = `${path}.${this.#writes++}.part`
    await writeFile(part, bytes, { mode: 0o600 })
    await rename(part, path)
  }

  /** Computes the digest while the bytes are written: what is long is never in memory as a whole. */
  async receive(digest: string, parts: AsyncIterable<Uint8Array>, _mostBytes: number): Promise<Received> {
    const path = join(await this.#open(), digest)
    const part = `${path}.${this.#writes++}.part`
    const hash = createHash('sha256')
    let bytes = 0
    const counted = async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const piece of source) {
        hash.update(piece)
        bytes += piece.byteLength
        yield piece
      }
    }
    try {
      await pipe(parts, counted, (source) => writeFile(part, source, { mode: 0o600 }))
      const got = hash.digest('hex')
      if (got === digest) await rename(part, path)
      return { digest: got, bytes }
    } finally {
      await rm(part, { force: true })
    }
  }

  async read(digest: string, start: number, end: number): Promise<Uint8Array> {
    const file = await open(join(await this.#open(), digest), 'r')
    try {
      const bytes = new Uint8Array(end - start)
      let at = 0
      while (at < bytes.byteLength) {
        const { bytesRead } = await file.read(bytes, at, bytes.byteLength - at, start + at)
        if (bytesRead === 0) throw new RangeError(`${digest} ends at ${start + at} bytes`)
        at += bytesRead
      }
      return bytes
    } finally {
      await file.close()
    }
  }

  async locate(blob: BlobRef, beside: readonly BlobRef[]): Promise<string> {
    const all = [blob, ...beside]
    const root = await this.#open()
    const key = createHash('sha256')
    for (const { digest, name } of all) key.update(`${digest} ${name}\n`)
    const folder = join(root, `${key.digest('hex')}.d`)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    for (const { digest, name } of all) {
      await linkFile(join(root, digest), join(folder, name))
      const folders = this.#linked.get(digest) ?? new Set()
      this.#linked.set(digest, folders.add(folder))
    }
    return pathToFileURL(join(folder, blob.name)).href
  }

  async remove(digest: string): Promise<void> {
    const folders = this.#linked.get(digest) ?? []
    this.#linked.delete(digest)
    for (const path of [...folders, join(await this.#open(), digest)]) await rm(path, { recursive: true, force: true })
  }

  async close(): Promise<void> {
    const folder = await this.#folder
    this.#folder = undefined
    this.#linked.clear()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }

  #open(): Promise<string> {
    this.#folder ??= makeFolder()
    return this.#folder
  }
}

/**
 * Folders are named after their machine and process: those of processes that were killed are removed by the next one. `mkdtemp` gives a folder with
 * mode 0700.
 */
async function makeFolder(): Promise<string> {
  const parent = tmpdir()
  const prefix = `shoal-code-${toFileName(hostname())}-`
  for (const name of await readdir(parent)) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN
    if (Number.isNaN(pid) || isRunning(pid)) continue
    // Another user's cannot be removed, and need not be.
    await rm(join(parent, name), { recursive: true, force: true }).catch(() => undefined)
  }
  return mkdtemp(join(parent, `${prefix}${process.pid}-`))
}

/** A second name for a file; a copy where the file system has no such thing. */
async function linkFile(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return
    if (code === 'ENOENT') throw error
    await copyFile(from, to)
  }
}
