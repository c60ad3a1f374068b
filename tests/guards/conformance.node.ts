import { expect } from 'chai'
import { isThere, readText } from '../support/source-tree.ts'

/** How many statements there are of each kind: those of the FAQ, and the rows of the study of Ray Serve, by its letters. */
const COUNTS = Object.freeze({ 'FAQ ': 43, A: 13, B: 29, C: 15, D: 7, E: 15, F: 17, G: 13, H: 4 })

interface Row {
  readonly id: string
  readonly verdict: string
  readonly shown: string
}

const rows: readonly Row[] = readText('docs/conformance.md')
  .split('\n')
  .map((line) => /^\| (FAQ \d+|[A-H]\d+)\s*\|(.*)\|$/.exec(line))
  .filter((match) => match !== null)
  .map((match) => {
    const [, verdict = '', shown = ''] = (match[2] ?? '').split(' | ')
    return { id: match[1] ?? '', verdict: verdict.trim(), shown: shown.trim() }
  })

const tests = rows.flatMap(({ id, shown }) =>
  shown
    .split('<br>')
    .filter((one) => one !== '')
    .map((one) => ({ id, one, ...fileAndTitle(one) })),
)

describe('the conformance table', () => {
  it('has every statement once, in order', () => {
    const expected = Object.entries(COUNTS).flatMap(([kind, count]) => Array.from({ length: count }, (_, index) => `${kind}${index + 1}`))
    expect(rows.map(({ id }) => id)).to.deep.equal(expected)
  })

  it('says of each: same, differs and why, or not yet and the code it fails with', () => {
    const wrong = rows.filter(({ verdict }) => !/^(?:same\b|differs: .{10,}|not yet: .*`ERR_[A-Z_]+`)/.test(verdict))
    expect(wrong.map(({ id, verdict }) => `${id}: ${verdict}`)).to.deep.equal([])
  })

  it('names a test for each that is built', () => {
    const bare = rows.filter(({ verdict, shown }) => !verdict.startsWith('not yet') && shown === '')
    expect(bare.map(({ id }) => id)).to.deep.equal([])
  })

  it('names tests that are there', () => {
    const missing = tests.filter(({ file, title }) => !isThere(file) || !titlesOf(file).some((pattern) => pattern.test(title)))
    expect(missing.map(({ id, one }) => `${id}: ${one}`)).to.deep.equal([])
  })

  it('names recipes that are there', () => {
    const missing = tests.filter(({ title }) => title.includes('demo/') && !isThere(title.slice(title.indexOf('demo/'))))
    expect(missing.map(({ id, one }) => `${id}: ${one}`)).to.deep.equal([])
  })

  it('names tests in files that npm test runs', () => {
    const outside = tests.filter(({ file }) => !/^tests\/(?:compliance\/.+\.ts|.+\.(?:spec|node|browser)\.ts)$/.test(file))
    expect(outside.map(({ id, one }) => `${id}: ${one}`)).to.deep.equal([])
  })
})

function fileAndTitle(text: string): { readonly file: string; readonly title: string } {
  const parts = /^`([^`]+)` › (.+)$/.exec(text.trim())
  return { file: parts?.[1] ?? '', title: parts?.[2] ?? '' }
}

/** The titles of a test file, those of the skippable `when(condition, title, ...)` among them, as patterns: what a template puts in is any text, as is `...` in the table. */
function titlesOf(file: string): RegExp[] {
  const titles = [...readText(file).matchAll(/\b(?:it\(|when\([^'"`,]*,)\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`([^`]*)`)/g)]
  return titles.map(([, single, double, template]) => {
    const text = (single ?? double ?? template ?? '').replace(/\\(['"`])/g, '$1')
    const parts = template === undefined ? [text] : text.split(/\$\{(?:[^{}]|\{[^{}]*\})*\}/)
    return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.+')}$`)
  })
}
