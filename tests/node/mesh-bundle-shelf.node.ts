import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import type { BundleStore } from '../../core/mesh/index.ts'
import { openBundleStore } from '../../node/bundle-shelf.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('a store of bundles in a folder', () => {
  const stores: BundleStore[] = []

  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close()
  })

  it('names bytes by their SHA-256', async () => {
    const { digest } = await open().add('abc', 'abc', bytesOf('abc'))
    expect(digest).to.equal('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  })

  it('gives a file the name that it had, and what belongs beside it its own', async () => {
    const store = open()
    const [code, model] = [await store.add('code', 'code.mjs', bytesOf('code')), await store.add('model', 'model.onnx', bytesOf('model'))]
    const path = fileURLToPath(await store.locate(code, [model]))
    expect(readFileSync(path, 'utf8')).to.equal('code')
    expect(readdirSync(dirname(path)).sort()).to.deep.equal(['code.mjs', 'model.onnx'])
  })

  it('lets nobody else in', async () => {
    const store = open()
    const path = fileURLToPath(await store.locate(await store.add('a', 'a', bytesOf('a'))))
    expect([path, dirname(path), dirname(dirname(path))].map((one) => statSync(one).mode & 0o777)).to.deep.equal([0o600, 0o700, 0o700])
  })

  it('keeps what comes in parts if it has the digest, and nothing else', async () => {
    const blob = await open().add('abc', 'abc', bytesOf('abc'))
    const store = open()
    async function* parts(...texts: readonly string[]) {
      for (const text of texts) yield bytesOf(text)
    }
    const error = await store.accept(blob, parts('ab', 'd')).catch((reason: unknown) => reason)
    expect(error).to.have.property('code', 'ERR_BUNDLE_MISMATCH')
    expect(store.has(blob.digest)).to.equal(false)
    await store.accept(blob, parts('a', 'bc'))
    const folder = dirname(dirname(fileURLToPath(await store.locate(blob))))
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).to.deep.equal([])
    expect(new TextDecoder().decode(await store.read(blob.digest, 0, 3))).to.equal('abc')
  })

  it('reads from and up to a byte', async () => {
    const store = open()
    const { digest } = await store.add('a', 'a', bytesOf('0123456789'))
    expect(new TextDecoder().decode(await store.read(digest, 3, 7))).to.equal('3456')
  })

  it('keeps what equal bytes at once leave whole', async () => {
    const store = open()
    const bytes = new Uint8Array(1_000_000).fill(7)
    const blobs = await Promise.all(Array.from({ length: 8 }, () => store.add('a', 'a', bytes)))
    const path = fileURLToPath(await store.locate(blobs[0] as (typeof blobs)[number]))
    expect([readFileSync(path).byteLength, store.bytes]).to.deep.equal([1_000_000, 1_000_000])
    expect(readdirSync(dirname(dirname(path))).length).to.equal(2)
  })

  it('removes what made room, under all its names', async () => {
    const store = open(6)
    const path = fileURLToPath(await store.locate(await store.add('a', 'a', bytesOf('aaaa'))))
    await store.add('b', 'b', bytesOf('bbbb'))
    expect(existsSync(path)).to.equal(false)
  })

  it('leaves nothing when it is closed, and can be closed again', async () => {
    const store = open()
    const path = fileURLToPath(await store.locate(await store.add('a', 'a', bytesOf('a'))))
    await store.close()
    await store.close()
    expect(existsSync(dirname(dirname(path)))).to.equal(false)
  })

  function open(maxBytes = 10_000_000): BundleStore {
    const store = openBundleStore({ maxBytes })
    stores.push(store)
    return store
  }
})
