import { expect } from 'chai'
import { bundleBench, inParts, textBytes } from '../../support/bundle-bench.ts'
import { failure } from '../../support/failure.ts'

describe('a store of bundles', () => {
  it('keeps bytes under their digest, once for equal ones', async () => {
    const { store } = bundleBench()
    const first = await store.add('a', 'a.mjs', textBytes('same'))
    const second = await store.add('b', 'b.mjs', textBytes('same'))
    expect(second.digest).to.equal(first.digest)
    expect(store.bytes).to.equal(4)
  })

  it('refuses bytes that are not what they are listed as, and keeps nothing: ERR_BUNDLE_MISMATCH', async () => {
    const blob = await bundleBench().store.add('a', 'a.mjs', textBytes('right'))
    const { store } = bundleBench()
    expect(await failure(store.accept(blob, inParts(textBytes('wro'), textBytes('ng'))))).to.have.property('code', 'ERR_BUNDLE_MISMATCH')
    expect(store.has(blob.digest)).to.equal(false)
    expect(store.bytes).to.equal(0)
  })

  it('refuses a bundle above maxBlobBytes: ERR_PAYLOAD_TOO_LARGE', async () => {
    const { store } = bundleBench({ maxBlobBytes: 4 })
    expect(await failure(store.add('a', 'a.mjs', textBytes('12345')))).to.have.property('code', 'ERR_PAYLOAD_TOO_LARGE')
  })

  it('makes room by what was unused the longest', async () => {
    const { store } = bundleBench({ maxBytes: 10 })
    const oldest = await store.add('a', 'a', textBytes('aaaa'))
    const newer = await store.add('b', 'b', textBytes('bbbb'))
    await store.locate(oldest)
    await store.add('c', 'c', textBytes('cccc'))
    expect([store.has(oldest.digest), store.has(newer.digest), store.bytes]).to.deep.equal([true, false, 8])
  })

  it('lets nothing go that is held, and refuses what then has no room: ERR_PAYLOAD_TOO_LARGE', async () => {
    const { store } = bundleBench({ maxBytes: 6 })
    const held = await store.add('a', 'a', textBytes('aaaa'))
    const release = store.hold([held.digest])
    expect(await failure(store.add('b', 'b', textBytes('bbbb')))).to.have.property('code', 'ERR_PAYLOAD_TOO_LARGE')
    release()
    release()
    await store.add('b', 'b', textBytes('bbbb'))
    expect(store.has(held.digest)).to.equal(false)
  })

  it('gives names that are safe as those of files', async () => {
    const { store } = bundleBench()
    const names = await Promise.all(
      ['../../etc/x', '..', '', 'a b/c.onnx'].map(async (name) => (await store.add('a', name, textBytes(name))).name),
    )
    expect(names).to.deep.equal(['_/../etc/x'.replaceAll('/', '_'), '_', 'blob', 'a_b_c.onnx'])
  })
})
