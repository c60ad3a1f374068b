/** What is wrong with the options of `start`; loaded when something is. */
import { didYouMean, ServeError } from '../core/base/index.ts'

export function whyNotStartable(options: unknown, known: readonly string[]): ServeError {
  if (typeof options !== 'object' || options === null)
    return new ServeError('ERR_INVALID_ARG_TYPE', `start: options must be an object, got ${typeof options}`)
  const stranger = Object.keys(options).find((name) => !known.includes(name))
  if (stranger !== undefined)
    return new ServeError('ERR_INVALID_CONFIG', `start: option ${stranger} is unknown${didYouMean(stranger, known)}`)
  const { detached = false } = options as { readonly detached?: unknown }
  if (detached !== false)
    return new ServeError('ERR_UNSUPPORTED', 'start: a page has no processes, so there is no detached; start one on Node')
  return new ServeError('ERR_UNSUPPORTED', 'start: option mesh is not built yet in a page; leave it out')
}
