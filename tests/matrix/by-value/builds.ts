import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type TransformOptions, transform } from 'esbuild'
import { build, createServer, type InlineConfig } from 'vite'

/** The module of the four targets after a build tool had it. */
export interface Built {
  readonly targets: Readonly<Record<string, CallableFunction>>
  /** The file that the code would be deployed from. */
  readonly filename: string
}

const FOLDER = fileURLToPath(new URL('.', import.meta.url))
const TYPESCRIPT = join(FOLDER, 'targets.ts')
const JAVASCRIPT = join(FOLDER, 'targets.js')
const VITE: InlineConfig = { root: FOLDER, configFile: false, logLevel: 'silent' }

const folders: string[] = []

/** Every way of the matrix, by the name of its row. */
export const BUILDS: Readonly<Record<string, () => Promise<Built>>> = {
  'plain JavaScript': async () => ({ targets: await import(pathToFileURL(JAVASCRIPT).href), filename: JAVASCRIPT }),
  'TypeScript, types removed by Node': async () => ({ targets: await import(pathToFileURL(TYPESCRIPT).href), filename: TYPESCRIPT }),
  'esbuild, esnext': () => byEsbuild({ target: 'esnext' }),
  'esbuild, es2022': () => byEsbuild({ target: 'es2022' }),
  'esbuild, keepNames (tsx)': () => byEsbuild({ target: 'node24', keepNames: true, minifyWhitespace: true }),
  'esbuild, es2020': () => byEsbuild({ target: 'es2020' }),
  'esbuild, es2020, minified': () => byEsbuild({ target: 'es2020', minify: true }),
  'Vite dev': byViteDev,
  'Vite build': () => byViteBuild({}),
  'Vite build, es2020': () => byViteBuild({ target: 'es2020' }),
  'Vite build, library': () => byViteBuild({ lib: { entry: TYPESCRIPT, formats: ['es'], fileName: 'targets' } }),
}

/** Removes what the builds have written. */
export async function removeBuilds(): Promise<void> {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
}

async function byEsbuild(options: TransformOptions): Promise<Built> {
  const { code } = await transform(await readFile(TYPESCRIPT, 'utf8'), { loader: 'ts', format: 'esm', ...options })
  return { targets: await importText(code), filename: TYPESCRIPT }
}

async function byViteDev(): Promise<Built> {
  const server = await createServer({
    ...VITE,
    appType: 'custom',
    optimizeDeps: { noDiscovery: true },
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
  })
  try {
    const result = await server.transformRequest('/targets.ts')
    return { targets: await importText(result?.code ?? ''), filename: TYPESCRIPT }
  } finally {
    await server.close()
  }
}

async function byViteBuild(options: InlineConfig['build']): Promise<Built> {
  const bundler = options?.lib === undefined ? { input: TYPESCRIPT, preserveEntrySignatures: 'strict' as const } : {}
  const result = await build({ ...VITE, build: { write: false, rolldownOptions: bundler, ...options } })
  const output = (Array.isArray(result) ? result : [result]).flatMap((one) => ('output' in one ? one.output : []))
  const folder = await mkdtemp(join(tmpdir(), 'by-value-'))
  folders.push(folder)
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  let entry = ''
  for (const file of output) {
    if (file.type !== 'chunk') continue
    const path = join(folder, basename(file.fileName))
    await writeFile(path, file.code)
    if (file.isEntry) entry = path
  }
  return { targets: await import(pathToFileURL(entry).href), filename: entry }
}

function importText(code: string): Promise<Built['targets']> {
  return import(`data:text/javascript,${encodeURIComponent(code)}`)
}
