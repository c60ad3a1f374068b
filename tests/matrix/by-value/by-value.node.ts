import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { checkPortable, NODE_WORKER_GLOBALS, type PortableSource, rewriteImports } from '../../../core/adapters/portability/index.ts'
import { isServeError } from '../../../core/base/index.ts'
import { BUILDS, type Built, removeBuilds } from './builds.ts'
import { runInWorker } from './run-in-worker.ts'

/** The columns, with what each gives for `{ data: 4 }`. */
const SHAPES = [
  { column: 'nested function', name: 'nested', answer: 9 },
  { column: 'class, private fields', name: 'Counter', answer: '7 calls' },
  { column: 'async generator', name: 'parts', answer: [0, 1, 2, 3] },
  { column: '`import()` inside', name: 'loading', answer: 40 },
] as const

const DEV_ADDRESS = 'travels; address of the dev server'

/** The expected matrix. */
const MATRIX: Readonly<Record<string, readonly [string, string, string, string]>> = {
  'plain JavaScript': ['travels', 'travels', 'travels', 'travels'],
  'TypeScript, types removed by Node': ['travels', 'travels', 'travels', 'travels'],
  'esbuild, esnext': ['travels', 'travels', 'travels', 'travels'],
  'esbuild, es2022': ['travels', 'travels', 'travels', 'travels'],
  'esbuild, keepNames (tsx)': ['travels with `__name`', 'travels with `__name`', 'travels', 'travels'],
  'esbuild, es2020': ['travels', 'refused: lowered', 'travels', 'travels'],
  'esbuild, es2020, minified': ['travels', 'refused: minified', 'travels', 'travels'],
  'Vite dev': ['travels', 'travels', 'travels', DEV_ADDRESS],
  'Vite build': ['travels', 'travels', 'travels', 'refused: preload'],
  'Vite build, es2020': ['travels', 'refused: minified', 'travels', 'refused: preload'],
  'Vite build, library': ['travels', 'travels', 'travels', 'travels'],
}

const PAGE = new URL('../../../docs/concepts/functions-by-value.md', import.meta.url)

describe('functions by value, build tool by build tool', function () {
  this.timeout(20_000)
  after(removeBuilds)

  it('covers every build', () => expect(Object.keys(MATRIX)).to.deep.equal(Object.keys(BUILDS)))

  for (const [row, cells] of Object.entries(MATRIX)) {
    const made = once(() => BUILDS[row]!())
    SHAPES.forEach(({ column, name, answer }, index) => {
      const cell = cells[index]!
      it(`${row}: ${column.replaceAll('`', '')} ${cell.replaceAll('`', '')}`, async () => {
        const built = await made()
        const verdict = check(built.targets[name]!)
        if (typeof verdict === 'string') {
          expect(verdict).to.equal(cell)
          return
        }
        const isDevAddress = verdict.imports.some((one) => one.specifier?.startsWith('/'))
        expect(isDevAddress ? DEV_ADDRESS : verdict.prelude === '' ? 'travels' : 'travels with `__name`').to.equal(cell)
        expect(await answerOf(isDevAddress ? withFileAddresses(verdict) : verdict, built)).to.deep.equal(answer)
      })
    })
  }

  it('is the table of the concept page', () => {
    const table = [['built by', ...SHAPES.map(({ column }) => column)], ...Object.entries(MATRIX).map(([row, cells]) => [row, ...cells])]
    const rows = tableRows(readFileSync(PAGE, 'utf8')).filter((cells) => cells.length === 5)
    expect(rows).to.deep.equal(table)
  })
})

function check(target: CallableFunction): PortableSource | string {
  try {
    return checkPortable(target, { globals: NODE_WORKER_GLOBALS })
  } catch (error) {
    if (!isServeError(error, 'ERR_BACKEND_NOT_PORTABLE')) throw error
    return `refused: ${(error.details!.reasons as { kind: string }[]).map(({ kind }) => kind).join(', ')}`
  }
}

/** A replica on Node cannot ask the dev server; its addresses are paths below the folder it serves. */
function withFileAddresses(portable: PortableSource): PortableSource {
  return rewriteImports(portable, (specifier) => new URL(`.${specifier}`, import.meta.url).href)
}

async function answerOf(portable: PortableSource, { filename }: Built): Promise<unknown> {
  const { value, stack } = await runInWorker({ portable, options: { filename }, initArgs: [3], request: { data: 4 } })
  expect(stack).to.equal(undefined)
  return value
}

/** The cells of every table row of a Markdown text, without the lines below the headings. */
function tableRows(markdown: string): string[][] {
  const lines = markdown.split('\n').filter((line) => line.startsWith('|') && !/^[\s|:-]+$/.test(line))
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

function once<T>(run: () => T): () => T {
  let result: { readonly value: T } | undefined
  return () => {
    result ??= { value: run() }
    return result.value
  }
}
