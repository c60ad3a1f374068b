import { expect } from 'chai'
import { emptyRoutingTable, policyOf, publicEndpoint, withShadow } from '../../../core/model/index.ts'

describe('routing table', () => {
  it('begins empty at version 0, each one apart', () => {
    const table = emptyRoutingTable()
    expect([table.version, table.endpoints.size, table.backends.size]).to.deep.equal([0, 0, 0])
    expect(emptyRoutingTable().endpoints).not.to.equal(table.endpoints)
  })

  it('shows an endpoint with its traffic and shadows by tag', () => {
    const policy = withShadow(policyOf('v1'), { backend: 'v2', proportion: 0.5 })
    expect(publicEndpoint({ name: 'e', route: '/e', methods: ['GET'], policy })).to.deep.equal({
      route: '/e',
      methods: ['GET'],
      traffic: { v1: 1 },
      shadows: { v2: 0.5 },
    })
  })

  it('shows even a backend that is called __proto__', () => {
    const shown = publicEndpoint({ name: 'e', route: null, methods: ['GET'], policy: policyOf('__proto__') })
    expect(Object.entries(shown.traffic)).to.deep.equal([['__proto__', 1]])
  })
})
