import { expect } from 'chai'
import { runMesh } from './whole-mesh.ts'

/** Runs of this many seeds: fewer than of the control plane alone, as each is the whole mesh. */
const SEEDS = Number(process.env.SIM_MESH_SEEDS ?? 100)
const FRESH_FROM = Number(process.env.SIM_FROM ?? 1_000_000 + Math.floor(Math.random() * 1_000_000_000))

/** Seeds that have caught a fault once, with what was wrong. */
const NAMED: readonly (readonly [seed: number, what: string])[] = []

describe('the mesh under simulated faults', function () {
  this.timeout(Math.max(600_000, SEEDS * 5_000))

  it('does the same for the same seed, to the last call', async () => {
    const [one, again, other] = [await runMesh(7), await runMesh(7), await runMesh(8)]
    expect(again).to.deep.equal(one)
    expect(other.hash).not.to.equal(one.hash)
  })

  for (const [seed, what] of NAMED) {
    it(`keeps its promises with seed ${seed}: ${what}`, async () => {
      await runMesh(seed)
    })
  }

  it(`settles every call once, runs none twice unasked, and is whole after the heal, with ${SEEDS} seeds`, async () => {
    const fixed = Math.ceil((SEEDS * 2) / 3)
    const totals = { events: 0, calls: 0, answered: 0, edits: 0 }
    const codes: Record<string, number> = {}
    const failures: string[] = []
    let longestMs = 0
    for (let i = 0; i < SEEDS; i++) {
      const seed = i < fixed ? i + 1 : FRESH_FROM + i
      try {
        const result = await runMesh(seed)
        for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += result[key]
        for (const [code, count] of Object.entries(result.codes)) codes[code] = (codes[code] ?? 0) + count
        longestMs = Math.max(longestMs, result.healedMs)
        if (i % 20 === 0 && (await runMesh(seed)).hash !== result.hash) failures.push(`seed ${seed}: another trace the second time`)
      } catch (error) {
        failures.push((error as Error).message)
      }
    }
    console.log(
      `      seeds 1–${fixed} and from ${FRESH_FROM + fixed}; whole again after at most ${Math.round(longestMs)} ms`,
      totals,
      codes,
    )
    expect(failures).to.deep.equal([])
    // Faults that no call ever felt prove nothing.
    expect(Object.keys(codes).length).to.be.greaterThan(0)
  })
})
