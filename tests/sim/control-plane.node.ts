import { expect } from 'chai'
import { runSeed } from './control-plane.ts'

/** Runs of this many seeds: 300 with every change, 20,000 in the long set. A seed that fails gets a row below. */
const SEEDS = Number(process.env.SIM_SEEDS ?? 300)
/** A third of them are new ones each time. */
const FRESH_FROM = Number(process.env.SIM_FROM ?? 1_000_000 + Math.floor(Math.random() * 1_000_000_000))

/** Seeds that have caught a fault once, with what was wrong. */
const NAMED: readonly (readonly [seed: number, what: string])[] = [[39, 'a term that was not durable before it was used came twice']]

describe('the control plane under simulated faults', function () {
  this.timeout(Math.max(300_000, SEEDS * 1_000))

  it('does the same for the same seed, to the last event', async () => {
    const [one, again, other] = [await runSeed(1), await runSeed(1), await runSeed(2)]
    expect(again).to.deep.equal(one)
    expect(other.hash).not.to.equal(one.hash)
  })

  for (const [seed, what] of NAMED) {
    it(`keeps its promises with seed ${seed}: ${what}`, async () => {
      await runSeed(seed)
    })
  }

  it(`keeps its promises with ${SEEDS} seeds, and is whole 10 s after the heal`, async () => {
    const fixed = Math.ceil((SEEDS * 2) / 3)
    const totals = { events: 0, acked: 0, refused: 0, calls: 0, answered: 0, conflicts: 0, terms: 0 }
    const failures: string[] = []
    let longestMs = 0
    for (let i = 0; i < SEEDS; i++) {
      const seed = i < fixed ? i + 1 : FRESH_FROM + i
      try {
        const result = await runSeed(seed)
        for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += result[key]
        longestMs = Math.max(longestMs, result.healedMs)
        if (i % 20 === 0 && (await runSeed(seed)).hash !== result.hash) failures.push(`seed ${seed}: another trace the second time`)
      } catch (error) {
        failures.push((error as Error).message)
      }
    }
    console.log(`      seeds 1–${fixed} and from ${FRESH_FROM + fixed}; whole again after at most ${Math.round(longestMs)} ms`, totals)
    expect(failures).to.deep.equal([])
    // A mix that never comes to a conflict, a second term or a refusal proves nothing.
    expect(Math.min(totals.conflicts, totals.terms - SEEDS, totals.answered)).to.be.greaterThan(0)
  })
})
