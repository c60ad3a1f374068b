import { ServeError } from '../base/index.ts'
import { JSON_LIMITS, type JsonLimits } from './json-limits.ts'

/**
 * Parses JSON from outside. Depth and values are counted in one pass over the text before anything is built, because a parser takes millions of
 * levels that no thread boundary carries on. A key `__proto__` is refused: merged carelessly it would change the prototype of the receiver.
 * Throws `ERR_NOT_JSON`.
 */
export function parseGuardedJson(text: string, limits: JsonLimits = JSON_LIMITS): unknown {
  guard(text, limits)
  try {
    return MAY_NAME_PROTO.test(text) ? JSON.parse(text, refuseProto) : JSON.parse(text)
  } catch (error) {
    if (error instanceof ServeError) throw error
    throw new ServeError('ERR_NOT_JSON', `body: no valid JSON: ${(error as Error).message}`, { cause: error, outcome: 'completed' })
  }
}

/** The name itself, or any escape that could spell a part of it. */
const MAY_NAME_PROTO = /__proto__|\\u00[567]/i

function refuseProto(this: unknown, key: string, value: unknown): unknown {
  if (key === '__proto__') throw new ServeError('ERR_NOT_JSON', 'body: the key "__proto__" is refused', { outcome: 'completed' })
  return value
}

function guard(text: string, limits: JsonLimits): void {
  if (isHarmless(text, limits)) return
  let depth = 0
  let values = 1
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) {
      i = endOfString(text, i)
    } else if (code === 0x5b || code === 0x7b) {
      if (++depth > limits.maxDepth) throw tooMuch(`nested deeper than ${limits.maxDepth} levels`)
      values++
    } else if (code === 0x5d || code === 0x7d) {
      depth--
    } else if (code === 0x2c) {
      if (++values > limits.maxValues) throw tooMuch(`more than ${limits.maxValues} values`)
    }
  }
}

/** True for a text too short for too many values that has, strings included, too few brackets for too deep a nesting: most are told by that. */
function isHarmless(text: string, { maxDepth, maxValues }: JsonLimits): boolean {
  if (text.length >= maxValues) return false
  let left = maxDepth
  for (const bracket of '[{') {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) if (left-- === 0) return false
  }
  return true
}

/** Index of the closing quote, or the end of the text. Looks for quotes only; a quote after an odd run of backslashes is no end. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end !== -1) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++
    if (slashes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
  return text.length
}

const tooMuch = (what: string): ServeError =>
  new ServeError('ERR_NOT_JSON', `body: JSON ${what} (http.jsonMaxDepth, http.jsonMaxValues)`, { outcome: 'completed' })
