import { expect } from 'chai'
import { isServeError } from '../../../core/base/index.ts'
import { ResourceLedger } from '../../../core/controller/resource-ledger.ts'
import { resolveResources } from '../../../core/model/index.ts'

const ledgerOf = (offered: object): ResourceLedger => new ResourceLedger(resolveResources(offered))

function codeOf(work: () => void): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return isServeError(error) ? error.code : String(error)
  }
}

describe('ResourceLedger', () => {
  it('refuses what no longer fits, and says that the backend cannot be scaled', () => {
    const ledger = ledgerOf({ cpu: 2 })
    ledger.take('a', 'a#1', resolveResources({ cpu: 1.5 }))
    expect(() => ledger.take('a', 'a#2', resolveResources({ cpu: 1 }))).to.throw(/^Cannot scale backend a/)
    expect(codeOf(() => ledger.take('a', 'a#2', resolveResources({ cpu: 1 })))).to.equal('ERR_INFEASIBLE')
  })

  it('takes nothing when one of several amounts is short', () => {
    const ledger = ledgerOf({ cpu: 2, custom: { slots: 1 } })
    expect(codeOf(() => ledger.take('a', 'a#1', resolveResources({ cpu: 2, custom: { slots: 2 } })))).to.equal('ERR_INFEASIBLE')
    expect(codeOf(() => ledger.take('a', 'a#1', resolveResources({ cpu: 2 })))).to.equal(undefined)
  })

  it('has room again once a replica has given back what it had', () => {
    const ledger = ledgerOf({ cpu: 1 })
    ledger.take('a', 'a#1', resolveResources({ cpu: 1 }))
    ledger.giveBack('a#1')
    expect(codeOf(() => ledger.take('a', 'a#2', resolveResources({ cpu: 1 })))).to.equal(undefined)
  })

  it('accounts nothing for replicas that ask for nothing', () => {
    const ledger = ledgerOf({ cpu: 0 })
    for (let i = 0; i < 100; i++) ledger.take('a', `a#${i}`, resolveResources({}))
    expect(codeOf(() => ledger.take('a', 'a#x', resolveResources({ cpu: 0.1 })))).to.equal('ERR_INFEASIBLE')
  })

  it('lets fractions that sum to a whole fit', () => {
    const ledger = ledgerOf({ cpu: 1 })
    for (let i = 0; i < 10; i++) ledger.take('a', `a#${i}`, resolveResources({ cpu: 0.1 }))
    expect(codeOf(() => ledger.take('a', 'a#x', resolveResources({ cpu: 0.1 })))).to.equal('ERR_INFEASIBLE')
  })
})
