import type { PortableSource } from '../core/adapters/portability/index.ts'
import { ServeError } from '../core/base/index.ts'
import { exportedTarget, type ReplicaCode } from '../core/replica/index.ts'
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
  return exportedTarget(await importModule(url), url, exportName)
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
