import { expect } from 'chai'
import fc from 'fast-check'
import { ServeError } from '../../../core/base/index.ts'
import { betterNode, type PlacementNode, type PlacementRequest, place } from '../../../core/controller/index.ts'
import { type ResolvedResources, resolveReplicaOptions, resolveResources } from '../../../core/model/index.ts'

describe('place', () => {
  it('takes this node when all are alike', () => {
    expect(place(request(), [node('a'), node('z', { isSelf: true })])).to.equal('z')
  })

  it('takes the node with the fewest replicas of the backend', () => {
    const nodes = [node('a', { isSelf: true, replicas: 2, replicasOf: { b: 2 } }), node('z', { replicas: 1, replicasOf: { b: 1 } })]
    expect(place(request(), nodes)).to.equal('z')
  })

  it('takes the one with the fewest replicas per core among equals', () => {
    const nodes = [node('a', { replicas: 4, offered: resources({ cpu: 2 }) }), node('z', { replicas: 4, offered: resources({ cpu: 8 }) })]
    expect(place(request(), nodes)).to.equal('z')
  })

  for (const [what, asked, other] of [
    ['lacks resources', { resources: resources({ cpu: 5 }) }, {}],
    ['has given its resources away', { resources: resources({ cpu: 2 }) }, { taken: resources({ cpu: 3 }) }],
    ['lacks a custom resource', { resources: resources({ custom: { tpu: 1 } }) }, {}],
    ['lacks the isolation', { isolation: 'process' }, {}],
    ['lacks a label', { placement: placement({ labels: { zone: 'x' } }) }, {}],
    ['has another value of a label', { placement: placement({ labels: { zone: 'x' } }) }, { labels: { zone: 'y' } }],
    ['is of another runtime', { placement: placement({ runtime: 'browser' }) }, {}],
    ['is not trusted', {}, { isTrusted: false }],
    ['has as many replicas as it may', {}, { maxReplicas: 1, replicas: 1 }],
    ['leaves', {}, { takesReplicas: false }],
    ['is not the process where the code lives', { portability: 'process' }, {}],
    ['is not the machine where the files are', { portability: 'machine' }, {}],
  ] as const) {
    it(`refuses a node that ${what}, and throws ERR_INFEASIBLE when there is no other`, () => {
      const asking = request(asked as Partial<PlacementRequest>)
      expect(() => place(asking, [node('a', other as Partial<PlacementNode>)]))
        .to.throw(ServeError)
        .with.property('code', 'ERR_INFEASIBLE')
    })
  }

  it('takes a node of the same machine for code that is a file', () => {
    const nodes = [node('here', { isSelf: true, replicasOf: { b: 1 } }), node('far', { machine: 'other' }), node('near')]
    expect(place(request({ portability: 'machine' }), nodes)).to.equal('near')
  })

  it('begins its message with the words of the FAQ', () => {
    expect(() => place(request(), [])).to.throw(/^Cannot scale backend b/)
  })

  it('places on untrusted nodes what may run there', () => {
    expect(place(request({ placement: placement({ untrusted: true }) }), [node('tab', { isTrusted: false })])).to.equal('tab')
  })

  it('gives the same answer whatever the order of the nodes', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { minLength: 1, maxLength: 6 }), (counts) => {
        const nodes = counts.map((count, i) => node(`n${i}`, { replicas: count, replicasOf: { b: count } }))
        expect(place(request(), [...nodes].reverse())).to.equal(place(request(), nodes))
      }),
    )
  })

  it('never lets two nodes differ by more than one replica of a backend', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.nat(30), (nodeCount, replicaCount) => {
        const counts = new Map(Array.from({ length: nodeCount }, (_, i) => [`n${i}`, 0]))
        for (let i = 0; i < replicaCount; i++) {
          const chosen = place(
            request(),
            [...counts].map(([id, count]) => node(id, { replicas: count, replicasOf: { b: count } })),
          )
          counts.set(chosen, (counts.get(chosen) ?? 0) + 1)
        }
        expect(Math.max(...counts.values()) - Math.min(...counts.values())).to.be.at.most(1)
      }),
    )
  })
})

describe('betterNode', () => {
  it('moves a replica only where that evens out a difference of two', () => {
    const nodes = (a: number, b: number): PlacementNode[] => [
      node('a', { isSelf: true, replicas: a, replicasOf: { b: a } }),
      node('z', { replicas: b, replicasOf: { b } }),
    ]
    expect(betterNode(request(), 'a', nodes(2, 0))).to.equal('z')
    expect(betterNode(request(), 'a', nodes(2, 1))).to.equal(undefined)
    expect(betterNode(request(), 'z', nodes(2, 0))).to.equal(undefined)
  })

  it('leaves a replica where it is when no other node fits', () => {
    const nodes = [node('a', { replicas: 4, replicasOf: { b: 4 } }), node('z', { takesReplicas: false })]
    expect(betterNode(request(), 'a', nodes)).to.equal(undefined)
  })
})

function resources(given: object): ResolvedResources {
  return resolveResources(given)
}

function placement(given: object): PlacementRequest['placement'] {
  return resolveReplicaOptions({ placement: given }).placement
}

function request(given: Partial<PlacementRequest> = {}): PlacementRequest {
  return { backend: 'b', resources: resources({}), placement: placement({}), isolation: 'thread', portability: 'anywhere', ...given }
}

function node(id: string, given: Partial<PlacementNode> = {}): PlacementNode {
  return {
    id,
    isSelf: false,
    machine: 'm',
    runtime: 'node',
    labels: {},
    isTrusted: true,
    isolations: ['thread'],
    takesReplicas: true,
    maxReplicas: undefined,
    offered: resources({ cpu: 4 }),
    taken: resources({}),
    replicas: 0,
    replicasOf: {},
    ...given,
  }
}
