import { expect } from 'chai'
import * as fc from 'fast-check'
import { nearestName } from '../../../core/base/index.ts'

describe('nearestName', () => {
  it('finds the name behind a typo', () => {
    expect(nearestName('numReplica', ['maxBatchSize', 'numReplicas', 'userConfig'])).to.equal('numReplicas')
  })

  it('does not mind the case', () => {
    expect(nearestName('NUMREPLICAS', ['numReplicas'])).to.equal('numReplicas')
  })

  it('finds nothing where everything is farther than a third of the name', () => {
    expect(nearestName('colour', ['maxBatchSize', 'numReplicas'])).to.equal(undefined)
  })

  it('forgives two letters in a short name, no more', () => {
    expect(nearestName('ab', ['cd'])).to.equal('cd')
    expect(nearestName('ab', ['cde'])).to.equal(undefined)
  })

  it('takes the first of two that are equally near', () => {
    expect(nearestName('cat', ['bat', 'rat'])).to.equal('bat')
  })

  it('finds a name that is there, whatever stands beside it', () => {
    const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1 })
    fc.assert(fc.property(names, (all) => all.every((name) => nearestName(name, all) === name)))
  })
})
