import { expect } from 'chai'
import { BAN_MOST_MS, BanList } from '../../../core/mesh/index.ts'
import { FakeClock } from '../../support/fake-clock.ts'

describe('BanList', () => {
  it('bans for 15 s at the third failure, and twice as long at each one after a ban, up to 15 min', async () => {
    const clock = new FakeClock()
    const list = new BanList(clock)
    const lengths: number[] = []
    for (let i = 0; i < 10; i++) {
      const banMs = list.noteFailure('p')
      expect(list.leftMs('p')).to.equal(banMs)
      lengths.push(banMs / 1_000)
      await clock.advance(banMs)
    }
    expect(lengths).to.deep.equal([0, 0, 15, 30, 60, 120, 240, 480, 900, 900])
  })

  it('counts no failure that began before the ban', async () => {
    const clock = new FakeClock()
    const list = new BanList(clock)
    for (let i = 0; i < 50; i++) list.noteFailure('p')
    expect(list.leftMs('p')).to.equal(15_000)
    await clock.advance(15_000)
    expect([list.leftMs('p'), list.noteFailure('p')]).to.deep.equal([0, 30_000])
  })

  it('knows one from another, and forgives', () => {
    const list = new BanList(new FakeClock())
    for (let i = 0; i < 3; i++) list.noteFailure('p')
    list.ban('q', BAN_MOST_MS)
    expect(['p', 'q', 'r'].map((name) => list.leftMs(name))).to.deep.equal([15_000, BAN_MOST_MS, 0])
    list.forgive('p')
    expect([list.leftMs('p'), list.noteFailure('p')]).to.deep.equal([0, 0])
  })

  it('forgets who was quiet for half an hour', async () => {
    const clock = new FakeClock()
    const list = new BanList(clock)
    for (let i = 0; i < 3; i++) list.noteFailure('p')
    await clock.advance(15_000 + 1_800_000)
    expect(list.noteFailure('p')).to.equal(0)
  })

  it('remembers a thousand, the latest', () => {
    const list = new BanList(new FakeClock())
    for (let i = 0; i < 3; i++) list.noteFailure('first')
    for (let i = 0; i < 999; i++) list.noteFailure(`other ${i}`)
    expect(list.leftMs('first')).to.equal(15_000)
    list.noteFailure('one more')
    expect(list.leftMs('first')).to.equal(0)
  })
})
