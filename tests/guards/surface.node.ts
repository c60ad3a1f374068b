import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { isThere, ROOT, readText, withoutComments } from '../support/source-tree.ts'

/** The doors of the package and the source behind each. */
const DOORS: Readonly<Record<string, string>> = {
  'shoal (node)': 'node/index.ts',
  'shoal (browser)': 'browser/index.ts',
  'shoal/core': 'core/index.ts',
  'shoal/replica (node)': 'node/replica.ts',
  'shoal/replica (browser)': 'browser/replica.ts',
  'shoal/service-worker': 'browser/service-worker.ts',
}

const SNAPSHOT = 'tests/guards/surface.json'
const snapshot: Record<string, string[]> = isThere(SNAPSHOT) ? JSON.parse(readText(SNAPSHOT)) : {}

describe('the public surface', () => {
  for (const [door, file] of Object.entries(DOORS)) {
    it(`has exactly the reviewed names at ${door}`, function () {
      if (!isThere(file)) {
        console.log(`  skipped: ${door}, as ${file} is not written yet`)
        this.skip()
      }
      const names = exportedNames(readText(file))
      if (process.env.UPDATE_SURFACE === '1') snapshot[door] = names
      expect(names, `the names of ${door} changed: if that is meant, run UPDATE_SURFACE=1 npm test -- --only node`).to.deep.equal(
        snapshot[door],
      )
    })
  }

  it('has the same names at both doors of shoal', function () {
    if (!isThere('node/index.ts') || !isThere('browser/index.ts')) this.skip()
    expect(exportedNames(readText('browser/index.ts'))).to.deep.equal(exportedNames(readText('node/index.ts')))
  })

  it('is named one by one, without export * or a default', () => {
    const wrong = Object.values(DOORS).filter((file) => isThere(file) && /\bexport\s+(\*|default\b)/.test(withoutComments(readText(file))))
    expect(wrong).to.deep.equal([])
  })

  after(() => {
    if (process.env.UPDATE_SURFACE === '1') writeFileSync(join(ROOT, SNAPSHOT), `${JSON.stringify(snapshot, null, 2)}\n`)
  })
})

/** Names a source exports, types marked, in alphabetical order. */
function exportedNames(source: string): string[] {
  const text = withoutComments(source)
  const lists = [...text.matchAll(/\bexport\s+(type\s+)?\{([^}]*)\}/g)].flatMap(([, type, list = '']) =>
    list
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
      .map((item) => {
        const name = item.split(/\s+as\s+/).at(-1) ?? item
        return type !== undefined || item.startsWith('type ') ? `type ${name.replace(/^type\s+/, '')}` : name
      }),
  )
  const values = [...text.matchAll(/\bexport\s+(?:declare\s+)?(?:async\s+)?(?:function\*?|abstract\s+class|class|const|let)\s+([\w$]+)/g)]
  const types = [...text.matchAll(/\bexport\s+(?:declare\s+)?(?:interface|type)\s+([\w$]+)/g)]
  return [...lists, ...values.map(([, name = '']) => name), ...types.map(([, name = '']) => `type ${name}`)].sort()
}
