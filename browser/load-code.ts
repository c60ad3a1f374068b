import type { PortableSource } from '../core/adapters/portability/index.ts'
import { ServeError } from '../core/base/index.ts'
import type { ReplicaCode } from '../core/replica/index.ts'
import { evaluateSource } from './evaluate-source.ts'

/** Makes a function or class of code that arrived in this worker. */
export async function loadCode(code: ReplicaCode): Promise<unknown> {
  switch (code.kind) {
    case 'source':
      return evaluateSource(code.portable as PortableSource, code.filename)
    case 'module':
      return loadModule(code.url, code.exportName)
    case 'worker':
      throw new ServeError('ERR_BACKEND_START_FAILED', 'the worker file must call expose() of shoal/replica')
    case 'inline':
      return code.value
  }
}

/** A named export of a module. The message says what the module does export, or what a bundler may have done to it. */
export async function loadModule(url: string, exportName: string): Promise<unknown> {
  const module = await importModule(url)
  const value = module[exportName]
  if (typeof value === 'function') return value
  const there = Object.keys(module).filter((name) => typeof module[name] === 'function')
  throw new ServeError(
    'ERR_BACKEND_START_FAILED',
    `module ${url} has no function or class ${exportName}; it exports ${there.length === 0 ? 'none' : there.join(', ')}`,
  )
}

async function importModule(url: string): Promise<Record<string, unknown>> {
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ url)) as Record<string, unknown>
  } catch (cause) {
    const shown = url.length > 200 ? `${url.slice(0, 200)}…` : url
    throw new ServeError(
      'ERR_BACKEND_START_FAILED',
      `module ${shown} could not be loaded: ${cause instanceof Error ? cause.message : String(cause)}; it must be there as plain JavaScript whose imports are URLs, for import maps do not reach workers. In a program that goes through a bundler use serve.worker() with expose() of shoal/replica`,
      { cause },
    )
  }
}
