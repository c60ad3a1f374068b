import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compileFunction, constants } from 'node:vm'
import type { PortableSource } from '../core/adapters/portability/index.ts'

/** Where a text begins in a file; both count from 0. */
export interface SourcePosition {
  readonly lineOffset: number
  readonly columnOffset: number
}

export interface EvaluateSourceOptions extends Partial<SourcePosition> {
  /**
   * Path or file URL of the file that gave the target: stack traces name it and `import()` inside resolves from it. Without it, the working
   * directory is meant.
   */
  readonly filename?: string
}

/**
 * Makes a function or class of its source again, in this thread. With a position ({@link locateSource}) stack traces show the line and column
 * of the original file; without one, lines count from the target's start and the file is shown with `#name` behind it, so nobody looks them up
 * in vain. The first `import()` inside makes Node print a warning: {@link silenceImportWarning}.
 */
export function evaluateSource(portable: PortableSource, options: EvaluateSourceOptions = {}): (...args: unknown[]) => unknown {
  const { filename = join(process.cwd(), '[by value]'), lineOffset, columnOffset } = options
  const isLocated = lineOffset !== undefined && columnOffset !== undefined
  const head = `${portable.strict ? "'use strict';" : ''}${portable.prelude}return (`
  const made = compileFunction(`${head}${portable.source}\n)`, [], {
    filename: isLocated ? filename : `${filename}#${portable.name || 'anonymous'}`,
    lineOffset: lineOffset ?? 0,
    columnOffset: (columnOffset ?? 0) - head.length - portable.textOffset,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  })()
  giveName(made, portable)
  if (portable.acceptsBatch) Object.defineProperty(made, Symbol.for('shoal.acceptsBatch'), { value: true })
  return made
}

/**
 * Finds where a target stands in the file that deployed it. Undefined when its text is not there exactly once, as after any build step but
 * Node's own removal of types, or when the file cannot be read.
 * @param portable the target as it was checked
 * @param file path or file URL
 */
export function locateSource(portable: PortableSource, file: string): SourcePosition | undefined {
  const text = originalText(portable)
  const path = file.startsWith('file:') ? fileURLToPath(file) : file
  if (text === undefined) return undefined
  try {
    return locateText(text, runningText(path))
  } catch {
    return undefined
  }
}

/** {@link locateSource} for a text that is at hand. */
export function locateText(text: string, fileText: string): SourcePosition | undefined {
  const at = fileText.indexOf(text)
  if (at === -1 || fileText.indexOf(text, at + 1) !== -1) return undefined
  const before = fileText.slice(0, at)
  const lineStart = before.lastIndexOf('\n') + 1
  return { lineOffset: before.split('\n').length - 1, columnOffset: at - lineStart }
}

/**
 * The file of the user code that called `called`: a path or file URL, as its stack frame has it. Frames of this package and of Node are passed
 * over. Undefined where no file stands behind the call (`node -e`, the prompt). Call it before the first `await`.
 */
export function callerFile(called: (...args: never[]) => unknown): string | undefined {
  const { prepareStackTrace, stackTraceLimit } = Error
  try {
    Error.stackTraceLimit = 50
    Error.prepareStackTrace = (_error, sites) => sites
    const holder: { stack?: NodeJS.CallSite[] } = {}
    Error.captureStackTrace(holder, called)
    return holder.stack?.map((site) => site.getFileName()).find(isUserFile)
  } finally {
    Error.prepareStackTrace = prepareStackTrace
    Error.stackTraceLimit = stackTraceLimit
  }
}

/**
 * Keeps Node from printing that `import()` in shipped code goes through an experimental option; every other warning passes. Lasts until the
 * returned function is called: Node warns at the first `import()`, whenever that is, so a replica thread never calls it.
 */
export function silenceImportWarning(): () => void {
  const original = process.emitWarning
  const filtered = (warning: string | Error, ...rest: unknown[]): void => {
    if (String(warning).includes('USE_MAIN_CONTEXT_DEFAULT_LOADER')) return
    Reflect.apply(original, process, [warning, ...rest])
  }
  process.emitWarning = filtered
  return () => {
    if (process.emitWarning === filtered) process.emitWarning = original
  }
}

/** The folders this package runs from: its own rooms as TypeScript, else all of `dist`. */
const OWN_FOLDERS: readonly string[] = import.meta.url.endsWith('/node/evaluate-source.ts')
  ? ['../node/', '../core/', '../browser/'].map((folder) => new URL(folder, import.meta.url).href)
  : [import.meta.url.replace(/(\/dist\/)(?!.*\/dist\/).*$|\/[^/]*$/, (_match, dist) => dist ?? '/')]
const OWN_PATHS: readonly string[] = OWN_FOLDERS.map((folder) => fileURLToPath(folder))

function isUserFile(file: string | null | undefined): file is string {
  if (typeof file !== 'string') return false
  if (file.startsWith('file:')) return !OWN_FOLDERS.some((folder) => file.startsWith(folder))
  return isAbsolutePath(file) && !OWN_PATHS.some((path) => file.startsWith(path))
}

function isAbsolutePath(file: string): boolean {
  return file.startsWith('/') || /^[A-Za-z]:\\/.test(file)
}

/** The target's text as it stands in its file; undefined for a method whose key had to be replaced. */
function originalText({ form, source, textOffset }: PortableSource): string | undefined {
  if (form !== 'method') return source
  const end = source.lastIndexOf('}).')
  return source.slice(end) === '})._' ? undefined : source.slice(textOffset, end)
}

/** What Node runs of a file: types become blanks, so lines and columns stay. */
function runningText(path: string): string {
  const text = readFileSync(path, 'utf8')
  return /\.[cm]?ts$/.test(path) ? withoutWarning(() => stripTypeScriptTypes(text)) : text
}

/** Removing types is announced as experimental by some versions. */
function withoutWarning<T>(run: () => T): T {
  const original = process.emitWarning
  process.emitWarning = () => {}
  try {
    return run()
  } finally {
    process.emitWarning = original
  }
}

function giveName(made: (...args: unknown[]) => unknown, { form, name }: PortableSource): void {
  const own = Object.getOwnPropertyDescriptor(made, 'name')
  if (own?.configurable === true && (own.value === '' || form === 'method')) Object.defineProperty(made, 'name', { ...own, value: name })
}
