import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { ServeError } from '../core/base/index.ts'

/** Reads a file or, over HTTP, whatever an URL names. */
export async function readBytes(url: string): Promise<Uint8Array> {
  if (url.startsWith('file:')) return new Uint8Array(await readFile(fileURLToPath(url)))
  const response = await fetch(url)
  if (!response.ok) throw new ServeError('ERR_INVALID_ARG_VALUE', `asset ${url}: answered with status ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}
