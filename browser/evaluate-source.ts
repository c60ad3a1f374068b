import type { PortableSource } from '../core/adapters/portability/index.ts'
import { ServeError } from '../core/base/index.ts'

/** The mark of `acceptBatch`. */
const ACCEPTS_BATCH = Symbol.for('shoal.acceptsBatch')

/**
 * Makes a function or class of its source again, in this worker: as a module from a blob, else by evaluation; which of the two is allowed is up to
 * the page's Content-Security-Policy. Where neither is, `ERR_BACKEND_NOT_PORTABLE` says what would be.
 * @param filename what stack traces show; lines count from the target's start
 */
export async function evaluateSource(portable: PortableSource, filename = 'shoal://backend/by-value.js'): Promise<unknown> {
  const made = (await fromBlob(portable, filename)) ?? fromEvaluation(portable, filename)
  giveName(made, portable)
  if (portable.acceptsBatch) Object.defineProperty(made, ACCEPTS_BATCH, { value: true })
  return made
}

/** Undefined when a blob cannot be imported here, whatever the reason: evaluation knows it better. Sloppy code cannot become a module. */
async function fromBlob({ strict, prelude, source }: PortableSource, filename: string): Promise<object | undefined> {
  if (!strict) return undefined
  // Inside the array no name is made up for it.
  const text = `${prelude}export const made = [(${source}\n)][0]\n//# sourceURL=${filename}`
  const url = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }))
  try {
    const module = (await import(/* @vite-ignore */ /* webpackIgnore: true */ url)) as { readonly made: object }
    return module.made
  } catch {
    return undefined
  } finally {
    URL.revokeObjectURL(url)
  }
}

function fromEvaluation({ strict, prelude, source }: PortableSource, filename: string): object {
  const text = `${strict ? "'use strict';" : ''}${prelude}return (${source}\n)\n//# sourceURL=${filename}`
  try {
    return new Function(text)() as object
  } catch (cause) {
    if (!(cause instanceof EvalError)) throw cause
    throw new ServeError(
      'ERR_BACKEND_NOT_PORTABLE',
      "the Content-Security-Policy of this page lets no source become code: allow script-src blob:, or give the code by serve.worker() or serve.module(), which need nothing but script-src 'self'",
      { cause },
    )
  }
}

function giveName(made: object, { form, name }: PortableSource): void {
  const own = Object.getOwnPropertyDescriptor(made, 'name')
  if (own?.configurable === true && (own.value === '' || form === 'method')) Object.defineProperty(made, 'name', { ...own, value: name })
}
