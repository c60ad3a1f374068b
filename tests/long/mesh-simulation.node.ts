import { runMeshSeeds } from '../support/mesh-run.ts'

const SEEDS = Number(process.env.MESH_SEEDS ?? 20_000)

describe('a mesh under faults, many seeds', function () {
  this.timeout(SEEDS * 1_000)

  it(`gives each call one outcome, runs none twice, and is whole after the heal (${SEEDS} seeds)`, () => runMeshSeeds(1_001, SEEDS))
})
