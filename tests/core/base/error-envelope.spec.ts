import { expect } from 'chai'
import * as fc from 'fast-check'
import { fromErrorEnvelope, ServeError, TaskError, toErrorEnvelope } from '../../../core/base/index.ts'

/** There, through the border, and back. */
const travelled = (error: unknown): Error => fromErrorEnvelope(structuredClone(toErrorEnvelope(error)))

describe('an error that travels', () => {
  it('keeps code, message, outcome, retry and details of a ServeError', () => {
    const error = new ServeError('ERR_BACK_PRESSURE', 'queue is full', {
      outcome: 'not-started',
      retryAfterMs: 40,
      details: { waiting: 9 },
    })
    const arrived = travelled(error)
    expect(arrived).to.be.instanceOf(ServeError)
    expect(arrived).to.include({ code: 'ERR_BACK_PRESSURE', message: 'queue is full', outcome: 'not-started', retryAfterMs: 40 })
    expect((arrived as ServeError).details).to.deep.equal({ waiting: 9 })
  })

  it('stays a TaskError, with a cause of the original name, message and data', () => {
    const cause = Object.assign(new RangeError('3 is too many'), { limit: 2 })
    const arrived = travelled(new TaskError('RangeError: 3 is too many', { cause }))
    expect(arrived).to.be.instanceOf(TaskError)
    expect(arrived.cause).to.be.instanceOf(Error).and.include({ name: 'RangeError', message: '3 is too many', limit: 2 })
  })

  it('keeps the stack of the place it was thrown at', () => {
    const error = new TypeError('below')
    expect(travelled(error).stack).to.equal(error.stack)
  })

  it('stays an argument error', () => {
    expect(travelled(new ServeError('ERR_INVALID_ARG_TYPE', 'no string'))).to.be.instanceOf(TypeError)
  })

  it('is named after its class where it does not name itself', () => {
    class DigitsError extends Error {}
    expect(travelled(new DigitsError('x')).name).to.equal('DigitsError')
  })

  it('keeps the outer nine of a long chain of causes', () => {
    let error = new Error('0')
    for (let i = 1; i <= 20; i++) error = new Error(String(i), { cause: error })
    const messages: string[] = []
    for (let at: unknown = travelled(error); at instanceof Error; at = at.cause) messages.push(at.message)
    expect(messages).to.deep.equal(['20', '19', '18', '17', '16', '15', '14', '13', '12'])
  })

  it('ends a chain of causes that bites its tail', () => {
    const error = new Error('round')
    error.cause = error
    expect(travelled(error).message).to.equal('round')
  })

  it('leaves behind what cannot be cloned, and getters that throw', () => {
    const error = Object.assign(new Error('x'), { socket: () => {}, port: 80 })
    Object.defineProperty(error, 'trap', {
      enumerable: true,
      get() {
        throw new Error('on purpose')
      },
    })
    expect(toErrorEnvelope(error).data).to.deep.equal({ port: 80 })
  })

  it('is an Error again when a code is unknown here', () => {
    const envelope = { ...toErrorEnvelope(new ServeError('ERR_TIMEOUT', 'too late')), code: 'ERR_OF_TOMORROW' as 'ERR_TIMEOUT' }
    const arrived = fromErrorEnvelope(envelope)
    expect(arrived).not.to.be.instanceOf(ServeError)
    expect(arrived.message).to.equal('too late')
  })

  it('describes whatever was thrown', () => {
    fc.assert(fc.property(fc.anything(), (thrown) => travelled(thrown) instanceof Error))
  })
})
