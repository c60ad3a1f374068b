import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { filesBelow, ROOT, readText } from '../support/source-tree.ts'

/** Folders that exist on one machine only. Put together here, so that this file does not name one. */
const MACHINE_PATH = new RegExp(`(?<![\\w.:/-])/(?:${['work', 'root', 'home'].join('|')})/[\\w.]`)
const REGISTRY_HOST = new RegExp(
  [
    ['registry', 'npmjs'],
    ['registry', 'yarnpkg'],
    ['npm', 'pkg', 'github'],
    ['pypi', 'org'],
    ['files', 'pythonhosted'],
    ['proxy', 'golang'],
  ]
    .map((parts) => parts.join('\\.'))
    .join('|'),
)
const SECRET = /-----BEGIN [A-Z ]*PRIVATE KEY-----|\bgh[pousr]_\w{30,}|\bnpm_\w{30,}|\bAKIA[0-9A-Z]{16}\b/

const MAX_BYTES = 2_000_000
const texts = filesBelow('.').filter(isText)

describe('what is committed', () => {
  it('names no path of a machine', () => {
    expect(linesWith(MACHINE_PATH)).to.deep.equal([])
  })

  it('names no host of a registry', () => {
    expect(linesWith(REGISTRY_HOST)).to.deep.equal([])
  })

  it('holds no key or token', () => {
    expect(linesWith(SECRET)).to.deep.equal([])
  })

  it('has a lockfile without download addresses', () => {
    const { packages } = JSON.parse(readText('package-lock.json')) as { packages: Record<string, object> }
    expect(Object.keys(packages).filter((path) => 'resolved' in (packages[path] ?? {}))).to.deep.equal([])
  })
})

function linesWith(pattern: RegExp): string[] {
  return texts.flatMap((file) =>
    readText(file)
      .split('\n')
      .flatMap((line, i) => (pattern.test(line) ? [`${file}:${i + 1}: ${line.trim().slice(0, 120)}`] : [])),
  )
}

/** A file without zero bytes at its start, and small enough to have been written by hand or by npm. */
function isText(file: string): boolean {
  const bytes = readFileSync(join(ROOT, file))
  return bytes.length <= MAX_BYTES && !bytes.subarray(0, 8_000).includes(0)
}
