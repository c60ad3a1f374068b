import { expect } from 'chai'
import { MeshRun, runMeshSeeds } from '../support/mesh-run.ts'

const BLOCK = 25
const BLOCKS = 12

describe('a mesh under faults', function () {
  this.timeout(120_000)

  for (let block = 0; block < BLOCKS; block++) {
    const first = block * BLOCK + 1
    it(`gives each call one outcome, runs none twice, and is whole after the heal (seeds ${first} to ${first + BLOCK - 1})`, () =>
      runMeshSeeds(first, BLOCK))
  }

  it('tells the same story for the same seed', async () => {
    const [a, b] = [await MeshRun.of(7), await MeshRun.of(7)]
    expect(a.trace.length).to.be.above(20)
    expect(a.trace).to.deep.equal(b.trace)
  })
})
