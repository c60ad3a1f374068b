import { expect } from 'chai'
import { runLedMesh } from './led-mesh.ts'

/** Runs of this many seeds; a seed that fails gets a row below. */
const SEEDS = Number(process.env.SIM_LED_SEEDS ?? 60)
const FRESH_FROM = Number(process.env.SIM_FROM ?? 1_000_000 + Math.floor(Math.random() * 1_000_000_000))

/** Seeds that have caught a fault once, with what was wrong. */
const NAMED: readonly (readonly [seed: number, what: string])[] = [
  [473, 'the node that leads and another peer each held on to another link between them, and calls were lost with the one'],
]

describe('a mesh whose controllers die', function () {
  this.timeout(Math.max(600_000, SEEDS * 10_000))

  it('does the same for the same seed, to the last call', async () => {
    const [one, again, other] = [await runLedMesh(3), await runLedMesh(3), await runLedMesh(4)]
    expect(again).to.deep.equal(one)
    expect(other.hash).not.to.equal(one.hash)
  })

  for (const [seed, what] of NAMED) {
    it(`keeps its promises with seed ${seed}: ${what}`, async () => {
      await runLedMesh(seed)
    })
  }

  it(`keeps every acknowledged edit, takes no table back, and has one leader after the heal, with ${SEEDS} seeds`, async () => {
    const fixed = Math.ceil((SEEDS * 2) / 3)
    const totals = { events: 0, calls: 0, answered: 0, acked: 0, terms: 0 }
    const failures: string[] = []
    let longestMs = 0
    for (let i = 0; i < SEEDS; i++) {
      const seed = i < fixed ? i + 1 : FRESH_FROM + i
      try {
        const result = await runLedMesh(seed)
        for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += result[key]
        longestMs = Math.max(longestMs, result.inStepMs)
        if (i % 20 === 0 && (await runLedMesh(seed)).hash !== result.hash) failures.push(`seed ${seed}: another trace the second time`)
      } catch (error) {
        failures.push((error as Error).message)
      }
    }
    console.log(`      seeds 1–${fixed} and from ${FRESH_FROM + fixed}; in step again after at most ${Math.round(longestMs)} ms`, totals)
    expect(failures).to.deep.equal([])
    // Controllers that never change prove nothing.
    expect(totals.terms).to.be.greaterThan(2 * SEEDS)
  })
})
