import { type Clock, isServeError, type Logger, ServeError } from '../base/index.ts'
import { type BlobRef, type HostedReplica, type ReplicaCode, type ReplicaHost, type ReplicaSpec, raceAbort } from '../replica/index.ts'
import { assetsOf, blobsOf, requireDigest, sourceDigest, withAssets } from './bundle-parts.ts'
import { type BundleStore, isDigest, toFileName } from './bundle-store.ts'
import { fetchBundle } from './bundle-transfer.ts'
import type { Link } from './link.ts'

/** What a controller says before it has code started: that a digest is in its state, and which peers have it already. */
export interface BundleListing {
  readonly digest: string
  readonly holders: readonly string[]
}

/** Where a blob may be fetched. */
export interface BundleSource {
  readonly peerId: string
  readonly link: Link
}

/** Bytes that were not what they were listed as. Plain data. */
export interface BundleRefusal {
  readonly digest: string
  /** Who gave them; the controller when it is code that came as source. */
  readonly from: string
  readonly reason: string
}

export interface BundleIntakeOptions {
  readonly store: BundleStore
  /** Code by backend that this node's owner has given; set: nothing else runs here. */
  readonly named?: ReadonlyMap<string, ReplicaCode> | undefined
}

/** What a node must give for fetching. */
export interface IntakeSeams {
  /** Peers that may have it, the best first, each with a link. */
  readonly sources: (holders: readonly string[]) => Promise<readonly BundleSource[]>
  readonly onRefused: (refusal: BundleRefusal) => void
}

/** Digests that may be listed at once; the last ones count. */
const MAX_LISTED = 10_000
/** Transfers that may be under way at once; others wait for their turn. */
const MAX_TRANSFERS = 4

/**
 * A peer's door for code: lets in what the controllers list and what has the digest it is listed under, fetched from peers that have it, else from the
 * controller. With `named` it lets no code in and runs its owner's.
 */
export class BundleIntake {
  readonly store: BundleStore
  readonly #named: ReadonlyMap<string, ReplicaCode> | undefined
  readonly #seams: IntakeSeams
  readonly #clock: Clock
  readonly #log: Logger
  readonly #listed = new Map<string, readonly string[]>()
  readonly #transfers = new Map<string, Promise<void>>()
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor({ store, named }: BundleIntakeOptions, seams: IntakeSeams, clock: Clock, log: Logger) {
    this.store = store
    this.#named = named
    this.#seams = seams
    this.#clock = clock
    this.#log = log
  }

  /** The controllers list these. */
  list(entries: readonly BundleListing[]): void {
    for (const { digest, holders } of entries) {
      if (!isDigest(digest)) continue
      this.#listed.delete(digest)
      this.#listed.set(digest, holders)
      const [oldest] = this.#listed.keys()
      if (this.#listed.size > MAX_LISTED && oldest !== undefined) this.#listed.delete(oldest)
    }
  }

  /** The controllers list these no longer. */
  unlist(digests: readonly string[]): void {
    for (const digest of digests) this.#listed.delete(digest)
  }

  /** Another connection to a controller stands, which says anew what it lists. */
  unlistAll(): void {
    this.#listed.clear()
  }

  isListed(digest: string): boolean {
    return this.#listed.has(digest)
  }

  /** Hosts that start a replica once its code and its assets are here and verified. */
  over(hosts: ReadonlyMap<string, ReplicaHost>): ReadonlyMap<string, ReplicaHost> {
    return new Map([...hosts].map(([isolation, host]) => [isolation, this.#hostOver(host)]))
  }

  #hostOver(host: ReplicaHost): ReplicaHost {
    return {
      name: host.name,
      start: async (spec, signal): Promise<HostedReplica> => {
        const digests = blobsOf(spec).map(({ digest }) => digest)
        const release = this.store.hold(digests)
        try {
          const local = await raceAbort(this.#toLocal(spec), signal)
          const hosted = await host.start(local, signal)
          void hosted.whenGone.then(release)
          return hosted
        } catch (error) {
          release()
          throw error
        }
      },
    }
  }

  /** The spec as it can be started here. `ERR_FORBIDDEN`, `ERR_BUNDLE_MISMATCH`, and what a transfer rejects with. */
  async #toLocal(spec: ReplicaSpec): Promise<ReplicaSpec> {
    const code = this.#named === undefined ? await this.#verifiedCode(spec) : this.#namedCode(spec.backend, this.#named)
    const urls = new Map<string, string>()
    for (const data of assetsOf(spec.initArgs)) {
      if (typeof data === 'string') throw new ServeError('ERR_FORBIDDEN', `backend ${spec.backend}: asset ${data} came without a digest`)
      await this.#bring(spec.backend, data.blob)
      urls.set(data.blob.digest + data.blob.name, await this.store.locate(data.blob))
    }
    const initArgs = withAssets(spec.initArgs, (data) =>
      typeof data === 'string' ? data : (urls.get(data.blob.digest + data.blob.name) ?? data.url),
    )
    return { ...spec, code, initArgs }
  }

  #namedCode(backend: string, named: ReadonlyMap<string, ReplicaCode>): ReplicaCode {
    const code = named.get(backend)
    if (code !== undefined) return code
    const there = [...named.keys()].join(', ') || 'nothing'
    throw new ServeError(
      'ERR_FORBIDDEN',
      `backend ${backend}: this peer takes no code from others and runs only what serve.register() gave it: ${there}`,
    )
  }

  async #verifiedCode(spec: ReplicaSpec): Promise<ReplicaCode> {
    const { code, backend } = spec
    requireDigest(backend, spec)
    if (code.kind === 'module' && code.bundle !== undefined) {
      const { files } = code.bundle
      for (const blob of [code.bundle, ...files]) await this.#bring(backend, blob)
      return { kind: 'module', url: await this.store.locate(code.bundle, files), exportName: code.exportName }
    }
    const digest = await sourceDigest(spec, this.store)
    if (digest !== undefined && this.isListed(digest)) return code
    const reason = `backend ${backend}: its source has the digest ${digest}, which no controller lists`
    this.#seams.onRefused({ digest: digest ?? '', from: '', reason })
    throw new ServeError('ERR_BUNDLE_MISMATCH', reason)
  }

  /** Fetches a blob that is not here. */
  async #bring(backend: string, blob: BlobRef): Promise<void> {
    if (!isDigest(blob.digest) || !this.isListed(blob.digest)) {
      throw new ServeError('ERR_FORBIDDEN', `backend ${backend}: no controller lists ${blob.name} (${blob.digest})`)
    }
    if (toFileName(blob.name) !== blob.name) throw new ServeError('ERR_BAD_REQUEST', `backend ${backend}: a blob is called ${blob.name}`)
    this.store.requireFit(blob.name, blob.bytes)
    if (!this.store.has(blob.digest)) await this.#transfer(blob)
  }

  /** One transfer for all who want the same. */
  #transfer(blob: BlobRef): Promise<void> {
    const under = this.#transfers.get(blob.digest)
    if (under !== undefined) return under
    const made = this.#inTurn(() => this.#fetch(blob)).finally(() => this.#transfers.delete(blob.digest))
    this.#transfers.set(blob.digest, made)
    return made
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    if (this.#running >= MAX_TRANSFERS) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#running++
    try {
      await work()
    } finally {
      // Whoever waits takes this place over.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }

  /** Asks one after the other. Wrong bytes are reported, and worse than none: that is what it rejects with then. */
  async #fetch(blob: BlobRef): Promise<void> {
    const holders = this.#listed.get(blob.digest) ?? []
    let failure: unknown
    for (const { peerId, link } of await this.#seams.sources(holders)) {
      try {
        await this.store.accept(blob, fetchBundle(link, blob, this.#clock))
        return
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        this.#log.warn({ digest: blob.digest, name: blob.name, from: peerId, reason }, 'bundle.fetch-failed')
        const isWrong = isServeError(error, 'ERR_BUNDLE_MISMATCH')
        if (isWrong) this.#seams.onRefused({ digest: blob.digest, from: peerId, reason })
        if (isWrong || failure === undefined) failure = error
      }
    }
    throw failure ?? new ServeError('ERR_PEER_UNREACHABLE', `${blob.name}: no peer that has it is connected`)
  }
}
