import { spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, posix } from 'node:path'
import { expect } from 'chai'
import { filesBelow, isThere, ROOT, readText } from '../support/source-tree.ts'

/** Where the examples are laid out: inside the repository, so that packages resolve, and below dist, so that nobody commits them. */
const FOLDER = 'dist/docs-check'
const COMPILE_LIMIT_MS = 120_000
const RUN_LIMIT_MS = 60_000

/** What an example may take for granted, so that a page need not start an instance in every block. One that is run has to start its own. */
const GRANTED = `import type * as shoal from 'shoal'
declare global {
  const serve: typeof shoal
  const client: shoal.Client
}
`

interface Example {
  /** `README.md:12`, the line of the fence. */
  readonly place: string
  /** File in {@link FOLDER}; its lines are those of the page. */
  readonly file: string
  readonly text: string
  readonly marks: readonly string[]
}

const pages = [...['README.md', 'CHANGELOG.md'].filter(isThere), ...filesBelow('docs', '.md')]
const examples = pages.filter((page) => page !== 'CHANGELOG.md').flatMap(examplesOf)

describe('the examples of README and docs', () => {
  before(() => {
    rmSync(join(ROOT, FOLDER), { recursive: true, force: true })
    mkdirSync(join(ROOT, FOLDER), { recursive: true })
    for (const { file, text } of examples) writeFileSync(join(ROOT, FOLDER, file), text)
    writeFileSync(join(ROOT, FOLDER, 'granted.d.ts'), GRANTED)
    writeFileSync(join(ROOT, FOLDER, 'tsconfig.json'), JSON.stringify(compilerSettings(), null, 2))
  })

  it('carry no mark but run', () => {
    const unknown = examples.filter(({ marks }) => marks.some((mark) => mark !== 'run'))
    expect(unknown.map(({ place }) => place)).to.deep.equal([])
  })

  it('compile', async function () {
    this.timeout(COMPILE_LIMIT_MS)
    if (examples.length === 0) return this.skip()
    const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')
    const { code, output } = await runNode([tsc, '-b', FOLDER, '--pretty', 'false'], COMPILE_LIMIT_MS)
    expect(code === 0 ? '' : output, `lines are those of the page`).to.equal('')
  })

  for (const { place, file } of examples.filter(({ marks }) => marks.includes('run'))) {
    it(`run to their end: ${place}`, async function () {
      this.timeout(RUN_LIMIT_MS + 5_000)
      const hook = join(ROOT, 'tests/support/shoal-by-name.mjs')
      const { code, output } = await runNode(['--import', hook, join(ROOT, FOLDER, file)], RUN_LIMIT_MS)
      expect(code, output).to.equal(0)
    })
  }
})

describe('the links of README and docs', () => {
  it('lead to files that are there', () => {
    const broken = pages.flatMap((page) =>
      linksOf(readText(page))
        .filter((link) => !isThere(posix.join(posix.dirname(page), link)))
        .map((link) => `${page} links ${link}`),
    )
    expect(broken).to.deep.equal([])
  })

  it('lead to headings that are there', () => {
    const broken = pages.flatMap((page) =>
      anchorsOf(readText(page))
        .map(({ path, anchor }) => ({ target: path === '' ? page : posix.join(posix.dirname(page), path), anchor }))
        .filter(({ target, anchor }) => isThere(target) && !headingsOf(readText(target)).has(anchor))
        .map(({ target, anchor }) => `${page} links ${target}#${anchor}`),
    )
    expect(broken).to.deep.equal([])
  })
})

/** Blocks fenced as `ts`; empty lines stand for the page above, so that an error names the page's line. */
function examplesOf(page: string): Example[] {
  const found: Example[] = []
  const lines = readText(page).split('\n')
  for (let at = 0; at < lines.length; at++) {
    const fence = /^(\s*)```ts(?:\s+(.*))?$/.exec(lines[at] ?? '')
    if (fence === null) continue
    const end = lines.findIndex((line, i) => i > at && line.trim() === '```')
    const body = lines.slice(at + 1, end === -1 ? undefined : end)
    const text = `${'\n'.repeat(at + 1)}${body.join('\n')}\n`
    const marks = (fence[2] ?? '').split(/\s+/).filter((mark) => mark !== '')
    found.push({ place: `${page}:${at + 1}`, file: `${page.replaceAll('/', '__')}.${at + 1}.ts`, text, marks })
    at = end === -1 ? lines.length : end
  }
  return found
}

function compilerSettings(): object {
  return {
    extends: '../../tsconfig.base.json',
    compilerOptions: {
      composite: false,
      noEmit: true,
      emitDeclarationOnly: false,
      declaration: false,
      declarationMap: false,
      rewriteRelativeImportExtensions: false,
      erasableSyntaxOnly: true,
      rootDir: '../..',
      lib: ['ES2023', 'ESNext.Disposable', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'],
      types: ['node'],
      paths: {
        shoal: ['../../node/index.ts'],
        'shoal/node': ['../../node/index.ts'],
        'shoal/browser': ['../../browser/index.ts'],
        'shoal/core': ['../../core/index.ts'],
        'shoal/replica': ['../../node/replica.ts'],
      },
    },
    include: ['./*.ts'],
    references: ['core', 'core/adapters', 'node', 'browser'].map((project) => ({ path: `../../${project}` })),
  }
}

function linksOf(text: string): string[] {
  return hrefsOf(text)
    .map((href) => href.replace(/[#?].*$/, ''))
    .filter((path) => path !== '')
}

function anchorsOf(text: string): { path: string; anchor: string }[] {
  return hrefsOf(text)
    .filter((href) => href.includes('#'))
    .map((href) => ({ path: href.slice(0, href.indexOf('#')), anchor: href.slice(href.indexOf('#') + 1) }))
    .filter(({ path }) => path === '' || path.endsWith('.md'))
}

/** Relative targets of links and pictures, outside code. */
function hrefsOf(text: string): string[] {
  const prose = text.replace(/^\s*```[\s\S]*?^\s*```/gm, '').replace(/`[^`\n]*`/g, '')
  return [...prose.matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)/g)]
    .map((match) => match[1] ?? '')
    .filter((href) => !/^[a-z][a-z+.-]*:/i.test(href) && !href.startsWith('/'))
}

/** Anchors as the usual viewers of markdown make them from headings. */
function headingsOf(text: string): Set<string> {
  const prose = text.replace(/^\s*```[\s\S]*?^\s*```/gm, '')
  const seen = new Map<string, number>()
  const anchors = [...prose.matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)].map((match) => {
    const base = (match[1] ?? '')
      .toLowerCase()
      .replace(/[^\p{Letter}\p{Number}\s_-]/gu, '')
      .replace(/\s/g, '-')
    const count = seen.get(base) ?? 0
    seen.set(base, count + 1)
    return count === 0 ? base : `${base}-${count}`
  })
  return new Set(anchors)
}

function runNode(args: readonly string[], limitMs: number): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk
      })
    }
    const limit = setTimeout(() => {
      output += `\nended after ${limitMs} ms`
      child.kill('SIGKILL')
    }, limitMs)
    child.once('close', (code) => {
      clearTimeout(limit)
      resolve({ code, output })
    })
  })
}
