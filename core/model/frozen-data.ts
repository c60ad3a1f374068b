import { canClone, isServeError, ServeError } from '../base/index.ts'
import { isRecord } from './field-rules.ts'

/** Deepest nesting that is followed one call per level. */
const MAX_DEPTH = 1_000

/**
 * A structured clone whose plain objects and arrays are frozen to the bottom; buffers, Maps and Sets inside stay as they are. Throws
 * `ERR_NOT_SERIALIZABLE` naming the path of what cannot be cloned, with `path` as its first part.
 */
export function cloneFrozen(value: unknown, path: string): unknown {
  try {
    return deepFreeze(structuredClone(value))
  } catch (error) {
    if (isServeError(error)) throw error
    const culprit = pathOfCulprit(value, path, new Set()) ?? path
    throw new ServeError('ERR_NOT_SERIALIZABLE', `${culprit} cannot be cloned: ${(error as Error).message}`, {
      cause: error,
      details: { path: culprit },
    })
  }
}

/** With a stack of its own: data may be nested deeper than calls. */
function deepFreeze(root: unknown): unknown {
  const pending: unknown[] = [root]
  while (pending.length > 0) {
    const value = pending.pop()
    if (!(Array.isArray(value) || isRecord(value)) || Object.isFrozen(value)) continue
    Object.freeze(value)
    for (const member of Object.values(value)) pending.push(member)
  }
  return root
}

/** First member that a clone refuses by its kind, as deep as is worth a look. */
function pathOfCulprit(value: unknown, path: string, seen: Set<unknown>, depth = 0): string | undefined {
  if (typeof value === 'function' || typeof value === 'symbol') return path
  if (typeof value !== 'object' || value === null || seen.has(value) || depth > MAX_DEPTH) return undefined
  seen.add(value)
  if (!Array.isArray(value) && !isRecord(value)) return canClone(value) ? undefined : path
  for (const [key, member] of Object.entries(value)) {
    const culprit = pathOfCulprit(member, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`, seen, depth + 1)
    if (culprit !== undefined) return culprit
  }
  return undefined
}
