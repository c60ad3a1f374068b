import { expect } from 'chai'
import fc from 'fast-check'
import { Batcher } from '../../../core/batch/index.ts'

interface Item {
  readonly method: string
  readonly index: number
  readonly atMs: number
}

const arrivals = fc.array(fc.record({ method: fc.constantFrom('a', 'b', 'c'), gapMs: fc.nat(12) }), { maxLength: 60 })
const limits = fc.record({ maxBatchSize: fc.integer({ min: 1, max: 9 }), batchWaitTimeoutMs: fc.constantFrom(0, 1, 5, 20) })

/** Lets items come at their times and takes whatever is offered each millisecond; gives the batches with the time each was taken. */
function run(items: readonly Item[], { maxBatchSize, batchWaitTimeoutMs }: { maxBatchSize: number; batchWaitTimeoutMs: number }) {
  const batcher = new Batcher<Item>({ maxBatchSize, batchWaitTimeoutMs })
  const batches: { readonly items: readonly Item[]; readonly atMs: number }[] = []
  const endMs = (items.at(-1)?.atMs ?? 0) + batchWaitTimeoutMs + 1
  let next = 0
  for (let nowMs = 0; nowMs <= endMs; nowMs++) {
    for (; next < items.length && items[next]!.atMs === nowMs; next++) batcher.add(items[next]!.method, items[next]!, nowMs)
    for (let taken = batcher.take(nowMs); taken.items !== undefined; taken = batcher.take(nowMs)) {
      batches.push({ items: taken.items, atMs: nowMs })
    }
  }
  expect(batcher.size).to.equal(0)
  return batches
}

const timed = (given: readonly { method: string; gapMs: number }[]): Item[] => {
  let atMs = 0
  return given.map(({ method, gapMs }, index) => {
    atMs += gapMs
    return { method, index, atMs }
  })
}

describe('Batcher', () => {
  it('gives every item out in exactly one batch', () => {
    fc.assert(
      fc.property(arrivals, limits, (given, limits) => {
        const items = timed(given)
        const out = run(items, limits).flatMap((batch) => batch.items)
        expect(out).to.have.lengthOf(items.length)
        expect(new Set(out.map((item) => item.index)).size).to.equal(items.length)
      }),
    )
  })

  it('makes no batch of two methods, of more than maxBatchSize, or out of order', () => {
    fc.assert(
      fc.property(arrivals, limits, (given, limits) => {
        const last = new Map<string, number>()
        for (const { items } of run(timed(given), limits)) {
          expect(items.length).to.be.within(1, limits.maxBatchSize)
          for (const item of items) {
            expect(item.method).to.equal(items[0]!.method)
            expect(item.index).to.be.above(last.get(item.method) ?? -1)
            last.set(item.method, item.index)
          }
        }
      }),
    )
  })

  it('keeps no item longer than batchWaitTimeoutMs, and cuts no batch short before', () => {
    fc.assert(
      fc.property(arrivals, limits, (given, limits) => {
        for (const { items, atMs } of run(timed(given), limits)) {
          const waitedMs = atMs - items[0]!.atMs
          expect(waitedMs).to.be.at.most(limits.batchWaitTimeoutMs)
          if (items.length < limits.maxBatchSize) expect(waitedMs).to.equal(limits.batchWaitTimeoutMs)
        }
      }),
    )
  })

  it('counts the wait from the first item of the batch', () => {
    const batcher = new Batcher<string>({ maxBatchSize: 8, batchWaitTimeoutMs: 10 })
    batcher.add('', 'first', 0)
    batcher.add('', 'second', 7)
    expect(batcher.take(8)).to.deep.equal({ items: undefined, waitMs: 2 })
    expect(batcher.take(10)).to.deep.equal({ items: ['first', 'second'], waitMs: 0 })
  })

  it('waits for ever when nothing is there', () => {
    const batcher = new Batcher<string>({ maxBatchSize: 8, batchWaitTimeoutMs: 0 })
    expect(batcher.take(0)).to.deep.equal({ items: undefined, waitMs: Number.POSITIVE_INFINITY })
  })

  it('lets a busy method not keep another one waiting', () => {
    const batcher = new Batcher<string>({ maxBatchSize: 2, batchWaitTimeoutMs: 0 })
    for (const item of ['a1', 'a2', 'a3', 'a4']) batcher.add('a', item, 0)
    batcher.add('b', 'b1', 0)
    expect([batcher.take(0).items, batcher.take(0).items]).to.deep.equal([['a1', 'a2'], ['b1']])
  })

  it('takes new limits from the next batch on', () => {
    const batcher = new Batcher<number>({ maxBatchSize: 4, batchWaitTimeoutMs: 0 })
    for (let i = 0; i < 5; i++) batcher.add('', i, 0)
    batcher.configure({ maxBatchSize: 2, batchWaitTimeoutMs: 0 })
    expect(batcher.take(0).items).to.deep.equal([0, 1])
  })

  it('gives a removed item back and forgets it', () => {
    const batcher = new Batcher<string>({ maxBatchSize: 2, batchWaitTimeoutMs: 0 })
    batcher.add('', 'a', 0)
    expect(batcher.remove((item) => item === 'a')).to.equal('a')
    expect(batcher.remove((item) => item === 'a')).to.equal(undefined)
    expect(batcher.size).to.equal(0)
  })
})
