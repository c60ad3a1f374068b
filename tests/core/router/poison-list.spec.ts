import { expect } from 'chai'
import { roughSizeBytes } from '../../../core/request/index.ts'
import { PoisonList } from '../../../core/router/poison-list.ts'
import type { Call } from '../../../core/service/index.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { makeCall } from '../../support/make-call.ts'

/** A call as a queue has measured it. */
function sized(data: unknown, method = ''): Call {
  const { call } = makeCall({ data, method })
  call.sizeBytes = roughSizeBytes(data)
  return call
}

function listed(times: number, data: unknown = 'bad') {
  const clock = new FakeClock()
  const list = new PoisonList(clock)
  for (let i = 0; i < times; i++) list.blame(sized(data))
  return { clock, list }
}

describe('PoisonList', () => {
  it('refuses nothing while nothing was blamed', () => {
    expect(listed(0).list.isActive).to.equal(false)
  })

  it('lets a payload pass that ended one replica', () => {
    expect(listed(1).list.refusedForMs(sized('bad'))).to.equal(0)
  })

  it('refuses a payload that ended two replicas, for 60 s', async () => {
    const { clock, list } = listed(2)
    expect(list.refusedForMs(sized('bad'))).to.equal(60_000)
    await clock.advance(59_999)
    expect(list.refusedForMs(sized('bad'))).to.equal(1)
    await clock.advance(1)
    expect(list.refusedForMs(sized('bad'))).to.equal(0)
  })

  it('lets others flow, of the same size too', () => {
    const { list } = listed(2)
    expect(list.refusedForMs(sized('dab'))).to.equal(0)
    expect(list.refusedForMs(sized('good'))).to.equal(0)
  })

  it('lets the same payload pass to another method', () => {
    expect(listed(2).list.refusedForMs(sized('bad', 'other'))).to.equal(0)
  })

  it('forgets a blame after 60 s', async () => {
    const { clock, list } = listed(1)
    await clock.advance(60_000)
    list.blame(sized('bad'))
    expect(list.refusedForMs(sized('bad'))).to.equal(0)
  })

  it('is idle again when all is forgotten', async () => {
    const { clock, list } = listed(2)
    await clock.advance(120_000)
    list.refusedForMs(sized('bad'))
    expect(list.isActive).to.equal(false)
  })

  for (const [what, make] of [
    ['bytes', () => new Uint8Array([1, 2, 3])],
    ['an object', () => ({ a: [1, { b: 'c' }], d: null })],
    ['a Map', () => new Map([['a', 1]])],
    ['a number', () => 7],
  ] as const) {
    it(`knows ${what} again`, () => {
      expect(listed(2, make()).list.refusedForMs(sized(make()))).to.equal(60_000)
    })
  }

  for (const [what, data] of [
    ['nothing', undefined],
    ['an empty text', ''],
    ['no bytes', new Uint8Array(0)],
    ['what has a class of its own', new (class Own {})()],
  ] as const) {
    it(`holds ${what} to no account`, () => {
      expect(listed(3, data).list.refusedForMs(sized(data))).to.equal(0)
    })
  }

  it('tells values apart that differ deep inside', () => {
    expect(listed(2, { a: [1, { b: 'c' }] }).list.refusedForMs(sized({ a: [1, { b: 'd' }] }))).to.equal(0)
  })

  it('hashes a payload before it is moved once one of its size was blamed', () => {
    const list = new PoisonList(new FakeClock())
    const moved = (): Call => sized(new Uint8Array([1, 2, 3]))
    const leave = (call: Call): void => void structuredClone(call.data, { transfer: [(call.data as Uint8Array<ArrayBuffer>).buffer] })
    for (let i = 0; i < 3; i++) {
      const call = moved()
      expect(list.isActive ? list.refusedForMs(call) : 0, `time ${i}`).to.equal(0)
      leave(call)
      list.blame(call)
    }
    expect(list.refusedForMs(moved())).to.equal(60_000)
  })

  it('remembers 10,000 payloads', () => {
    const list = new PoisonList(new FakeClock())
    for (let round = 0; round < 2; round++) list.blame(sized('oldest'))
    for (let i = 0; i < 10_000; i++) list.blame(sized(`${i}`.padEnd(20 + (i % 7))))
    expect(list.refusedForMs(sized('oldest'))).to.equal(0)
    expect(list.isActive).to.equal(true)
  })
})
