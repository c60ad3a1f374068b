import { expect } from 'chai'
import { asset, connect, isServeError, join, wait } from '../../browser/index.ts'

describe('the door for pages', () => {
  for (const [name, open, code] of [
    ['connect', connect, 'ERR_NO_INSTANCE'],
    ['join', () => join('a ticket'), 'ERR_UNSUPPORTED'],
  ] as const) {
    it(`rejects ${name}() with ${code}`, async () => {
      const error = await open().catch((reason: unknown) => reason)
      expect(isServeError(error, code)).to.equal(true)
    })
  }

  it('names an asset by its address, and reads it by fetch', async () => {
    const file = asset(new URL('data:application/octet-stream;base64,AQID'))
    expect([...(await file.bytes())]).to.deep.equal([1, 2, 3])
  })

  it('waits for what settles first', async () => {
    const slow = new Promise<string>(() => {})
    const fast = Promise.resolve('fast')
    expect(await wait([slow, fast], { numReturns: 1 })).to.deep.equal([[fast], [slow]])
  })
})
