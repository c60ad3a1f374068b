import { ServeError } from '../core/base/index.ts'
import type { HttpMiddleware } from '../core/gateway/index.ts'

/** The middlewares that a module exports under a name: `serve.module(url, 'middlewares')`. `ERR_INVALID_CONFIG` when there is no array. */
export async function loadMiddlewares({
  url,
  exportName,
}: {
  readonly url: string
  readonly exportName: string
}): Promise<readonly HttpMiddleware[]> {
  const module = (await import(url)) as Record<string, unknown>
  const middlewares = module[exportName]
  if (Array.isArray(middlewares)) return middlewares as HttpMiddleware[]
  throw new ServeError(
    'ERR_INVALID_CONFIG',
    `http.middlewares: module ${url} has no array ${exportName}; it exports ${Object.keys(module).join(', ') || 'nothing'}`,
  )
}
