import { existsSync } from 'node:fs'
import { posix, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { InlineConfig, Plugin } from 'vite'

const root = fileURLToPath(new URL('.', import.meta.url))

/** Doors and programs of the package: name of the file in dist, source. One whose source is not written yet is left out of the build. */
const ENTRIES: Readonly<Record<string, string>> = {
  core: 'core/index.ts',
  node: 'node/index.ts',
  'node-worker': 'node/worker-entry.ts',
  'node-process': 'node/process-entry.ts',
  'node-replica': 'node/replica.ts',
  cli: 'node/cli/main.ts',
  browser: 'browser/index.ts',
  'browser-replica': 'browser/replica.ts',
}

/** The page's worker is a build of its own: import maps do not reach workers, so it must hold all it needs. */
const PAGE_WORKER: Readonly<Record<string, string>> = { 'browser-worker': 'browser/worker-entry.ts' }

/** Which file of dist stands for a source that is named by `new URL('./x.ts', import.meta.url)`. */
const WORKER_FILES: ReadonlyMap<string, string> = new Map(
  [...Object.entries(ENTRIES), ...Object.entries(PAGE_WORKER)].map(([name, source]) => [source, `${name}.js`]),
)

/** Everything by a bare name stays an import of the published file, but the compiler's own helpers: nobody has those installed. */
const EXTERNAL = [/^node:/, /^(?!@oxc-project\/runtime)(?![./]|[A-Za-z]:|\0)/]

const COMMON: InlineConfig = { configFile: false, root, logLevel: 'warn', publicDir: false }

/** The builds whose sources are there, in order, and the sources that are not. */
export function builds(): { readonly configs: readonly InlineConfig[]; readonly leftOut: readonly string[] } {
  const isThere = ([, source]: [string, string]): boolean => existsSync(`${root}${source}`)
  const entry = Object.fromEntries(Object.entries(ENTRIES).filter(isThere))
  const all = [...Object.entries(ENTRIES), ...Object.entries(PAGE_WORKER)]
  const configs = [libraryBuild(entry), ...Object.entries(PAGE_WORKER).filter(isThere).map(selfContainedBuild)]
  return { configs, leftOut: all.filter((pair) => !isThere(pair)).map(([, source]) => source) }
}

function libraryBuild(entry: Record<string, string>): InlineConfig {
  return {
    ...COMMON,
    plugins: [workersStayFiles()],
    build: {
      target: 'es2022',
      minify: false,
      sourcemap: true,
      emptyOutDir: false,
      lib: { formats: ['es'], entry },
      rolldownOptions: { external: EXTERNAL, output: { entryFileNames: '[name].js', chunkFileNames: 'chunk-[name]-[hash].js' } },
    },
  }
}

function selfContainedBuild([name, source]: [string, string]): InlineConfig {
  return {
    ...COMMON,
    build: {
      target: 'es2022',
      minify: 'oxc',
      sourcemap: true,
      emptyOutDir: false,
      lib: { formats: ['es'], entry: { [name]: source } },
      rolldownOptions: { output: { entryFileNames: '[name].js', codeSplitting: false, minify: true } },
    },
  }
}

/**
 * Sources name their worker as `new URL('./worker-entry.ts', import.meta.url)`, which runs unbuilt in Node and in tests. Vite would turn that into
 * an absolute path; this hides it from Vite and puts the file of dist in its place. All files lie flat in dist, so the path is right in any chunk.
 */
function workersStayFiles(): Plugin {
  const named = /new URL\(\s*'(\.{1,2}\/[^']+\.ts)',\s*import\.meta\.url,?\s*\)/g
  const hidden = /__WORKER_FILE__\("([^"]+)"\)/g
  return {
    name: 'workers-stay-files',
    enforce: 'pre',
    transform(code, id) {
      const importer = relative(root, id).split(sep).join('/')
      if (importer.startsWith('..') || !code.includes('import.meta.url')) return null
      if (code.search(named) === -1) return null
      const replaced = code.replace(named, (_, path: string) => {
        const source = posix.join(posix.dirname(importer), path)
        const file = WORKER_FILES.get(source)
        if (file === undefined) throw new Error(`${importer} names ${source}, which is no entry of vite.config.ts`)
        return `__WORKER_FILE__(${JSON.stringify(file)})`
      })
      return { code: replaced, map: null }
    },
    renderChunk(code) {
      if (!code.includes('__WORKER_FILE__')) return null
      return { code: code.replace(hidden, (_, file: string) => `new URL("./${file}", import.meta.url)`), map: null }
    },
  }
}
