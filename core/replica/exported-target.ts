import { ServeError } from '../base/index.ts'

/** The function or class that a loaded module exports by a name. `ERR_BACKEND_START_FAILED` says which ones it does export. */
export function exportedTarget(module: Readonly<Record<string, unknown>>, url: string, exportName: string): unknown {
  const value = module[exportName]
  if (typeof value === 'function') return value
  const there = Object.keys(module).filter((name) => typeof module[name] === 'function')
  throw new ServeError(
    'ERR_BACKEND_START_FAILED',
    `module ${url} has no function or class ${exportName}; it exports ${there.length === 0 ? 'none' : there.join(', ')}`,
  )
}
