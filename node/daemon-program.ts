import { fileURLToPath } from 'node:url'
import type { ErrorEnvelope } from '../core/base/index.ts'
import type { HttpOptions } from '../core/gateway/index.ts'
import type { Resources } from '../core/model/index.ts'
import type { MeshOptions } from './mesh-hub.ts'

/** This program again: `supervise NAME` and `instance NAME` are the two processes of a detached instance. */
export const PROGRAM: string = fileURLToPath(new URL('./cli/main.ts', import.meta.url))

/** What a detached instance is started with; plain data. It never appears among the arguments of a process. */
export interface DaemonOptions {
  readonly name: string
  /** Without `middlewares`. */
  readonly http: HttpOptions | false
  readonly middlewares: { readonly url: string; readonly exportName: string } | undefined
  /** Folder of the user's choice; without it one of the instance's own, which is erased when the instance is shut down. */
  readonly storage: string | undefined
  readonly resources: Resources | undefined
  readonly mesh: true | 'lan' | MeshOptions | undefined
}

/** From the supervisor to who starts it, and from the instance to its supervisor. */
export type DaemonReport =
  | { readonly kind: 'ready'; readonly port: number | undefined }
  | { readonly kind: 'failed'; readonly error: ErrorEnvelope }
