import { ServeError } from '../core/base/index.ts'

/** Fetches whatever an URL names. */
export async function readBytes(url: string): Promise<Uint8Array> {
  const response = await fetch(url)
  if (!response.ok) throw new ServeError('ERR_INVALID_ARG_VALUE', `asset ${url}: answered with status ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}
