import { type InstancePlatform, LocalInstance, type PeerInstance } from '../core/api/index.ts'
import { type ResolvedHttpOptions, resolveHttpOptions } from '../core/gateway/index.ts'
import { FileStateStore } from './file-store.ts'
import type { MeshOptions } from './mesh-hub.ts'

export interface LocalStartOptions {
  readonly name: string
  /** The gateway; undefined for none. */
  readonly http: ResolvedHttpOptions | undefined
  /** For requests of `client.fetch` when there is no gateway. @default those of `http` */
  readonly fetchOptions?: ResolvedHttpOptions
  /** Undefined for an instance without peers, which loads nothing of the mesh. */
  readonly mesh: true | 'lan' | MeshOptions | undefined
  /** Folder where state is kept; undefined for memory. */
  readonly storage: string | undefined
}

/**
 * Starts an instance in this process, with its mesh and on its storage; nothing is left when it rejects. A controller that comes back where others lead is
 * a peer of theirs.
 */
export async function startLocal(options: LocalStartOptions, platform: InstancePlatform): Promise<LocalInstance | PeerInstance> {
  const { name, http, fetchOptions = http ?? resolveHttpOptions({}), storage: folder, mesh } = options
  const store = folder === undefined ? undefined : await FileStateStore.open(folder)
  try {
    if (mesh === undefined) return await LocalInstance.start({ name, http, fetchOptions, store }, platform)
    const storage = folder === undefined || store === undefined ? undefined : { folder, store }
    const { startWithMesh } = await import('./mesh-hub.ts')
    return await startWithMesh({ name, mesh, http, fetchOptions, storage }, platform)
  } catch (error) {
    await store?.close()
    throw error
  }
}
