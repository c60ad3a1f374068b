/**
 * Makes a folder of static files of the demo, for any web server:
 *
 *     node demo/digits/in-page/build.ts [folder]     default: dist/digits
 */
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const here = dirname(fileURLToPath(import.meta.url))
const digits = dirname(here)

/** Builds into `folder`, which is emptied first. */
export async function buildDigitsPage(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await build({
    root: here,
    configFile: false,
    logLevel: 'error',
    publicDir: false,
    base: './',
    worker: { format: 'es' },
    build: {
      outDir: folder,
      target: 'es2022',
      assetsDir: 'in-page',
      assetsInlineLimit: 0,
      chunkSizeWarningLimit: 2_000,
      rolldownOptions: { input: join(here, 'main.ts'), output: { entryFileNames: 'in-page/main.js' } },
    },
  })
  await cp(join(digits, 'page'), join(folder, 'page'), { recursive: true })
  await cp(join(digits, 'data'), join(folder, 'data'), { recursive: true })
  const page = await readFile(join(digits, 'page/index.html'), 'utf8')
  await writeFile(join(folder, 'index.html'), inPage(page))
  await rm(join(folder, 'page/index.html'))
}

/** The page of the server with relative addresses, the replicas before its own script, and the truth about where the models are. */
function inPage(page: string): string {
  return page
    .replaceAll('"/page/', '"./page/')
    .replace('<script type="module"', '<script type="module" src="./in-page/main.js"></script>\n    <script type="module"')
    .replace('Two models stand behind one address.', 'Two models run in this page, in Web Workers; nothing you draw leaves it.')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = resolve(process.argv[2] ?? join(digits, '../../dist/digits'))
  await buildDigitsPage(folder)
  console.log(`The demo is in ${folder}; serve it with any static web server.`)
}
