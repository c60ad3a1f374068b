import { createPrivateKey, createPublicKey } from 'node:crypto'
import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ServeError } from '../core/base/index.ts'
import { syncFolder } from './file-store.ts'

/** Files with keys, beside the state of an instance: `mesh` signs tickets and credentials, `peer` proves the peer id. */
export const KEY_FILES = Object.freeze({ mesh: 'mesh.key', peer: 'peer.key' })

/** An Ed25519 key, its halves of 32 bytes in base64url. */
export interface KeyPair {
  readonly publicKey: string
  readonly privateKey: string
}

/** Bits of a mode that let others than the owner at a file. */
const OTHERS = 0o077

/**
 * The key that a file holds (a JWK); where there is none, `make` makes one (undefined without it), which is on the disk before this resolves. `ERR_STORAGE` for a file that holds
 * no key, a key that does not fit together, or one that others may read.
 */
export async function openKeyFile(path: string, make: () => Promise<KeyPair>): Promise<KeyPair>
export async function openKeyFile(path: string, make: (() => Promise<KeyPair>) | undefined): Promise<KeyPair | undefined>
export async function openKeyFile(path: string, make: (() => Promise<KeyPair>) | undefined): Promise<KeyPair | undefined> {
  try {
    const text = await readOwn(path)
    if (text !== undefined) return toKeyPair(path, text)
    if (make === undefined) return undefined
    const made = await make()
    await writeWhole(path, JSON.stringify({ kty: 'OKP', crv: 'Ed25519', x: made.publicKey, d: made.privateKey }))
    return made
  } catch (cause) {
    if (cause instanceof ServeError) throw cause
    throw new ServeError('ERR_STORAGE', `key file ${path} cannot be read or written: ${(cause as Error).message}`, { cause })
  }
}

async function readOwn(path: string): Promise<string | undefined> {
  try {
    const { mode } = await stat(path)
    if (process.platform !== 'win32' && (mode & OTHERS) !== 0) {
      const octal = (mode & 0o777).toString(8)
      throw new ServeError('ERR_STORAGE', `key file ${path} has mode ${octal}, so others may read it; if nobody has, chmod 600 it`)
    }
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** The cause of a failure is left out: it may quote the file. */
function toKeyPair(path: string, text: string): KeyPair {
  try {
    const { kty, crv, x, d } = JSON.parse(text) as Record<string, unknown>
    if (kty === 'OKP' && crv === 'Ed25519' && typeof x === 'string' && typeof d === 'string') {
      const { x: derived } = createPublicKey(createPrivateKey({ key: { kty, crv, x, d }, format: 'jwk' })).export({ format: 'jwk' })
      if (derived === x) return { publicKey: x, privateKey: d }
    }
  } catch {
    // Told below.
  }
  throw new ServeError('ERR_STORAGE', `key file ${path} holds no whole key; restore it from a copy, or remove it to make a new one`)
}

/** Either nothing or the whole file is there after a crash. */
async function writeWhole(path: string, text: string): Promise<void> {
  const fresh = `${path}.new`
  await rm(fresh, { force: true })
  const file = await open(fresh, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(fresh, path)
  await syncFolder(dirname(path))
}
