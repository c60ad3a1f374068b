import { expect } from 'chai'
import fc from 'fast-check'
import { type Call, CallQueue, CallState } from '../../../core/service/index.ts'
import { makeCall } from '../../support/make-call.ts'

const named = (data: string, sizeBytes = 0): Call => Object.assign(makeCall({ data }).call, { sizeBytes })
const drain = (queue: CallQueue): unknown[] => {
  const data: unknown[] = []
  for (let call = queue.take(); call !== undefined; call = queue.take()) data.push(call.data)
  return data
}

describe('CallQueue', () => {
  it('gives calls out in the order they came', () => {
    const queue = new CallQueue()
    for (const name of ['a', 'b', 'c']) queue.add(named(name))
    expect(drain(queue)).to.deep.equal(['a', 'b', 'c'])
  })

  it('gives undefined when empty', () => expect(new CallQueue().take()).to.equal(undefined))

  it('puts a returned call in front of those that wait', () => {
    const queue = new CallQueue()
    queue.add(named('b'))
    queue.addFirst(named('a'))
    expect(drain(queue)).to.deep.equal(['a', 'b'])
  })

  for (const [place, index] of [
    ['front', 0],
    ['middle', 1],
    ['back', 2],
  ] as const) {
    it(`forgets a call taken off the ${place}`, () => {
      const queue = new CallQueue()
      const calls = ['a', 'b', 'c'].map((name) => named(name))
      for (const call of calls) queue.add(call)
      queue.remove(calls[index]!)
      expect(drain(queue)).to.deep.equal(['a', 'b', 'c'].filter((_, i) => i !== index))
    })
  }

  it('says of a call that it is queued only while it is', () => {
    const queue = new CallQueue()
    const call = named('a')
    queue.add(call)
    expect(call.state).to.equal(CallState.QUEUED)
    queue.take()
    expect(call.state).to.equal(CallState.NEW)
  })

  it('keeps order, size and bytes under any mix of adding, taking and removing', () => {
    const step = fc.record({ what: fc.constantFrom('add', 'addFirst', 'take', 'remove'), index: fc.nat(9), sizeBytes: fc.nat(100) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new CallQueue()
        const model: Call[] = []
        for (const { what, index, sizeBytes } of steps) {
          const call = named(String(model.length), sizeBytes)
          if (what === 'add') {
            queue.add(call)
            model.push(call)
          } else if (what === 'addFirst') {
            queue.addFirst(call)
            model.unshift(call)
          } else if (what === 'take') {
            expect(queue.take()).to.equal(model.shift())
          } else if (model.length > 0) {
            const [removed] = model.splice(index % model.length, 1)
            queue.remove(removed!)
          }
          expect(queue.size).to.equal(model.length)
          expect(queue.sizeBytes).to.equal(model.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
        }
        for (const call of model) expect(queue.take()).to.equal(call)
      }),
    )
  })
})
