// The simulations of the tests with every change, with many more seeds: how many is read when they are loaded.
process.env.SIM_SEEDS ??= '20000'
process.env.SIM_MESH_SEEDS ??= '2000'
await import('../sim/control-plane.node.ts')
await import('../sim/whole-mesh.node.ts')
