import { type InstancePlatform, LocalInstance } from '../core/api/index.ts'
import { type ResolvedHttpOptions, resolveHttpOptions } from '../core/gateway/index.ts'
import { FileStateStore } from './file-store.ts'
import type { MeshOptions, OpenHub } from './mesh-hub.ts'

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

/** Starts an instance in this process, with its mesh and on its storage; nothing is left when it rejects. */
export async function startLocal(options: LocalStartOptions, platform: InstancePlatform): Promise<LocalInstance> {
  const { name, http, fetchOptions = http ?? resolveHttpOptions({}), storage: folder } = options
  const store = folder === undefined ? undefined : await FileStateStore.open(folder)
  const storage = folder === undefined || store === undefined ? undefined : { folder, store }
  let mesh: OpenHub | undefined
  try {
    if (options.mesh !== undefined)
      mesh = await (await import('./mesh-hub.ts')).openMeshHub({ given: options.mesh, name, http }, platform, storage)
    const init = { name, http, fetchOptions, store: mesh?.store ?? store, mesh: mesh?.hub }
    const instance = await LocalInstance.start(init, platform)
    await mesh?.openDoor(instance)
    return instance
  } catch (error) {
    await store?.close()
    await mesh?.hub.close()
    throw error
  }
}
