import { expect } from 'chai'
import { ERROR_TABLE } from '../../../core/base/index.ts'

describe('ERROR_TABLE', () => {
  for (const [code, entry] of Object.entries(ERROR_TABLE)) {
    it(`gives ${code} a sentence, an error status and a name in capitals`, () => {
      expect(code).to.match(/^ERR_[A-Z]+(_[A-Z]+)*$/)
      expect(entry.sentence).to.match(/^[A-Z].*\.$/)
      expect(entry.httpStatus).to.be.within(400, 599)
    })
  }

  it('calls no error of the caller retryable, but a slow request', () => {
    const retryable = Object.entries(ERROR_TABLE).filter(([, entry]) => entry.retryable && entry.httpStatus < 500)
    expect(retryable.map(([code]) => code)).to.deep.equal(['ERR_REQUEST_TIMEOUT'])
  })

  it('cannot be changed', () => {
    expect(Object.isFrozen(ERROR_TABLE)).to.equal(true)
    expect(Object.values(ERROR_TABLE).every(Object.isFrozen)).to.equal(true)
  })
})
