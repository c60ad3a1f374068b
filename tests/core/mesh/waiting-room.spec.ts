import { expect } from 'chai'
import { LEAST_SILENCE_MS, type WaitingPlace, WaitingRoom } from '../../../core/mesh/index.ts'
import { FakeClock } from '../../support/fake-clock.ts'

describe('WaitingRoom', () => {
  it('has places for so many, of whatever address', () => {
    const room = new Room(4)
    expect(['a', 'a', 'a', 'a'].map((host) => room.come(host))).to.deep.equal([true, true, true, true])
    expect([room.gone, room.room.counts]).to.deep.equal([[], { waiting: 4, displaced: 0 }])
  })

  it('lets the longest silent give way once it had its time', async () => {
    const room = new Room(4)
    for (const host of ['a', 'b', 'c', 'd']) room.come(host)
    expect(room.come('e')).to.equal(false)
    await room.clock.advance(LEAST_SILENCE_MS)
    expect([room.come('e'), room.gone, room.come('f'), room.gone]).to.deep.equal([true, ['a 0', 'b 1'], true, ['a 0', 'b 1']])
    expect(room.room.counts).to.deep.equal({ waiting: 4, displaced: 2 })
  })

  it('lets one of an address with more than its share give way at once, the longest silent of it', () => {
    const room = new Room(8)
    for (const host of ['a', 'b', 'b', 'b', 'c', undefined, undefined, undefined]) room.come(host)
    for (const host of ['d', 'e', 'f', 'b']) room.come(host)
    expect(room.gone).to.deep.equal(['b 1', 'undefined 5'])
  })

  it('never lets one give way that has spoken', async () => {
    const room = new Room(2)
    room.come('a')
    room.come('a')
    for (const place of room.places) place.speak()
    await room.clock.advance(LEAST_SILENCE_MS)
    expect(room.come('b')).to.equal(false)
  })

  it('has a place again when one leaves, and only one however often it does', () => {
    const room = new Room(1)
    room.come('a')
    room.places[0]?.leave()
    room.places[0]?.leave()
    expect([room.come('b'), room.room.counts.waiting]).to.deep.equal([true, 1])
  })
})

/** A room in which who comes is numbered. */
class Room {
  readonly clock = new FakeClock()
  readonly room: WaitingRoom
  readonly gone: string[] = []
  readonly places: WaitingPlace[] = []
  #came = 0

  constructor(most: number) {
    this.room = new WaitingRoom(most, this.clock)
  }

  come(host: string | undefined): boolean {
    const name = `${host} ${this.#came++}`
    const place = this.room.enter(host, () => this.gone.push(name))
    if (place !== undefined) this.places.push(place)
    return place !== undefined
  }
}
