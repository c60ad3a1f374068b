import { checkPortable, rewriteImports, WEB_WORKER_GLOBALS } from '../core/adapters/portability/index.ts'
import type { BackendTarget } from '../core/api/index.ts'
import { ServeError } from '../core/base/index.ts'
import type { ReplicaCode } from '../core/replica/index.ts'

/**
 * A function or class as source that can be made again in a worker: checked, the addresses of its `import()` resolved. `ERR_BACKEND_NOT_PORTABLE`.
 * @param base where relative addresses count from
 */
export function portableCodeOf(tag: string, target: BackendTarget, base: string): ReplicaCode {
  const portable = checkPortable(target as () => unknown, { globals: WEB_WORKER_GLOBALS, name: tag })
  if (portable.imports.some((one) => one.specifier === undefined)) {
    throw notPortable(tag, 'it has an import() whose address is no literal; in a page it is resolved before it travels')
  }
  return {
    kind: 'source',
    portable: rewriteImports(portable, (specifier) => resolveSpecifier(tag, specifier, base)),
    filename: `shoal://backend/${encodeURIComponent(tag)}.js`,
  }
}

/** Import maps do not reach workers, so names are looked up in the page's here; relative addresses count from the file that gave the target. */
function resolveSpecifier(tag: string, specifier: string, base: string): string {
  if (/^\.{0,2}\//.test(specifier)) return new URL(specifier, base).href
  if (URL.canParse(specifier)) return specifier
  try {
    return import.meta.resolve(specifier)
  } catch {
    throw notPortable(tag, `it imports '${specifier}', which the import map of this page does not name; give a full URL`)
  }
}

function notPortable(tag: string, why: string): ServeError {
  return new ServeError(
    'ERR_BACKEND_NOT_PORTABLE',
    `backend ${tag} cannot travel as source: ${why}; or use serve.worker() or serve.module()`,
  )
}
