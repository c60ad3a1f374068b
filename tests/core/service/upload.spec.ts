import { expect } from 'chai'
import { isServeError } from '../../../core/base/index.ts'
import { Upload } from '../../../core/service/index.ts'

const bytes = (count: number, fill = 1): Uint8Array => new Uint8Array(count).fill(fill)

/** A source that gives these chunks, then the end or an error. */
const sourceOf = (chunks: Uint8Array[], error?: Error) => async (): Promise<Uint8Array | undefined> => {
  const chunk = chunks.shift()
  if (chunk === undefined && error !== undefined) throw error
  return chunk
}

describe('Upload', () => {
  it('gives what was read before first, then what comes', async () => {
    const upload = new Upload(sourceOf([bytes(2, 2)]), { first: bytes(3, 1), limitBytes: 10 })
    expect([...((await upload.read(100)) ?? [])]).to.deep.equal([1, 1, 1])
    expect([...((await upload.read(100)) ?? [])]).to.deep.equal([2, 2])
    expect(await upload.read(100)).to.equal(undefined)
  })

  it('gives no more at once than it is asked for', async () => {
    const upload = new Upload(sourceOf([bytes(5)]), { limitBytes: 10 })
    expect((await upload.read(2))?.length).to.equal(2)
    expect(upload.heldBytes).to.equal(3)
    expect((await upload.read(100))?.length).to.equal(3)
  })

  it('cuts a huge chunk into parts of at most 256 KiB', async () => {
    const upload = new Upload(sourceOf([bytes(600 * 1024)]), { limitBytes: 2 ** 20 })
    expect((await upload.read(2 ** 20))?.length).to.equal(256 * 1024)
  })

  it('gives every part in a buffer of its own', async () => {
    const chunk = bytes(5)
    const upload = new Upload(sourceOf([chunk]), { limitBytes: 10 })
    const part = await upload.read(5)
    expect(part?.buffer).not.to.equal(chunk.buffer)
    expect(part?.buffer.byteLength).to.equal(5)
  })

  it('passes over empty chunks', async () => {
    const upload = new Upload(sourceOf([bytes(0), bytes(1)]), { limitBytes: 10 })
    expect((await upload.read(5))?.length).to.equal(1)
  })

  it('rejects with ERR_PAYLOAD_TOO_LARGE beyond its limit', async () => {
    const upload = new Upload(sourceOf([bytes(6)]), { first: bytes(5), limitBytes: 10 })
    await upload.read(5)
    const error = await upload.read(5).catch((thrown: unknown) => thrown)
    expect(isServeError(error, 'ERR_PAYLOAD_TOO_LARGE')).to.equal(true)
  })

  it('has begun when a part was asked for', async () => {
    const upload = new Upload(sourceOf([bytes(1)]), { limitBytes: 10 })
    expect(upload.hasBegun).to.equal(false)
    await upload.read(1)
    expect(upload.hasBegun).to.equal(true)
  })
})
