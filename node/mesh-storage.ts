import { join } from 'node:path'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { type MeshKey, meshKey } from '../core/adapters/tickets/index.ts'
import type { StateEdit, StateStore } from '../core/controller/index.ts'
import { KEY_FILES, type KeyPair, openKeyFile } from './key-file.ts'

/** Where an instance keeps its state. */
export interface InstanceStorage {
  readonly folder: string
  /** Of that folder, and not loaded yet. */
  readonly store: StateStore
}

/** Key of the addresses that were listened on. */
const LISTENED = 'mesh/listened'

/** What of a mesh outlives the process of its controller: two keys in files of their own, the rest in the store that the controller uses as well. */
export class MeshStorage {
  readonly signer: MeshKey
  /** Identity of the peer. */
  readonly privateKey: PrivateKey
  /** The store for the controller, which loads it too. What was loaded is given once and then let go. */
  readonly store: StateStore
  /** What was kept; the ticket book knows its own. */
  readonly kept: ReadonlyMap<string, unknown>

  private constructor(signer: MeshKey, privateKey: PrivateKey, store: StateStore, loaded: ReadonlyMap<string, unknown>) {
    this.signer = signer
    this.privateKey = privateKey
    this.store = alreadyLoaded(store, loaded)
    this.kept = new Map([...loaded].filter(([key]) => key.startsWith('ticket/') || key === LISTENED))
  }

  /** `ERR_STORAGE` when the state or a key cannot be read. */
  static async open({ folder, store }: InstanceStorage): Promise<MeshStorage> {
    const loaded = await store.load()
    const signer = await meshKey(await openKeyFile(join(folder, KEY_FILES.mesh), newPair))
    const { publicKey, privateKey } = await openKeyFile(join(folder, KEY_FILES.peer), newPair)
    const raw = Buffer.concat([privateKey, publicKey].map((half) => Buffer.from(half, 'base64url')))
    return new MeshStorage(signer, privateKeyFromRaw(raw), store, loaded)
  }

  /** The addresses with the ports that were found free the last time; undefined when other addresses were asked for then. */
  listenedBefore(listen: readonly string[]): readonly string[] | undefined {
    const { asked, got } = (this.kept.get(LISTENED) ?? {}) as Partial<Record<'asked' | 'got', readonly string[]>>
    return asked?.join() === listen.join() ? got : undefined
  }

  /** @param listened the addresses that `listen` led to */
  async noteListened(listen: readonly string[], listened: readonly string[]): Promise<void> {
    const got = withPorts(listen, listened)
    if (this.listenedBefore(listen)?.join() === got.join()) return
    await this.store.put([{ key: LISTENED, value: { asked: [...listen], got } }])
  }
}

/** Host, port, and what comes between the port and the peer id. */
const ADDRESS = /^(\/ip[46]\/[^/]+)\/tcp\/(\d+)(.*?)(?:\/p2p\/[^/]+)?$/
const EVERY_HOST = /^(\/ip[46]\/)(?:0\.0\.0\.0|::)$/

/** Fills in the ports that free ones (0) have become; each goes to one address. */
export function withPorts(listen: readonly string[], listened: readonly string[]): string[] {
  const taken = new Set<string>()
  const found = listened.map((address) => ADDRESS.exec(address) ?? [])
  return listen.map((address) => {
    const [, host = '', port, tail = ''] = ADDRESS.exec(address) ?? []
    if (port !== '0') return address
    const family = EVERY_HOST.exec(host)?.[1]
    const isMeant = (itsHost = ''): boolean => (family === undefined ? itsHost === host : itsHost.startsWith(family))
    const got = found.find(([, itsHost, itsPort = '', itsTail]) => itsTail === tail && !taken.has(itsPort) && isMeant(itsHost))?.[2]
    if (got === undefined) return address
    taken.add(got)
    return `${host}/tcp/${got}${tail}`
  })
}

function alreadyLoaded(store: StateStore, values: ReadonlyMap<string, unknown>): StateStore {
  let left: ReadonlyMap<string, unknown> | undefined = values
  return {
    load() {
      const given = left
      left = undefined
      return given === undefined ? store.load() : Promise.resolve(given)
    },
    put: (edits: readonly StateEdit[]) => store.put(edits),
    close: () => store.close(),
  }
}

async function newPair(): Promise<KeyPair> {
  const key = await meshKey()
  return { publicKey: key.publicKey, privateKey: key.toSecret() }
}
