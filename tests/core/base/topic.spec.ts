import { expect } from 'chai'
import { Topic } from '../../../core/base/index.ts'

describe('Topic', () => {
  it('tells its listeners in the order they subscribed', () => {
    const topic = new Topic<string>()
    const heard: string[] = []
    topic.on((event) => heard.push(`first ${event}`))
    topic.on((event) => heard.push(`second ${event}`))
    topic.emit('x')
    expect(heard).to.deep.equal(['first x', 'second x'])
  })

  it('tells a listener nothing after its stop, however often it stops', () => {
    const topic = new Topic<number>()
    const heard: number[] = []
    const stop = topic.on((event) => heard.push(event))
    topic.emit(1)
    stop()
    stop()
    topic.emit(2)
    expect(heard).to.deep.equal([1])
    expect(topic.size).to.equal(0)
  })

  it('tells the others when a listener throws', () => {
    const topic = new Topic<number>()
    const heard: number[] = []
    topic.on(() => {
      throw new TypeError('on purpose')
    })
    topic.on((event) => heard.push(event))
    topic.emit(1)
    expect(heard).to.deep.equal([1])
  })

  it('keeps a listener that is added during an event for the next one', () => {
    const topic = new Topic<number>()
    const heard: number[] = []
    topic.on((event) => {
      if (event === 1) topic.on((later) => heard.push(later))
    })
    topic.emit(1)
    topic.emit(2)
    expect(heard).to.deep.equal([2])
  })
})
