import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { build } from 'vite'
import { type InstalledPackage, installPacked } from './support/packed.ts'

/** Most bytes, minified and gzipped; 1 kB is 1000. */
const BUDGETS = { page: 30_000, worker: 19_500, oneFile: 135_000, serviceWorker: 5_500 }

interface Chunk {
  readonly type: string
  readonly fileName: string
  readonly isEntry: boolean
  readonly imports: readonly string[]
  readonly code: string
}

describe('the size of the package in a page', function () {
  this.timeout(180_000)
  let installed: InstalledPackage

  before(async () => {
    installed = await installPacked()
    await installed.write({
      'page/main.js': `import { module, start, worker } from 'shoal'
export const client = await start()
await client.createBackend('a', module(new URL('/digits.js', location.href), 'Digits'))
await client.createBackend('b', worker((Worker) => new Worker('/digits.worker.js', { type: 'module' })))`,
      'worker/main.js': `import { expose } from 'shoal/replica'
expose((request) => request.data)`,
    })
  })
  after(() => installed?.remove())

  /** What a bundler makes of a program: the chunks that it needs from the start. */
  async function startCode(program: string): Promise<string> {
    const result = await build({
      root: join(installed.folder, program),
      configFile: false,
      logLevel: 'silent',
      build: {
        write: false,
        target: 'es2022',
        minify: 'oxc',
        lib: { entry: 'main.js', formats: ['es'] },
        rolldownOptions: { output: { minify: true } },
      },
    })
    const chunks = new Map((result as unknown as [{ output: Chunk[] }])[0].output.map((chunk) => [chunk.fileName, chunk]))
    const needed = new Set([...chunks.values()].filter((chunk) => chunk.isEntry).map((chunk) => chunk.fileName))
    for (const name of needed) for (const imported of chunks.get(name)?.imports ?? []) needed.add(imported)
    return [...needed].map((name) => chunks.get(name)?.code).join('\n')
  }

  const startSize = async (program: string): Promise<number> => gzipSync(await startCode(program), { level: 9 }).length

  const fileSize = async (name: string): Promise<number> => gzipSync(await readFile(join(installed.dist, name)), { level: 9 }).length

  for (const [what, key, measure] of [
    ['what a bundler takes for a page that serves modules and workers', 'page', () => startSize('page')],
    ['what a bundler takes for a worker file with expose()', 'worker', () => startSize('worker')],
    ['shoal.min.js, with the worker, the parser and the middlewares inside', 'oneFile', () => fileSize('shoal.min.js')],
    ['shoal-service-worker.js', 'serviceWorker', () => fileSize('shoal-service-worker.js')],
  ] as const) {
    it(`keeps ${what} within its budget`, async () => {
      const bytes = await measure()
      console.log(`      ${(bytes / 1_000).toFixed(2)} kB of ${(BUDGETS[key] / 1_000).toFixed(1)}, min+gzip`)
      expect(bytes).to.be.at.most(BUDGETS[key])
    })
  }

  it('leaves to later chunks what not every page needs', async () => {
    const code = await startCode('page')
    // A text that each of them says.
    const texts = {
      parser: 'Unterminated template',
      middlewares: 'Context is not finalized',
      gateway: 'application/problem+json',
      'inline replicas': 'expects an ordered iterable',
      store: 'createObjectStore',
      'shared replicas': 'BroadcastChannel',
      mesh: 'ticket is',
    }
    expect(Object.entries(texts).filter(([, text]) => code.includes(text))).to.deep.equal([])
  })
})
