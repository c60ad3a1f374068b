import { expect } from 'chai'
import { isServeError, ServeError, TaskError } from '../../../core/base/index.ts'

describe('ServeError', () => {
  it('carries code, message, cause and what it was given', () => {
    const cause = new TypeError('below')
    const error = new ServeError('ERR_TIMEOUT', 'too late', {
      cause,
      outcome: 'started-unknown',
      retryAfterMs: 5,
      details: { waitedMs: 9 },
    })
    expect(error).to.include({ code: 'ERR_TIMEOUT', message: 'too late', cause, outcome: 'started-unknown', retryAfterMs: 5 })
    expect(error.details).to.deep.equal({ waitedMs: 9 })
  })

  it('has no property that was not given', () => {
    expect(Object.keys(new ServeError('ERR_TIMEOUT', 'too late'))).to.deep.equal(['code'])
    expect('cause' in new ServeError('ERR_TIMEOUT', 'too late')).to.equal(false)
  })

  it('is an Error with a stack, named ServeError', () => {
    const error = new ServeError('ERR_TIMEOUT', 'too late')
    expect(error).to.be.instanceOf(Error)
    expect(error.name).to.equal('ServeError')
    expect(error.stack).to.include('too late')
  })

  it('is a TypeError too where an argument has the wrong type', () => {
    const error = new ServeError('ERR_INVALID_ARG_TYPE', 'backend is a number')
    expect(error).to.be.instanceOf(TypeError).and.instanceOf(ServeError)
    expect(error.name).to.equal('TypeError')
  })

  it('is a RangeError too where a value is out of range', () => {
    const error = new ServeError('ERR_INVALID_TRAFFIC', 'weights sum to 2')
    expect(error).to.be.instanceOf(RangeError).and.instanceOf(ServeError)
  })

  it('takes an instance of another copy of the package for its own', () => {
    const foreign = { [Symbol.for('shoal.ServeError')]: true, code: 'ERR_TIMEOUT' }
    expect(foreign).to.be.instanceOf(ServeError)
    expect(foreign).not.to.be.instanceOf(TaskError)
  })

  it('takes no other error for its own', () => {
    expect(new TypeError('x')).not.to.be.instanceOf(ServeError)
    expect(null).not.to.be.instanceOf(ServeError)
  })
})

describe('TaskError', () => {
  it('has the code ERR_TASK and a completed outcome', () => {
    expect(new TaskError('boom')).to.include({ code: 'ERR_TASK', outcome: 'completed', name: 'TaskError' })
  })

  it('is a ServeError, which is no TaskError', () => {
    expect(new TaskError('boom')).to.be.instanceOf(ServeError).and.instanceOf(TaskError)
    expect(new ServeError('ERR_TIMEOUT', 'too late')).not.to.be.instanceOf(TaskError)
  })
})

describe('isServeError', () => {
  it('tells by code', () => {
    const error = new ServeError('ERR_TIMEOUT', 'too late')
    expect(isServeError(error)).to.equal(true)
    expect(isServeError(error, 'ERR_TIMEOUT')).to.equal(true)
    expect(isServeError(error, 'ERR_TASK')).to.equal(false)
  })

  it('is false for everything that is not ours', () => {
    for (const value of [undefined, null, 'ERR_TIMEOUT', { code: 'ERR_TIMEOUT' }, new Error('x')])
      expect(isServeError(value)).to.equal(false)
  })
})
