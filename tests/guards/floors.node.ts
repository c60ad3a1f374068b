import { posix } from 'node:path'
import { expect } from 'chai'
import { filesBelow, importsOf, readText, withoutComments } from '../support/source-tree.ts'

/** Rooms by floor, ground first. A room imports from itself and from lower floors, never sideways or up. A new room needs a floor here. */
const FLOORS = [
  ['core/base'],
  ['core/service', 'core/batch'],
  ['core/model'],
  ['core/request'],
  ['core/replica'],
  ['core/router'],
  ['core/controller'],
  ['core/gateway', 'core/mesh'],
  ['core/adapters'],
  ['core/api'],
  ['core'],
  ['node', 'browser'],
  ['demo'],
]
const FLOOR_OF = new Map(FLOORS.flatMap((rooms, floor) => rooms.map((room) => [room, floor] as const)))

/** Rooms whose own subfolders and files may be named from outside: each of them wraps one package or one platform. */
const OPEN_ROOMS = new Set(['core/adapters'])

/** Doors of the package that are not called index.ts: a program outside enters by them. */
const PACKAGE_DOORS = new Set(['node/replica.ts', 'browser/replica.ts', 'browser/service-worker.ts'])

/** Rooms that may import packages. */
const PACKAGE_ROOMS = new Set(['core/adapters', 'node', 'browser', 'demo'])

/** What reaches for time or chance past the seams. */
const IMPURE = /\bDate\.now\b|\bnew Date\(\s*\)|\bMath\.random\b|\bset(?:Timeout|Interval|Immediate)\b|\bperformance\.now\b/

const sources = ['core', 'node', 'browser', 'demo'].flatMap((folder) => filesBelow(folder, '.ts'))

function roomOf(file: string): string {
  const [house = '', room = ''] = file.split('/')
  return house === 'core' && room.includes('.') === false ? `core/${room}` : house
}

function floorOf(file: string): number {
  return FLOOR_OF.get(roomOf(file)) ?? Number.NaN
}

const isDoor = (file: string): boolean => posix.basename(file) === 'index.ts' || PACKAGE_DOORS.has(file)

describe('the floors of the house', () => {
  it('has a floor for the room of every source', () => {
    expect(sources.filter((file) => Number.isNaN(floorOf(file)))).to.deep.equal([])
  })

  it('lets a source import from its own room and from lower floors alone', () => {
    const wrong = relativeImports().filter(({ file, target }) => roomOf(file) !== roomOf(target) && !(floorOf(target) < floorOf(file)))
    expect(wrong.map(sentence)).to.deep.equal([])
  })

  it('lets a source enter another room by its index.ts alone', () => {
    const wrong = relativeImports().filter(
      ({ file, target }) => roomOf(file) !== roomOf(target) && !OPEN_ROOMS.has(roomOf(target)) && !isDoor(target),
    )
    expect(wrong.map(sentence)).to.deep.equal([])
  })

  it('keeps packages and node: modules to the rooms that may have them', () => {
    const wrong = sources
      .filter((file) => !PACKAGE_ROOMS.has(roomOf(file)))
      .flatMap((file) => importsOf(readText(file)).map((specifier) => ({ file, specifier })))
      .filter(({ specifier }) => !specifier.startsWith('.'))
    expect(wrong.map(({ file, specifier }) => `${file} imports ${specifier}`)).to.deep.equal([])
  })

  it('keeps node: modules out of core, adapters included, and out of browser', () => {
    const wrong = sources
      .filter((file) => file.startsWith('core/') || file.startsWith('browser/'))
      .filter((file) => importsOf(readText(file)).some((specifier) => specifier.startsWith('node:')))
    expect(wrong).to.deep.equal([])
  })

  it('takes time and chance from the seams in core', () => {
    const wrong = sources.filter((file) => file.startsWith('core/') && IMPURE.test(withoutTexts(withoutComments(readText(file)))))
    expect(wrong).to.deep.equal([])
  })
})

describe('the reading of imports by the guards', () => {
  it('sees every form of import, and none in a comment', () => {
    const source = [
      `import { a } from './a.ts'`,
      `import type { b } from './b.ts'`,
      `export {\n  c,\n  type d,\n} from './c.ts'`,
      `import './d.ts'`,
      `const e = await import('./e.ts')`,
      `// import { f } from './f.ts'`,
      `/* import { g } from './g.ts' */`,
    ].join('\n')
    expect(importsOf(source)).to.deep.equal(['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts'])
  })
})

function relativeImports(): { file: string; specifier: string; target: string }[] {
  return sources.flatMap((file) =>
    importsOf(readText(file))
      .filter((specifier) => specifier.startsWith('.'))
      .map((specifier) => ({ file, specifier, target: posix.join(posix.dirname(file), specifier) })),
  )
}

/** A text may name a timer: a message, a list of global names. */
function withoutTexts(source: string): string {
  return source.replace(/'(?:[^'\\\n]|\\.)*'|`(?:[^`\\$]|\\.)*`/g, "''")
}

function sentence({ file, specifier }: { file: string; specifier: string }): string {
  return `${file} imports ${specifier}`
}
