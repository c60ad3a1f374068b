import { join } from 'node:path'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { type MeshKey, meshKey } from '../core/adapters/tickets/index.ts'
import type { StateEdit, StateStore } from '../core/controller/index.ts'
import { CONTROLLER, type ControllerAddress, knowsOthers } from '../core/mesh/index.ts'
import { KEY_FILES, type KeyPair, openKeyFile } from './key-file.ts'

/** Addresses that were asked for, and those that it came to. */
type Listened = Partial<Record<'asked' | 'got', readonly string[]>>

/** Where an instance keeps its state. */
export interface InstanceStorage {
  readonly folder: string
  /** Of that folder, and not loaded yet. */
  readonly store: StateStore
}

/** Key of the addresses that were listened on. */
const LISTENED = 'mesh/listened'

/** What of a mesh outlives the process of a controller: two keys in files of their own, the rest in the store that the controller uses as well. */
export class MeshStorage {
  /** Key of the mesh; undefined for a standby that has not been given it yet. */
  readonly signer: MeshKey | undefined
  /** Identity of the peer. */
  readonly privateKey: PrivateKey
  /** The store for the controller, which loads it too. What was loaded is given once and then let go; what is this node's alone is not in it. */
  readonly store: StateStore
  /** Controllers that were seen before, by id, with their addresses. Not empty: another one may lead by now. */
  readonly others: readonly ControllerAddress[]
  readonly #folder: string
  readonly #listened: Listened

  private constructor(
    folder: string,
    signer: MeshKey | undefined,
    peerKey: KeyPair,
    store: StateStore,
    loaded: ReadonlyMap<string, unknown>,
  ) {
    const raw = Buffer.concat([peerKey.privateKey, peerKey.publicKey].map((half) => Buffer.from(half, 'base64url')))
    this.#folder = folder
    this.signer = signer
    this.privateKey = privateKeyFromRaw(raw)
    this.#listened = (loaded.get(LISTENED) ?? {}) as Listened
    this.others = controllersIn(loaded)
    this.store = alreadyLoaded(store, new Map([...loaded].filter(([key]) => key !== LISTENED)))
  }

  /** @param isFounder makes the key of a mesh where there is none. `ERR_STORAGE` when the state or a key cannot be read */
  static async open({ folder, store }: InstanceStorage, isFounder: boolean): Promise<MeshStorage> {
    const loaded = await store.load()
    const meshPair = await openKeyFile(join(folder, KEY_FILES.mesh), isFounder ? newPair : undefined)
    const signer = meshPair === undefined ? undefined : await meshKey(meshPair)
    return new MeshStorage(folder, signer, await openKeyFile(join(folder, KEY_FILES.peer), newPair), store, loaded)
  }

  /** Keeps the key of the mesh that this node may lead from now on. */
  async keepKey(pair: KeyPair): Promise<void> {
    await openKeyFile(join(this.#folder, KEY_FILES.mesh), async () => pair)
  }

  /** The addresses with the ports that were found free the last time; undefined when other addresses were asked for then. */
  listenedBefore(listen: readonly string[]): readonly string[] | undefined {
    const { asked, got } = this.#listened
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

/** What a group of controllers has kept of its members, when there is more than this one. */
function controllersIn(loaded: ReadonlyMap<string, unknown>): ControllerAddress[] {
  if (!knowsOthers(loaded)) return []
  const prefix = `entry/${CONTROLLER}`
  const entries = [...loaded].filter(([key]) => key.startsWith(prefix)) as [string, { readonly value?: readonly string[] }][]
  return entries.map(([key, { value = [] }]) => ({ id: key.slice(prefix.length), addresses: value }))
}
