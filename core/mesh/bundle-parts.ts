import { ServeError } from '../base/index.ts'
import { type AssetData, type BlobRef, type ReplicaSpec, rewriteLiving } from '../replica/index.ts'
import type { BundleStore } from './bundle-store.ts'

/** What of a spec travels: its code and its arguments, encoded. */
export type TravellingParts = Pick<ReplicaSpec, 'code' | 'initArgs'>

/** The blobs that a spec names: the bundle of its code, and its assets. */
export function blobsOf({ code, initArgs }: TravellingParts): BlobRef[] {
  const blobs = assetsOf(initArgs).flatMap((data) => (typeof data === 'string' ? [] : [data.blob]))
  return code.kind === 'module' && code.bundle !== undefined ? [code.bundle, ...code.bundle.files, ...blobs] : blobs
}

/** What stands behind the assets of encoded arguments. */
export function assetsOf(initArgs: readonly unknown[]): AssetData[] {
  const assets = new Set<AssetData>()
  rewriteLiving(initArgs, ({ mark, data }) => {
    if (mark === 'asset') assets.add(data as AssetData)
    return undefined
  })
  return [...assets]
}

/** The same arguments with something else behind their assets. */
export function withAssets(initArgs: readonly unknown[], replace: (data: AssetData) => AssetData): readonly unknown[] {
  return rewriteLiving(initArgs, ({ mark, data }) => (mark === 'asset' ? replace(data as AssetData) : undefined))
}

/** The digest of code that travels as source; undefined for other code. */
export async function sourceDigest({ code }: TravellingParts, store: BundleStore): Promise<string | undefined> {
  if (code.kind !== 'source') return undefined
  // Where its `import()` resolves from is part of what it does.
  return store.digestOf(new TextEncoder().encode(sameText({ portable: code.portable, filename: code.filename ?? null })))
}

/** What a peer's controller must have said for code to run here; refuses kinds that cannot have come with a digest. */
export function requireDigest(backend: string, { code }: TravellingParts): void {
  if (code.kind === 'source' || (code.kind === 'module' && code.bundle !== undefined)) return
  throw new ServeError('ERR_FORBIDDEN', `backend ${backend}: its code came without a digest; this peer runs verified code only`)
}

/** Plain data as text, the same whatever the order of its keys. */
function sameText(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}
