import { expect } from 'chai'
import { type PartSource, StreamParts } from '../../../core/router/index.ts'

/** A source that gives what the test hands it, when it hands it. */
class ManualSource implements PartSource<number> {
  isCancelled = false
  readonly #waiting: { resolve(parts: readonly number[] | undefined): void; reject(error: unknown): void }[] = []

  read(): Promise<readonly number[] | undefined> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  cancel(): void {
    this.isCancelled = true
    this.give(undefined)
  }

  give(parts: readonly number[] | undefined): void {
    this.#waiting.shift()?.resolve(parts)
  }

  fail(error: unknown): void {
    this.#waiting.shift()?.reject(error)
  }
}

function setUp() {
  const source = new ManualSource()
  const counted = { ends: 0 }
  const parts = new StreamParts(source, () => {
    counted.ends++
  })
  return { source, counted, parts }
}

const valuesOf = async (...results: Promise<IteratorResult<number, void>>[]): Promise<unknown[]> =>
  (await Promise.all(results)).map(({ done, value }) => (done ? 'end' : value))

describe('StreamParts', () => {
  it('gives part by part what its source gives in lumps, and tells of the end once', async () => {
    const { source, counted, parts } = setUp()
    const first = parts.next()
    source.give([1, 2])
    expect(await valuesOf(first, parts.next())).to.deep.equal([1, 2])
    const last = parts.next()
    source.give(undefined)
    expect(await valuesOf(last, parts.next())).to.deep.equal(['end', 'end'])
    expect(counted.ends).to.equal(1)
  })

  it('answers those who ask before the answer has come in their order', async () => {
    const { source, parts } = setUp()
    const asked = [parts.next(), parts.next(), parts.next(), parts.next()]
    source.give([1, 2])
    await asked[1]
    source.give([3])
    await asked[2]
    source.give(undefined)
    expect(await valuesOf(...asked)).to.deep.equal([1, 2, 3, 'end'])
  })

  it('rejects once with what broke the source, and has ended then', async () => {
    const { source, counted, parts } = setUp()
    const asked = [parts.next(), parts.next()] as const
    source.fail(new Error('broke'))
    expect(await asked[0].catch((error: Error) => error.message)).to.equal('broke')
    expect(await valuesOf(asked[1])).to.deep.equal(['end'])
    expect([counted.ends, source.isCancelled]).to.deep.equal([1, false])
  })

  it('cancels its source when the loop is left, while a read is open too', async () => {
    const { source, counted, parts } = setUp()
    const asked = parts.next()
    await parts.return()
    expect(source.isCancelled).to.equal(true)
    expect(await valuesOf(asked, parts.next())).to.deep.equal(['end', 'end'])
    expect(counted.ends).to.equal(1)
  })

  it('drops what came when it is left half way', async () => {
    const { source, parts } = setUp()
    const first = parts.next()
    source.give([1, 2, 3])
    await first
    await parts.return()
    expect(await valuesOf(parts.next())).to.deep.equal(['end'])
    expect(source.isCancelled).to.equal(true)
  })

  it('is left once: an end is not cancelled', async () => {
    const { source, counted, parts } = setUp()
    const last = parts.next()
    source.give(undefined)
    await last
    await parts.return()
    expect([source.isCancelled, counted.ends]).to.deep.equal([false, 1])
  })

  it('gives in a lump what was not taken one by one', async () => {
    const { source, parts } = setUp()
    const first = parts.next()
    source.give([1, 2, 3])
    await first
    expect(await parts.read()).to.deep.equal([2, 3])
  })
})
