import { statSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { basename, dirname, extname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import type { Plugin, RolldownLog } from 'rolldown'
import { ServeError } from '../core/base/index.ts'
import { type MadeBundle, toFileName } from '../core/mesh/index.ts'
import { findUnportable, MAY_BE_UNPORTABLE, type Unportable } from './bundle-faults.ts'

/** Packages that load native addons by paths made at run time. */
const ADDON_LOADERS: ReadonlySet<string> = new Set([
  'bindings',
  'node-gyp-build',
  'node-gyp-build-optional-packages',
  '@mapbox/node-pre-gyp',
])
const CODE_FILE = /\.[cm]?[jt]sx?$/
/** Faults named in one message. */
const MAX_NAMED = 5

/**
 * Makes one ES module of a module file and all that it imports; builtins of Node stay imports. Files that it names by
 * `new URL('./file', import.meta.url)` come along, to lie beside it. Rejects with `ERR_BACKEND_NOT_PORTABLE` saying what cannot travel and where it is,
 * with `ERR_BACKEND_START_FAILED` for a file that cannot be read as code, and with `ERR_UNSUPPORTED` when no bundler is installed.
 */
export async function bundleModule(tag: string, moduleUrl: string): Promise<MadeBundle> {
  if (!moduleUrl.startsWith('file:'))
    throw notPortable(tag, moduleUrl, [`${moduleUrl} is no file, and only files can be bundled for peers`])
  const path = fileURLToPath(moduleUrl)
  const { rolldown, parseAst } = await loadBundler(tag)
  const missing: string[] = []
  const addons = new Set<string>()
  const unportable = new Map<string, readonly Unportable[]>()
  const plugin: Plugin = {
    name: 'shoal-portable',
    resolveId(specifier, importer) {
      if (!specifier.endsWith('.node') && !ADDON_LOADERS.has(specifier)) return undefined
      addons.add(`native addon ${specifier}${importer === undefined ? '' : `, loaded by ${shown(importer)}`}`)
      return { id: specifier, external: true }
    },
    transform: {
      filter: { code: MAY_BE_UNPORTABLE },
      handler(code, id) {
        const lang = languageOf(id)
        if (lang === undefined) return
        try {
          unportable.set(
            id,
            findUnportable(parseAst(code, { lang }), code, isPackage(id) ? undefined : (specifier) => mayLieBeside(specifier, id)),
          )
        } catch {
          // The bundler says more of what is wrong with it.
        }
      },
    },
  }
  const bundle = await rolldown({
    input: path,
    cwd: dirname(path),
    platform: 'node',
    experimental: { resolveNewUrlToAsset: true },
    plugins: [plugin],
    onLog(_level, log) {
      if (log.code === 'UNRESOLVED_IMPORT' && !isBuiltin(log.exporter ?? '')) missing.push(missingOf(log))
    },
  })
  try {
    const { output } = await bundle.generate({
      format: 'esm',
      codeSplitting: false,
      assetFileNames: '[name]-[hash][extname]',
      sanitizeFileName: toFileName,
    })
    const [chunk, ...rest] = output
    const files = rest.flatMap((file) => (file.type === 'asset' ? [{ name: file.fileName, bytes: toBytes(file.source) }] : []))
    const places = [...unportable].flatMap(([id, found]) =>
      (chunk.modules[id]?.renderedLength ?? 0) > 0 ? found.map(({ what, line }) => `${what} in ${shown(id)}:${line}`) : [],
    )
    const faults = [...addons, ...missing, ...places]
    if (faults.length > 0) throw notPortable(tag, moduleUrl, faults)
    const name = `${basename(path, extname(path))}.mjs`
    return { name, bytes: new TextEncoder().encode(chunk.code), files }
  } catch (cause) {
    if (cause instanceof ServeError) throw cause
    throw missing.length > 0 ? notPortable(tag, moduleUrl, missing, cause) : failed(tag, moduleUrl, cause)
  } finally {
    await bundle.close()
  }
}

async function loadBundler(tag: string) {
  try {
    const [{ rolldown }, { parseAst }] = await Promise.all([import('rolldown'), import('rolldown/parseAst')])
    return { rolldown, parseAst }
  } catch (cause) {
    throw new ServeError(
      'ERR_UNSUPPORTED',
      `backend ${tag}: a module is bundled before it travels to peers, and the package rolldown is not installed; run npm install rolldown, or serve it with isolation 'inline'`,
      { cause },
    )
  }
}

/** What the bundler could not do: an import of a file or package that is not there, or a file that is no code. */
function failed(tag: string, moduleUrl: string, cause: unknown): ServeError {
  const logs = (cause as { readonly errors?: readonly RolldownLog[] }).errors ?? []
  const missing = logs.filter(({ code }) => code === 'UNRESOLVED_IMPORT')
  if (missing.length > 0) return notPortable(tag, moduleUrl, missing.map(missingOf), cause)
  const message = stripVTControlCharacters(logs[0]?.message ?? (cause instanceof Error ? cause.message : String(cause)))
  const [, place] = /\[ (\S+:\d+:\d+) \]/.exec(message) ?? []
  const reason = `${firstLine(message)}${place === undefined ? '' : ` in ${place}`}`
  return new ServeError('ERR_BACKEND_START_FAILED', `backend ${tag}: module ${moduleUrl} cannot be bundled: ${reason}`, { cause })
}

function missingOf({ exporter, id, message }: RolldownLog): string {
  if (exporter !== undefined && id !== undefined) return `'${exporter}', imported by ${shown(id)}, is not installed or not there`
  return firstLine(stripVTControlCharacters(message))
}

/** Of a message of the bundler, without its code. */
const firstLine = (message: string): string => (message.split('\n', 1)[0] ?? '').replace(/^\[[A-Z_]+\]\s*/, '').trim()

function notPortable(tag: string, moduleUrl: string, faults: readonly string[], cause?: unknown): ServeError {
  const named = faults.slice(0, MAX_NAMED).join('; ')
  const more = faults.length > MAX_NAMED ? `; and ${faults.length - MAX_NAMED} more` : ''
  return new ServeError(
    'ERR_BACKEND_NOT_PORTABLE',
    `backend ${tag}: ${moduleUrl} cannot travel to peers: ${named}${more}; mend that, or serve it with isolation 'inline' or from an instance without mesh`,
    { cause, details: { backend: tag, faults } },
  )
}

function languageOf(id: string): 'js' | 'jsx' | 'ts' | 'tsx' | undefined {
  const [, ending] = /^[^\0]*\.[cm]?([jt]sx?)$/.exec(id) ?? []
  return ending as 'js' | 'jsx' | 'ts' | 'tsx' | undefined
}

const isPackage = (id: string): boolean => id.includes('/node_modules/')

/** Code that is named, such as that of a worker, would not find its imports there. */
function mayLieBeside(specifier: string, id: string): boolean {
  const url = new URL(specifier, pathToFileURL(id))
  return !CODE_FILE.test(url.pathname) && statSync(url, { throwIfNoEntry: false })?.isFile() === true
}

const shown = (id: string): string => id.replace(/^.*\/node_modules\//, '')

const toBytes = (source: string | Uint8Array): Uint8Array => (typeof source === 'string' ? new TextEncoder().encode(source) : source)
