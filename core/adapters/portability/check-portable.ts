import type { ImportExpression } from 'acorn'
import { helperDefinition, helperKind } from './build-helpers.ts'
import { isNativeText, sourceText } from './describe-target.ts'
import { type ParsedTarget, parseTarget, type TargetForm } from './parse-target.ts'
import { notPortable, type Refusal, type RefusalKind } from './refusal.ts'
import { analyzeScopes, type FreeName, type ScopeReport } from './scope-analysis.ts'

/** A function or class as plain data. It is made again by `prelude + 'return (' + source + '\n)'`, in strict code if `strict`. */
export interface PortableSource {
  readonly kind: 'function' | 'class'
  readonly form: TargetForm
  /** Its name where it was written: an arrow or an anonymous class has it from the variable that held it. May be ''. */
  readonly name: string
  /** An expression that can stand behind `return (`. */
  readonly source: string
  /** Where in `source` its original text begins: 0, or more for a method. */
  readonly textOffset: number
  /** Statements on one line that `source` needs before it; '' normally. */
  readonly prelude: string
  /** False for code that was written sloppily or cannot be read otherwise; such code cannot become a module. */
  readonly strict: boolean
  /** It was marked by `acceptBatch`. */
  readonly acceptsBatch: boolean
  /** Every `import()` inside, in order. */
  readonly imports: readonly PortableImport[]
}

/** The address of an `import()`: an expression at `source.slice(start, end)`, and its value where that is a literal. */
export interface PortableImport {
  readonly start: number
  readonly end: number
  readonly specifier?: string
}

export interface CheckPortableOptions {
  /** The names that the replica's thread has, such as {@link NODE_WORKER_GLOBALS}. */
  readonly globals: ReadonlySet<string> | ((name: string) => boolean)
  /** The backend's tag, for messages. */
  readonly name?: string
}

/** The mark of `acceptBatch`. */
const ACCEPTS_BATCH = Symbol.for('shoal.acceptsBatch')
/** Given by the wrapper that Node puts around a CommonJS file. */
const COMMONJS_NAMES = new Set(['require', 'module', 'exports', '__filename', '__dirname'])

/**
 * Checks that a function or class needs nothing but itself and the globals of its target, and gives it as data. Throws
 * `ERR_BACKEND_NOT_PORTABLE` with everything that ties it to its surroundings. A captured name that the target has too as a global cannot be
 * told from the global.
 */
export function checkPortable(target: CallableFunction | NewableFunction, options: CheckPortableOptions): PortableSource {
  const name = ownName(target)
  const own = name.trim() || 'the given function'
  const label = options.name === undefined ? own : `backend ${options.name}: ${own}`
  const text = sourceText(target)
  if (isNativeText(text)) throw notPortable(label, [{ kind: name.startsWith('bound ') ? 'bound' : 'native', names: [] }])
  const parsed = parseTarget(text)
  if (typeof parsed === 'string') throw notPortable(label, [{ kind: parsed, names: [] }])

  const report = analyzeScopes(parsed.node, { strict: parsed.strict })
  const { globals } = options
  const isGlobal = typeof globals === 'function' ? globals : (free: string) => globals.has(free)
  const captured = report.freeNames.filter((free) => free.name === 'arguments' || !isGlobal(free.name))
  const prelude = captured.map((free) => helperDefinition(free.name) ?? '').join('')
  const refusals = refusalsOf(captured, report, parsed, name)
  if (refusals.length > 0) throw notPortable(label, refusals)
  return {
    kind: parsed.form === 'class' ? 'class' : 'function',
    form: parsed.form,
    name,
    source: parsed.source,
    textOffset: parsed.textOffset,
    prelude,
    strict: parsed.strict && !(parsed.form === 'function' && isSloppy(target)),
    acceptsBatch: (target as { [ACCEPTS_BATCH]?: unknown })[ACCEPTS_BATCH] === true,
    imports: report.imports.map((one) => toPortableImport(one, parsed.base)),
  }
}

/**
 * Gives literal specifiers of `import()` other addresses, for a target that cannot resolve them (a worker from a blob). Imports whose address
 * is only known at run time are left alone: refuse them before, by `imports`.
 */
export function rewriteImports(portable: PortableSource, resolve: (specifier: string) => string): PortableSource {
  let source = ''
  let at = 0
  const imports = portable.imports.map((one) => {
    if (one.specifier === undefined) {
      const shift = source.length - at
      return { start: one.start + shift, end: one.end + shift }
    }
    source += portable.source.slice(at, one.start)
    const specifier = resolve(one.specifier)
    const start = source.length
    source += JSON.stringify(specifier)
    at = one.end
    return { start, end: source.length, specifier }
  })
  return { ...portable, source: source + portable.source.slice(at), imports }
}

function refusalsOf(captured: readonly FreeName[], report: ScopeReport, parsed: ParsedTarget, ownName: string): Refusal[] {
  const groups = new Map<RefusalKind, string[]>()
  const isLowered = captured.some((free) => helperKind(free.name) === 'lowered')
  for (const free of captured) {
    if (helperDefinition(free.name) !== undefined) continue
    const kind = capturedKind(free, parsed.form, ownName, isLowered)
    groups.set(kind, [...(groups.get(kind) ?? []), free.name])
  }
  for (const tie of report.ties) groups.set(tie, [])
  if (report.freePrivateNames.length > 0) groups.set('private-name', [...report.freePrivateNames])
  return [...groups].map(([kind, names]) => ({ kind, names: kind === 'arguments' ? [] : names }))
}

function capturedKind(free: FreeName, form: TargetForm, ownName: string, isLowered: boolean): RefusalKind {
  if (free.name === 'arguments') return 'arguments'
  if (free.wrapsImport || free.name === '__vitePreload') return 'preload'
  const helper = helperKind(free.name)
  if (helper !== undefined) return helper
  // Lowered private members are WeakMaps and lowered self-references are variables beside the class, both under names like _count.
  if (isLowered && free.name.startsWith('_')) return 'lowered'
  if (free.isSuperclass) return 'superclass'
  if (free.name === ownName && form !== 'method') return 'own-name'
  if (COMMONJS_NAMES.has(free.name)) return 'commonjs'
  return free.name.length === 1 ? 'minified' : 'captured'
}

function toPortableImport({ source }: ImportExpression, base: number): PortableImport {
  const place = { start: source.start - base, end: source.end - base }
  return source.type === 'Literal' && typeof source.value === 'string' ? { ...place, specifier: source.value } : place
}

/** V8 gives `caller` to plain functions of sloppy code only; of other forms the text alone decides. */
function isSloppy(target: object): boolean {
  return Object.hasOwn(target, 'caller')
}

function ownName(target: object): string {
  const name: unknown = Object.getOwnPropertyDescriptor(target, 'name')?.value
  return typeof name === 'string' ? name : ''
}
