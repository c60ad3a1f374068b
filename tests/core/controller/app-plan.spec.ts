import { expect } from 'chai'
import fc from 'fast-check'
import { type AppSpec, type Deployed, planApp } from '../../../core/controller/app-plan.ts'
import type { BackendSpec } from '../../../core/controller/backend-supervisor.ts'
import { type EndpointEntry, policyOf, resolveBackendConfig, resolveReplicaOptions } from '../../../core/model/index.ts'

const backendOf = (tag: string, version: string, numReplicas: number): BackendSpec => ({
  tag,
  code: { kind: 'module', url: `https://code.example/${version}.js`, exportName: 'default' },
  initArgs: [version],
  config: resolveBackendConfig({ numReplicas }),
  replicaOptions: resolveReplicaOptions({}),
})

const endpointOf = (name: string, backend: string): EndpointEntry => ({
  name,
  route: `/${name}`,
  methods: ['GET'],
  policy: policyOf(backend),
})

/** Does to plain maps what a controller does to its own. */
function applyTo(deployed: Deployed, app: AppSpec): Deployed {
  const backends = new Map(deployed.backends)
  const endpoints = new Map(deployed.endpoints)
  for (const action of planApp(app, deployed)) {
    if (action.kind === 'create-backend' || action.kind === 'replace-backend') backends.set(action.spec.tag, action.spec)
    if (action.kind === 'configure-backend')
      backends.set(action.tag, { ...(backends.get(action.tag) as BackendSpec), config: action.config })
    if (action.kind === 'put-endpoint') endpoints.set(action.entry.name, action.entry)
    if (action.kind === 'delete-endpoint') endpoints.delete(action.name)
    if (action.kind === 'delete-backend') backends.delete(action.tag)
  }
  return {
    backends,
    endpoints,
    ownedBackends: new Set(app.backends.map((spec) => spec.tag)),
    ownedEndpoints: new Set(app.endpoints.map((entry) => entry.name)),
  }
}

const EMPTY: Deployed = { backends: new Map(), endpoints: new Map(), ownedBackends: new Set(), ownedEndpoints: new Set() }

const tags = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1 })
const apps: fc.Arbitrary<AppSpec> = tags.chain((names) =>
  fc.record({
    backends: fc.tuple(
      ...names.map((tag) =>
        fc.tuple(fc.constantFrom('v1', 'v2'), fc.integer({ min: 1, max: 3 })).map(([version, count]) => backendOf(tag, version, count)),
      ),
    ),
    endpoints: fc
      .uniqueArray(fc.constantFrom('x', 'y', 'z'))
      .chain((routes) => fc.tuple(...routes.map((name) => fc.constantFrom(...names).map((backend) => endpointOf(name, backend))))),
  }),
)

describe('planApp', () => {
  it('has nothing left to do once its steps are done, from whatever was there before', () => {
    fc.assert(
      fc.property(apps, apps, (before, after) => {
        const deployed = applyTo(applyTo(EMPTY, before), after)
        expect(planApp(after, deployed)).to.deep.equal([])
        expect([...deployed.backends.keys()].sort()).to.deep.equal(after.backends.map((spec) => spec.tag).sort())
        expect([...deployed.endpoints.keys()].sort()).to.deep.equal(after.endpoints.map((entry) => entry.name).sort())
      }),
    )
  })

  it('changes the config in place when only the config differs', () => {
    const before = applyTo(EMPTY, { backends: [backendOf('a', 'v1', 1)], endpoints: [] })
    const actions = planApp({ backends: [backendOf('a', 'v1', 3)], endpoints: [] }, before)
    expect(actions.map((action) => action.kind)).to.deep.equal(['configure-backend'])
  })

  it('replaces the code when the code or its arguments differ', () => {
    const before = applyTo(EMPTY, { backends: [backendOf('a', 'v1', 1)], endpoints: [] })
    const actions = planApp({ backends: [backendOf('a', 'v2', 1)], endpoints: [] }, before)
    expect(actions.map((action) => action.kind)).to.deep.equal(['replace-backend'])
  })

  it('leaves alone what no deployment brought', () => {
    const byHand: Deployed = { ...EMPTY, backends: new Map([['mine', backendOf('mine', 'v1', 1)]]) }
    expect(planApp({ backends: [], endpoints: [] }, byHand)).to.deep.equal([])
  })

  it('frees a route before another endpoint takes it', () => {
    const before = applyTo(EMPTY, { backends: [backendOf('a', 'v1', 1)], endpoints: [endpointOf('x', 'a')] })
    const moved = { ...endpointOf('y', 'a'), route: '/x' }
    const actions = planApp({ backends: [backendOf('a', 'v1', 1)], endpoints: [moved] }, before)
    expect(actions.map((action) => action.kind)).to.deep.equal(['delete-endpoint', 'put-endpoint'])
  })
})
