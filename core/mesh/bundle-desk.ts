import { ServeError, type Stop } from '../base/index.ts'
import type { AssetData, BlobRef, BundleRef, ReplicaCode, ReplicaSpec } from '../replica/index.ts'
import type { BundleListing } from './bundle-intake.ts'
import { assetsOf, blobsOf, sourceDigest, type TravellingParts, withAssets } from './bundle-parts.ts'
import type { BundleStore } from './bundle-store.ts'

interface NamedBytes {
  /** Of the file. */
  readonly name: string
  readonly bytes: Uint8Array
}

/** A module and all that it imports in one file, and the files that must lie beside it. */
export interface MadeBundle extends NamedBytes {
  readonly files: readonly NamedBytes[]
}

/** What a platform brings to the deploying side. */
export interface BundleMaker {
  /** `ERR_BACKEND_NOT_PORTABLE` with what cannot travel and where it is; `ERR_UNSUPPORTED` without a bundler. */
  bundle(tag: string, moduleUrl: string): Promise<MadeBundle>
  readBytes(url: string): Promise<Uint8Array>
}

interface Listing {
  readonly digests: readonly string[]
  readonly release: Stop
}

/** Peers named as holders of a blob, at most. */
const MAX_HOLDERS = 3

/**
 * The deploying side: makes one bundle of a module, gives bundles and assets their digests, and keeps the list of those that backends need, which peers
 * go by.
 */
export class BundleDesk {
  readonly store: BundleStore
  readonly #maker: BundleMaker
  readonly #listings = new Map<string, Listing>()
  readonly #holders = new Map<string, Set<string>>()
  #unlisted: string[] = []

  constructor(store: BundleStore, maker: BundleMaker) {
    this.store = store
    this.#maker = maker
  }

  /** The parts of a backend in the form in which peers can start it. Rejects with what cannot travel. */
  async prepare(tag: string, { code, initArgs }: TravellingParts): Promise<TravellingParts> {
    return { code: await this.#prepareCode(tag, code), initArgs: await this.#prepareAssets(tag, initArgs) }
  }

  /** A spec whose parts all have digests; one that was kept by an instance without a mesh has none. */
  async complete(spec: ReplicaSpec): Promise<ReplicaSpec> {
    const isBare = spec.code.kind === 'module' && spec.code.bundle === undefined
    if (!isBare && assetsOf(spec.initArgs).every((data) => typeof data !== 'string')) return spec
    return { ...spec, ...(await this.prepare(spec.backend, spec)) }
  }

  /**
   * Lists what a replica needs, before a peer is asked to start it, and brings back what the store has lost since, as after a restart: from peers that
   * have it, else from what it was made of.
   * @param fetch puts what some peer has into the store; false when none has it
   */
  async list(spec: ReplicaSpec, peerId: string, fetch: (blob: BlobRef) => Promise<boolean>): Promise<readonly BundleListing[]> {
    const blobs = blobsOf(spec)
    const source = await sourceDigest(spec, this.store)
    const digests = [...blobs.map(({ digest }) => digest), ...(source === undefined ? [] : [source])]
    const before = this.#listings.get(spec.backend)
    this.#listings.set(spec.backend, { digests, release: this.store.hold(digests) })
    this.#forget(before)
    for (const blob of blobs) if (!this.store.has(blob.digest) && !(await fetch(blob))) await this.#restock(spec, blob)
    return digests.map((digest) => this.#toListing(digest, peerId))
  }

  /** All that is listed now, for a peer that has just come. */
  listed(peerId: string): readonly BundleListing[] {
    const digests = new Set([...this.#listings.values()].flatMap((listing) => listing.digests))
    return [...digests].map((digest) => this.#toListing(digest, peerId))
  }

  isListed(digest: string): boolean {
    return [...this.#listings.values()].some(({ digests }) => digests.includes(digest))
  }

  /** Backends that have something listed. */
  get backends(): readonly string[] {
    return [...this.#listings.keys()]
  }

  /** A backend is no more. */
  drop(tag: string): void {
    const listing = this.#listings.get(tag)
    this.#listings.delete(tag)
    this.#forget(listing)
  }

  /** What was listed and is not any more, for the peers to hear; once. */
  takeUnlisted(): readonly string[] {
    return this.#unlisted.splice(0).filter((digest) => !this.isListed(digest))
  }

  /** A peer has started a replica, so it has all that this needs. */
  noteHolder(spec: ReplicaSpec, peerId: string): void {
    for (const { digest } of blobsOf(spec)) {
      const holders = this.#holders.get(digest) ?? new Set()
      holders.add(peerId)
      this.#holders.set(digest, holders)
    }
  }

  forgetPeer(peerId: string): void {
    for (const holders of this.#holders.values()) holders.delete(peerId)
  }

  #toListing(digest: string, peerId: string): BundleListing {
    return { digest, holders: [...(this.#holders.get(digest) ?? [])].filter((id) => id !== peerId).slice(-MAX_HOLDERS) }
  }

  #forget(listing: Listing | undefined): void {
    if (listing === undefined) return
    listing.release()
    for (const digest of listing.digests) {
      if (this.isListed(digest)) continue
      this.#holders.delete(digest)
      this.#unlisted.push(digest)
    }
  }

  async #prepareCode(tag: string, code: ReplicaCode): Promise<ReplicaCode> {
    if (code.kind !== 'module') return code
    const { url, exportName } = code
    const made = await this.#maker.bundle(tag, url)
    const files: BlobRef[] = []
    for (const { name, bytes } of made.files) files.push(await this.store.add(`${name}, which ${url} names,`, name, bytes))
    const bundle = { ...(await this.store.add(`the bundle of ${url}`, made.name, made.bytes)), files }
    return { kind: 'module', url, exportName, bundle }
  }

  async #prepareAssets(tag: string, initArgs: readonly unknown[]): Promise<readonly unknown[]> {
    const made = new Map<string, AssetData>()
    for (const data of assetsOf(initArgs)) {
      const url = typeof data === 'string' ? data : data.url
      made.set(url, { url, blob: await this.store.add(`asset ${url}`, lastName(url), await this.#readAsset(tag, url)) })
    }
    return withAssets(initArgs, (data) => made.get(typeof data === 'string' ? data : data.url) ?? data)
  }

  async #readAsset(tag: string, url: string): Promise<Uint8Array> {
    try {
      return await this.#maker.readBytes(url)
    } catch (cause) {
      throw new ServeError('ERR_BACKEND_NOT_PORTABLE', `backend ${tag}: asset ${url} cannot be read: ${(cause as Error).message}`, {
        cause,
      })
    }
  }

  /** Makes it again of what it was made of. `ERR_BUNDLE_MISMATCH` when that has changed since. */
  async #restock(spec: ReplicaSpec, blob: BlobRef): Promise<void> {
    const { code, initArgs, backend } = spec
    const again = await this.prepare(backend, {
      code: code.kind === 'module' && isOf(code.bundle, blob) ? code : { kind: 'inline', value: undefined },
      initArgs: withAssets(initArgs, (data) => data),
    })
    if (blobsOf(again).some(({ digest }) => digest === blob.digest)) return
    throw new ServeError(
      'ERR_BUNDLE_MISMATCH',
      `backend ${backend}: ${blob.name} has changed since it was deployed, and what was deployed is not at hand any more; deploy it again`,
    )
  }
}

const isOf = (bundle: BundleRef | undefined, { digest }: BlobRef): boolean =>
  bundle !== undefined && [bundle, ...bundle.files].some((blob) => blob.digest === digest)

function lastName(url: string): string {
  const path = new URL(url).pathname
  return path.slice(path.lastIndexOf('/') + 1)
}
