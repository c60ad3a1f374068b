import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { expect } from 'chai'
import { bundleModule } from '../../node/bundle-module.ts'
import { failure } from '../support/failure.ts'

const FIXTURES = fileURLToPath(new URL('./fixtures/mesh-code/', import.meta.url))

describe('the bundle of a module', function () {
  this.timeout(30_000)

  const folders: string[] = []

  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
  })

  it('is the same wherever its files lie', async () => {
    const [first, second] = await Promise.all(
      [copyOfFixtures(), copyOfFixtures()].map((folder) => bundleModule('b', urlOf(folder, 'reader.ts'))),
    )
    expect(first).to.deep.equal(second)
    expect(first?.files.map(({ name }) => name.replace(/-[^.]+/, ''))).to.deep.equal(['notes.txt'])
  })

  it('needs nothing but builtins of Node', async () => {
    const { bytes } = await bundleModule('b', urlOf(FIXTURES, 'reader.ts'))
    const imports = [...new TextDecoder().decode(bytes).matchAll(/^import .* from "(.*)"/gm)].map(([, specifier]) => specifier)
    expect(imports).to.deep.equal(['node:path'])
  })

  it('leaves an import() alone that its author told bundlers to leave alone', async () => {
    const { bytes } = await bundleModule('b', written('m.ts', 'export default (name: string) => import(/* @vite-ignore */ name)\n'))
    expect(new TextDecoder().decode(bytes)).to.match(/import\(/)
  })

  it('does without a package that CommonJS code tries to load', async () => {
    const text = 'let found\ntry { found = require("shoal-package-that-is-not-there") } catch {}\nmodule.exports = () => found\n'
    expect((await bundleModule('b', written('m.cjs', text))).name).to.equal('m.mjs')
  })

  it('gives files names without blanks and letters that not every system has', async () => {
    const url = written('m.ts', "export default () => new URL('./my é.txt', import.meta.url).href\n", { 'my é.txt': 'text' })
    const { bytes, files } = await bundleModule('b', url)
    expect(files[0]?.name).to.match(/^my__-\w+\.txt$/)
    expect(new TextDecoder().decode(bytes)).to.include(files[0]?.name)
  })

  for (const [what, text, code] of [
    ['text that is no code', 'export default ( => 1\n', 'ERR_BACKEND_START_FAILED'],
    ['an import of a file that is not there', "import './gone.ts'\nexport default () => 1\n", 'ERR_BACKEND_NOT_PORTABLE'],
    ['code that names a script', "export default () => new URL('./m.ts', import.meta.url)\n", 'ERR_BACKEND_NOT_PORTABLE'],
    ['code that names a file which is not there', "export default () => new URL('./gone', import.meta.url)\n", 'ERR_BACKEND_NOT_PORTABLE'],
    ['code that names a folder', "export default () => new URL('.', import.meta.url)\n", 'ERR_BACKEND_NOT_PORTABLE'],
    ['code that names some file', 'export default (f: string) => new URL(f, import.meta.url)\n', 'ERR_BACKEND_NOT_PORTABLE'],
    [
      'createRequire',
      "import { createRequire } from 'node:module'\nexport default createRequire(import.meta.url)\n",
      'ERR_BACKEND_NOT_PORTABLE',
    ],
  ] as const) {
    it(`is not made of ${what}: ${code}`, async () => {
      expect(await failure(bundleModule('b', written('m.ts', text)))).to.have.property('code', code)
    })
  }

  it('is not made of a file that is not there: ERR_BACKEND_START_FAILED', async () => {
    expect(await failure(bundleModule('b', urlOf(FIXTURES, 'gone.ts')))).to.have.property('code', 'ERR_BACKEND_START_FAILED')
  })

  it('is not made of an address that is no file: ERR_BACKEND_NOT_PORTABLE', async () => {
    expect(await failure(bundleModule('b', 'https://localhost/m.js'))).to.have.property('code', 'ERR_BACKEND_NOT_PORTABLE')
  })

  it('says what to install where there is no bundler: ERR_UNSUPPORTED', () => {
    const program = `
      import { registerHooks } from 'node:module'
      registerHooks({ resolve: (name, context, next) => next(name === 'rolldown' ? 'shoal-no-bundler' : name, context) })
      const { bundleModule } = await import(${JSON.stringify(new URL('../../node/bundle-module.ts', import.meta.url).href)})
      const error = await bundleModule('b', ${JSON.stringify(urlOf(FIXTURES, 'reader.ts'))}).catch((reason) => reason)
      console.log(error.code, error.message)`
    const told = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
    expect(told).to.match(/^ERR_UNSUPPORTED .*npm install rolldown/)
  })

  function folder(): string {
    const made = mkdtempSync(join(tmpdir(), 'shoal-bundle-'))
    folders.push(made)
    return made
  }

  function copyOfFixtures(): string {
    const made = folder()
    cpSync(FIXTURES, made, { recursive: true })
    return made
  }

  function written(name: string, text: string, others: Readonly<Record<string, string>> = {}): string {
    const made = folder()
    for (const [file, content] of Object.entries({ ...others, [name]: text })) writeFileSync(join(made, file), content)
    return urlOf(made, name)
  }
})

const urlOf = (folder: string, file: string): string => pathToFileURL(join(folder, file)).href
