import { ServeError } from '../../base/index.ts'

/** One thing that ties a target to the place where it was written. */
export interface Refusal {
  readonly kind: RefusalKind
  /** The names it is about, in order of first use; empty where there is none to tell. */
  readonly names: readonly string[]
}

export type RefusalKind = keyof typeof SENTENCES

type Sentence = (names: string) => string

/** What is said of each. Ordered: the plainest first. */
const SENTENCES = Object.freeze({
  captured: ((names) => `it uses ${names} from outside itself`) as Sentence,
  minified: ((names) =>
    `it uses ${names} from outside itself (minified; helper of your bundler? target es2022 leaves classes whole)`) as Sentence,
  superclass: ((names) => `it extends ${names}, a class from outside itself`) as Sentence,
  'own-name': ((names) =>
    `it calls itself ${names}, the name of the variable that holds it: use a named function expression, const ${names} = function ${names}(…) { … }`) as Sentence,
  commonjs: ((names) => `it uses ${names}, which only a CommonJS file has: use await import() inside`) as Sentence,
  lowered: ((names) =>
    `it uses ${names}, what is left of syntax that your build lowers: your build lowers classes: target es2022, or serve.module`) as Sentence,
  'rewritten-import': ((names) => `it uses ${names}, an import that a build tool has rewritten: use await import() inside`) as Sentence,
  preload: ((names) =>
    `its import() is wrapped into ${names}, the preload helper of a bundler: a function with import() does not survive that build, use serve.worker`) as Sentence,
  coverage: ((names) => `it uses ${names}, a counter of a coverage tool: leave the file out of instrumentation`) as Sentence,
  this: (() => 'it uses the this of its surroundings: use a class, or a function with a this of its own') as Sentence,
  arguments: (() => 'it uses the arguments of a function around it: use parameters') as Sentence,
  super: (() => 'it is a method taken from its class and uses super: give the class instead') as Sentence,
  'new.target': (() => 'it uses the new.target of a function around it') as Sentence,
  'import.meta': (() => 'it uses import.meta, which belongs to its file: give the URL in initArgs') as Sentence,
  eval: (() => 'it calls eval, whose names cannot be seen') as Sentence,
  with: (() => 'it uses with, whose names cannot be seen') as Sentence,
  'private-name': ((names) => `it uses ${names}, private to the class it was taken from: give the class instead`) as Sentence,
  'private-method': (() => 'it is a private method: give the class instead') as Sentence,
  accessor: (() => 'it is the getter or setter of a property: give a function that reads it') as Sentence,
  native: (() => 'it is built in or behind a Proxy and has no source: wrap it, (request) => …') as Sentence,
  bound: (() => 'it is a bound function and has no source: wrap it, or give the class') as Sentence,
  unreadable: (() => 'its source cannot be read as a function or class') as Sentence,
})

const WAYS_OUT = "give values through initArgs of a class, deploy real code by serve.module(url), or run it here with isolation: 'inline'"

/**
 * The error for a target that cannot travel. `details.names` has every captured name in order of first use, `details.reasons` every
 * {@link Refusal}.
 */
export function notPortable(label: string, refusals: readonly Refusal[]): ServeError {
  const sentences = refusals.map(({ kind, names }) => SENTENCES[kind](names.join(', ')))
  const names = [...new Set(refusals.flatMap((one) => one.names))]
  return new ServeError('ERR_BACKEND_NOT_PORTABLE', `${label} cannot travel as source: ${sentences.join('; ')}; ${WAYS_OUT}`, {
    details: { names, reasons: refusals.map(({ kind, names: own }) => ({ kind, names: [...own] })) },
  })
}
