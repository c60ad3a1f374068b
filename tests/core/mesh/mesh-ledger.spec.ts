import { expect } from 'chai'
import { MeshLedger } from '../../../core/mesh/index.ts'
import { resolveReplicaOptions, resolveResources } from '../../../core/model/index.ts'

const options = resolveReplicaOptions({})
const wishes = { options, code: { kind: 'module', url: 'https://a.test/m.js', exportName: 'default' }, initArgs: [] } as const

function ledgerOf(...ids: string[]) {
  const ledger = new MeshLedger()
  const node = (id: string, cpu = 4) => ({
    id,
    isSelf: false,
    machine: 'm',
    runtime: 'node' as const,
    labels: {},
    isTrusted: true,
    isolations: [options.isolation],
    takesReplicas: true,
    maxReplicas: undefined,
    offered: resolveResources({ cpu }),
  })
  for (const id of ids) ledger.setNode(node(id))
  const take = (backend: string, replicaId: string, cpu = 1): void => ledger.take(backend, replicaId, resolveResources({ cpu }), wishes)
  return { ledger, node, take }
}

describe('the ledger of a mesh', () => {
  it('counts what replicas ask for, node by node', () => {
    const { ledger, take } = ledgerOf('a', 'b')
    for (let i = 0; i < 8; i++) take('x', `x${i}`)
    expect([ledger.on('a').length, ledger.on('b').length]).to.deep.equal([4, 4])
    expect(() => take('x', 'x8'))
      .to.throw()
      .with.property('code', 'ERR_INFEASIBLE')
  })

  it('has room again for what was given back', () => {
    const { ledger, take } = ledgerOf('a')
    take('x', 'x1', 4)
    ledger.giveBack('x1')
    ledger.giveBack('never there')
    take('x', 'x2', 4)
    expect(ledger.on('a')).to.deep.equal([{ replicaId: 'x2', backend: 'x' }])
    expect(ledger.nodeOf('x1')).to.equal(undefined)
  })

  it('sees at once that a node offers more', () => {
    const { ledger, node, take } = ledgerOf('a')
    take('x', 'x1', 4)
    ledger.setNode(node('a', 5))
    take('x', 'x2')
    expect(ledger.nodeOf('x2')).to.equal('a')
  })

  it('places nothing on a node that is gone, and still tells what was there', () => {
    const { ledger, take } = ledgerOf('a', 'b')
    take('x', 'x1')
    take('x', 'x2')
    ledger.removeNode('a')
    take('x', 'x3')
    expect([ledger.nodeOf('x3'), ledger.on('a').length]).to.deep.equal(['b', 1])
  })

  it('moves a replica only when that evens out a difference of two', () => {
    const { ledger, node, take } = ledgerOf('a')
    take('x', 'x1')
    ledger.setNode(node('b'))
    expect(ledger.nextMove()).to.equal(undefined)
    ledger.removeNode('b')
    take('x', 'x2')
    ledger.setNode(node('b'))
    expect(ledger.nextMove()?.backend).to.equal('x')
  })

  it('counts a replica that is taken again once', () => {
    const { ledger, take } = ledgerOf('a')
    take('x', 'x1', 3)
    take('x', 'x1', 1)
    take('x', 'x2', 3)
    expect(ledger.on('a').length).to.equal(2)
  })
})
