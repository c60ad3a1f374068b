import { expect } from 'chai'
import { TurnEnd } from '../../node/turn-end.ts'

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('TurnEnd', () => {
  it('runs what is ready in its own turn at the end of that turn, in order', async () => {
    const turnEnd = new TurnEnd()
    const seen: string[] = []
    const first = turnEnd.here()
    const second = turnEnd.here()
    second(() => seen.push('second'))
    await Promise.resolve()
    first(() => seen.push('first'))
    expect(seen).to.deep.equal([])
    await nextTurn()
    expect(seen).to.deep.equal(['second', 'first'])
  })

  it('does not hold up what is ready in a later turn', async () => {
    const turnEnd = new TurnEnd()
    const release = turnEnd.here()
    await nextTurn()
    turnEnd.here()
    let ran = false
    release(() => {
      ran = true
    })
    expect(ran).to.equal(true)
  })

  it('runs at once what waits when it is told to, and then a new turn', async () => {
    const turnEnd = new TurnEnd()
    const seen: string[] = []
    turnEnd.here()(() => seen.push('before'))
    turnEnd.run()
    expect(seen).to.deep.equal(['before'])
    turnEnd.here()(() => seen.push('after'))
    expect(seen).to.deep.equal(['before'])
    await nextTurn()
    expect(seen).to.deep.equal(['before', 'after'])
  })
})
