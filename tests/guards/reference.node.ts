import { expect } from 'chai'
import { readInterface, referencePages } from '../../tools/reference.ts'
import { filesBelow, isThere, readText } from '../support/source-tree.ts'

describe('the reference', () => {
  for (const [path, text] of referencePages()) {
    it(`${path} says what the code says; npm run reference writes it anew`, () => {
      expect(isThere(path) ? readText(path) : '').to.equal(text)
    })
  }

  it('explains every option that it lists', () => {
    const options = referencePages().get('docs/reference/options.md') ?? ''
    const silent = options.split('\n').filter((line) => /^\| `\w+`\s*\|.*\|\s+\|\s+\|$/.test(line))
    expect(silent).to.deep.equal([])
  })

  it('reads a field over several lines, its default and its type', () => {
    const source = `/** All of it. */\nexport interface Sample {\n  /**\n   * Longest wait,\n   * in ms. @default 5\n   */\n  readonly waitMs?: number | undefined\n  readonly b: 'x' | 'y'\n}\n`
    expect(readInterface(source, 'Sample', 'here')).to.deep.equal({
      text: 'All of it.',
      fields: [
        { name: 'waitMs', type: 'number', isOptional: true, text: 'Longest wait, in ms.', byDefault: '5' },
        { name: 'b', type: "'x' | 'y'", isOptional: false, text: '', byDefault: undefined },
      ],
    })
  })

  it('refuses to leave out a field that it cannot read', () => {
    expect(() => readInterface('export interface Sample {\n  odd(): void\n  readonly a: 1\n}\n', 'Sample', 'here')).to.throw('1 read')
  })

  it('has no page beside those that are generated or named here', () => {
    const byHand: string[] = ['docs/reference/wire.md']
    expect(filesBelow('docs/reference').filter((path) => !referencePages().has(path) && !byHand.includes(path))).to.deep.equal([])
  })
})
