import { expect } from 'chai'
import { isServeError } from '../../../core/base/index.ts'
import { defineApp } from '../../../core/model/index.ts'

const target = (): number => 1
const backends = { v1: { target }, v2: { target } }

function codeOf(description: unknown): string {
  try {
    defineApp(description as Parameters<typeof defineApp>[0])
  } catch (error) {
    if (isServeError(error)) return error.code
    throw error
  }
  return 'none'
}

describe('an app', () => {
  it('is filled up', () => {
    expect(defineApp({ backends: { v1: { target } }, endpoints: { e: { backend: 'v1', route: '/e' } } })).to.deep.equal({
      backends: { v1: { target, initArgs: [], config: {}, replicaOptions: {} } },
      endpoints: { e: { traffic: { v1: 1 }, shadows: {}, route: '/e', methods: ['GET'] } },
    })
  })

  it('may have backends only', () => {
    expect(defineApp({ backends }).endpoints).to.deep.equal({})
  })

  it('is taken again by defineApp and comes out the same', () => {
    const app = defineApp({
      backends: { v1: { target, initArgs: [3], config: { numReplicas: 2 }, replicaOptions: { isolation: 'inline' } }, v2: { target } },
      endpoints: { e: { traffic: { v1: 0.9, v2: 0.1 }, shadows: { v2: 0.5 }, methods: ['post'], callMethods: ['a'] } },
    })
    expect(defineApp(app)).to.deep.equal(app)
  })

  it('is frozen to the bottom', () => {
    const app = defineApp({ backends, endpoints: { e: { backend: 'v1' } } })
    const { v1 } = app.backends
    const { e } = app.endpoints
    for (const part of [app, app.backends, v1, v1?.initArgs, v1?.config, app.endpoints, e, e?.traffic, e?.shadows, e?.methods]) {
      expect(Object.isFrozen(part)).to.equal(true)
    }
  })

  it('leaves out shadows of 0', () => {
    expect(defineApp({ backends, endpoints: { e: { backend: 'v1', shadows: { v2: 0 } } } }).endpoints.e?.shadows).to.deep.equal({})
  })

  for (const [name, code, description] of [
    ['nothing', 'ERR_INVALID_ARG_TYPE', undefined],
    ['a list of backends', 'ERR_INVALID_ARG_TYPE', { backends: [] }],
    ['no backends', 'ERR_INVALID_ARG_TYPE', {}],
    ['an unknown key', 'ERR_INVALID_CONFIG', { backends, endpoint: {} }],
    ['an empty tag', 'ERR_INVALID_ARG_TYPE', { backends: { '': { target } } }],
    ['a backend that is a bare function', 'ERR_INVALID_ARG_TYPE', { backends: { v1: target } }],
    ['a backend without a target', 'ERR_INVALID_ARG_TYPE', { backends: { v1: {} } }],
    ['initArgs that are no array', 'ERR_INVALID_ARG_TYPE', { backends: { v1: { target, initArgs: 3 } } }],
    ['an invalid config', 'ERR_INVALID_CONFIG', { backends: { v1: { target, config: { numReplicas: 0 } } } }],
    ['invalid replica options', 'ERR_INVALID_CONFIG', { backends: { v1: { target, replicaOptions: { isolation: 'x' } } } }],
    ['an endpoint without backend and traffic', 'ERR_INVALID_ARG_TYPE', { backends, endpoints: { e: {} } }],
    ['an endpoint with both', 'ERR_INVALID_CONFIG', { backends, endpoints: { e: { backend: 'v1', traffic: { v1: 1 } } } }],
    ['an unknown backend', 'ERR_BACKEND_NOT_FOUND', { backends, endpoints: { e: { backend: 'v3' } } }],
    ['an unknown shadow', 'ERR_BACKEND_NOT_FOUND', { backends, endpoints: { e: { backend: 'v1', shadows: { v3: 0.1 } } } }],
    ['an unknown shadow of 0', 'ERR_BACKEND_NOT_FOUND', { backends, endpoints: { e: { backend: 'v1', shadows: { v3: 0 } } } }],
    ['weights that do not sum to 1', 'ERR_INVALID_TRAFFIC', { backends, endpoints: { e: { traffic: { v1: 0.5 } } } }],
    ['an invalid route', 'ERR_INVALID_ROUTE', { backends, endpoints: { e: { backend: 'v1', route: 'e' } } }],
    [
      'a route twice',
      'ERR_ROUTE_EXISTS',
      { backends, endpoints: { a: { backend: 'v1', route: '/x' }, b: { backend: 'v1', route: '/x' } } },
    ],
  ] as const) {
    it(`with ${name} is refused with ${code}`, () => {
      expect(codeOf(description)).to.equal(code)
    })
  }
})
