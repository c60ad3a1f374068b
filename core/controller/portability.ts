import type { ReplicaCode } from '../replica/index.ts'
import { isPlainObject } from '../request/index.ts'
import type { Portability } from './resource-ledger.ts'

const MAX_DEPTH = 16

/** How far a backend can travel: inline code and worker factories not at all, what is read from files only within its machine. */
export function portabilityOf(code: ReplicaCode, initArgs: readonly unknown[]): Portability {
  if (code.kind === 'inline' || code.kind === 'worker') return 'process'
  const isFile = code.kind === 'module' && code.bundle === undefined && code.url.startsWith('file:')
  return isFile || namesFile(initArgs, 0) ? 'machine' : 'anywhere'
}

/** An asset that is a file, however deep in plain objects and lists. */
function namesFile(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return false
  if (Array.isArray(value)) return value.some((child) => namesFile(child, depth + 1))
  if (!isPlainObject(value)) return false
  if (value['\u0000shoal'] === 'asset') return typeof value.data === 'string' && value.data.startsWith('file:')
  return Object.values(value).some((child) => namesFile(child, depth + 1))
}
