import type { PortableSource } from '../core/adapters/portability/index.ts'
import { ServeError } from '../core/base/index.ts'
import { exportedTarget, type ReplicaCode } from '../core/replica/index.ts'
import { evaluateSource } from './evaluate-source.ts'

/** Makes a function or class of code that arrived in this thread. */
export async function loadCode(code: ReplicaCode): Promise<unknown> {
  switch (code.kind) {
    case 'source': {
      const { filename, lineOffset, columnOffset } = code
      return evaluateSource(code.portable as PortableSource, {
        ...(filename !== undefined && { filename }),
        ...(lineOffset !== undefined && { lineOffset }),
        ...(columnOffset !== undefined && { columnOffset }),
      })
    }
    case 'module':
      return loadModule(code.url, code.exportName)
    case 'worker':
      throw new ServeError('ERR_BACKEND_START_FAILED', 'the worker file must call expose() of shoal/replica')
    case 'inline':
      return code.value
  }
}

/** A named export of a module. The message says what the module does export. */
export async function loadModule(url: string, exportName: string): Promise<unknown> {
  return exportedTarget((await import(url)) as Record<string, unknown>, url, exportName)
}
