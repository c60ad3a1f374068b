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
  'service-worker': 'browser/service-worker.ts',
}

/** The page's worker is a build of its own: import maps do not reach workers, so it must hold all it needs. */
const PAGE_WORKER: Readonly<Record<string, string>> = { 'browser-worker': 'browser/worker-entry.ts' }

/** What a page takes without any build step: one file each, the worker inside. */
const SCRIPTS: readonly Script[] = [
  { file: 'shoal.min.js', source: 'browser/index.ts', format: 'iife', global: 'shoal' },
  { file: 'shoal.min.mjs', source: 'browser/index.ts', format: 'es' },
  { file: 'shoal-service-worker.js', source: 'browser/service-worker-entry.ts', format: 'iife', global: 'shoalServiceWorker' },
]

interface Script {
  readonly file: string
  readonly source: string
  readonly format: 'iife' | 'es'
  /** Name of the global that a classic script makes. */
  readonly global?: string
}

/** Which file of dist stands for a source that is named by `new URL('./x.ts', import.meta.url)`. */
const WORKER_FILES: ReadonlyMap<string, string> = new Map(
  [...Object.entries(ENTRIES), ...Object.entries(PAGE_WORKER)].map(([name, source]) => [source, `${name}.js`]),
)

/**
 * What a page needs from the start and its later chunks need as well, in two files: a bundler gives each shared file a chunk with lists of imports
 * and exports, which for many small ones is half a kilobyte. The first is for every program, the second for those that hold backends.
 */
const SHARED: Readonly<Record<string, ReadonlySet<string>>> = {
  ground: filesOf({
    'core/base': ['can-clone', 'clock', 'error-envelope', 'error-kinds', 'errors', 'nearest-name', 'random', 'topic'],
    'core/request': ['bytes', 'flat-headers', 'frames', 'handle-meta', 'http-head', 'json-limits', 'travel'],
    'core/replica': ['asset', 'living-argument', 'plan-batches', 'race-abort', 'started-flags', 'stream-inbox'],
    'core/service': ['call'],
  }),
  backends: filesOf({
    'core/model': [
      'autoscaling-config',
      'backend-config',
      'endpoint-config',
      'field-rules',
      'frozen-data',
      'replica-options',
      'traffic-policy',
    ],
    'core/controller': ['within'],
  }),
}

function filesOf(rooms: Readonly<Record<string, readonly string[]>>): ReadonlySet<string> {
  const files = Object.entries(rooms).flatMap(([room, names]) => names.map((name) => `${root}${room}/${name}.ts`))
  return new Set(files.map((file) => file.split(sep).join('/')))
}

/** Everything by a bare name stays an import of the published file, but the compiler's own helpers: nobody has those installed. */
const EXTERNAL = [/^node:/, /^(?!@oxc-project\/runtime)(?![./]|[A-Za-z]:|\0)/]

const COMMON: InlineConfig = { configFile: false, root, logLevel: 'warn', publicDir: false }

/**
 * The builds whose sources are there, in order, and the sources that are not.
 * @param outDir where they go @default dist
 */
export function builds(outDir = `${root}dist`): { readonly configs: readonly InlineConfig[]; readonly leftOut: readonly string[] } {
  const isThere = (source: string): boolean => existsSync(`${root}${source}`)
  const entry = Object.fromEntries(Object.entries(ENTRIES).filter(([, source]) => isThere(source)))
  const workers = Object.entries(PAGE_WORKER).filter(([, source]) => isThere(source))
  const scripts = SCRIPTS.filter(({ source }) => isThere(source))
  const all = [...Object.values(ENTRIES), ...Object.values(PAGE_WORKER), ...SCRIPTS.map(({ source }) => source)]
  const configs = [
    libraryBuild(entry, outDir),
    ...workers.map(([name, source]) => selfContainedBuild({ file: `${name}.js`, source, format: 'es' }, outDir)),
    ...scripts.map((script) => selfContainedBuild(script, outDir)),
  ]
  return { configs, leftOut: [...new Set(all.filter((source) => !isThere(source)))] }
}

/** A worker that is part of the file that names it: small, and with everything it needs. */
const INLINE_WORKER: NonNullable<InlineConfig['worker']> = {
  format: 'es',
  rolldownOptions: { output: { codeSplitting: false, minify: true } },
}

function libraryBuild(entry: Record<string, string>, outDir: string): InlineConfig {
  return {
    ...COMMON,
    plugins: [workersStayFiles()],
    worker: INLINE_WORKER,
    build: {
      outDir,
      target: 'es2022',
      minify: false,
      sourcemap: true,
      emptyOutDir: false,
      lib: { formats: ['es'], entry },
      rolldownOptions: {
        external: EXTERNAL,
        // What the entries export stays as it is written: what is shared goes to chunks.
        preserveEntrySignatures: 'allow-extension',
        output: {
          entryFileNames: '[name].js',
          chunkFileNames: 'chunk-[name]-[hash].js',
          codeSplitting: {
            includeDependenciesRecursively: false,
            groups: Object.entries(SHARED).map(([name, files]) => ({ name, test: (id: string) => files.has(id.split(sep).join('/')) })),
          },
        },
      },
    },
  }
}

function selfContainedBuild({ file, source, format, global }: Script, outDir: string): InlineConfig {
  return {
    ...COMMON,
    plugins: [workersGoInside()],
    worker: INLINE_WORKER,
    build: {
      outDir,
      target: 'es2022',
      minify: 'oxc',
      emptyOutDir: false,
      lib: { formats: [format], entry: source, fileName: () => file, ...(global !== undefined && { name: global }) },
      rolldownOptions: {
        output: { codeSplitting: false, minify: true },
        // A classic script has no import.meta; what asks for it looks whether there is anything.
        ...(format === 'iife' && { transform: { define: { 'import.meta': '{}' } } }),
      },
    },
  }
}

/** A file alone has no other beside it to name: the worker comes from a blob, which also works from any origin. */
function workersGoInside(): Plugin {
  const inline = `${root}browser/own-worker-inline.ts`
  return {
    name: 'workers-go-inside',
    enforce: 'pre',
    resolveId: (specifier) => (specifier === './own-worker.ts' ? inline : null),
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
