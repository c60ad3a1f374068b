import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect } from 'chai'
import { filesBelow, importsOf, ROOT, readText } from '../support/source-tree.ts'

const RECIPE_LIMIT_MS = 60_000
const AT_ONCE = 3
const MOST_LINES = 60

interface Ended {
  readonly code: number | null
  readonly output: string
}

const recipes = filesBelow('demo/recipes', '.ts')

describe('the recipes', function () {
  this.timeout(RECIPE_LIMIT_MS * 2)
  const runs = new Map<string, Promise<Ended>>()

  before(() => {
    const lines = Array.from({ length: AT_ONCE }, () => Promise.resolve())
    for (const [index, recipe] of recipes.entries()) {
      const run = (lines[index % AT_ONCE] as Promise<void>).then(() => runRecipe(recipe))
      runs.set(recipe, run)
      lines[index % AT_ONCE] = run.then(() => undefined)
    }
  })

  for (const recipe of recipes) {
    it(`run to their end, assertions held: ${recipe}`, async () => {
      const ended = await runs.get(recipe)
      expect(ended?.code, ended?.output).to.equal(0)
    })
  }

  it('are short, assert something, and take any free port', () => {
    const wrong = recipes.filter((recipe) => {
      const text = readText(recipe)
      return (
        text.trimEnd().split('\n').length > MOST_LINES ||
        !importsOf(text).includes('node:assert/strict') ||
        !/await client\.(?:close|shutdown)\(/.test(text) ||
        !/http: (?:false|\{[^}]*port: 0)/.test(text)
      )
    })
    expect(wrong).to.deep.equal([])
  })
})

function runRecipe(recipe: string): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(ROOT, recipe)], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk
      })
    }
    const limit = setTimeout(() => {
      output += `\nended after ${RECIPE_LIMIT_MS} ms`
      child.kill('SIGKILL')
    }, RECIPE_LIMIT_MS)
    child.once('close', (code) => {
      clearTimeout(limit)
      resolve({ code, output })
    })
  })
}
