import { expect } from 'chai'
import type { StateStore } from '../../core/controller/index.ts'

/** A place for state that can be opened again and again. */
export interface StateStoreUnderTest {
  open(): Promise<StateStore>
}

/** What every StateStore keeps to. */
export function stateStoreCompliance(name: string, setup: () => Promise<StateStoreUnderTest>): void {
  const reopened = async (place: StateStoreUnderTest, store: StateStore): Promise<Record<string, unknown>> => {
    await store.close()
    const next = await place.open()
    const values = await next.load()
    await next.close()
    return Object.fromEntries(values)
  }

  describe(`${name} as a StateStore`, () => {
    it('is empty at first', async () => {
      const store = await (await setup()).open()
      expect([...(await store.load())]).to.deep.equal([])
      await store.close()
    })

    it('gives what was put to the next one that opens it', async () => {
      const place = await setup()
      const store = await place.open()
      await store.load()
      await store.put([{ key: 'a', value: 1 }])
      await store.put([{ key: 'b', value: { deep: [1, 2] } }])
      expect(await reopened(place, store)).to.deep.equal({ a: 1, b: { deep: [1, 2] } })
    })

    it('keeps the last value of a key', async () => {
      const place = await setup()
      const store = await place.open()
      await store.load()
      await store.put([{ key: 'a', value: 1 }])
      await store.put([{ key: 'a', value: 2 }])
      expect(await reopened(place, store)).to.deep.equal({ a: 2 })
    })

    it('forgets a key whose value is missing', async () => {
      const place = await setup()
      const store = await place.open()
      await store.load()
      await store.put([{ key: 'a', value: 1 }])
      await store.put([{ key: 'a' }, { key: 'never there' }])
      expect(await reopened(place, store)).to.deep.equal({})
    })

    it('carries what structured clone carries', async () => {
      const place = await setup()
      const store = await place.open()
      await store.load()
      const value = { map: new Map([[1, new Date(5)]]), bytes: new Uint8Array([1, 2]), big: 3n, missing: undefined }
      await store.put([{ key: 'a', value }])
      expect(await reopened(place, store)).to.deep.equal({ a: value })
    })

    it('takes effect in the order of the calls, without waiting in between', async () => {
      const place = await setup()
      const store = await place.open()
      await store.load()
      await Promise.all(Array.from({ length: 50 }, (_, i) => store.put([{ key: 'a', value: i }])))
      expect(await reopened(place, store)).to.deep.equal({ a: 49 })
    })

    it('is not changed by who changes a value afterwards', async () => {
      const place = await setup()
      const store = await place.open()
      await store.load()
      const value = { list: [1] }
      const put = store.put([{ key: 'a', value }])
      value.list.push(2)
      await put
      expect(await reopened(place, store)).to.deep.equal({ a: { list: [1] } })
    })

    it('keeps none of the edits of a put that cannot travel', async () => {
      const place = await setup()
      const store = await place.open()
      await store.load()
      const failed = await store
        .put([
          { key: 'a', value: 1 },
          { key: 'b', value: () => 1 },
        ])
        .catch((error: unknown) => error)
      expect(failed).to.be.instanceOf(Error)
      expect(await reopened(place, store)).to.deep.equal({})
    })

    it('finishes what was put before it closes', async () => {
      const place = await setup()
      const store = await place.open()
      await store.load()
      const put = store.put([{ key: 'a', value: 1 }])
      const values = await reopened(place, store)
      await put
      expect(values).to.deep.equal({ a: 1 })
    })

    it('refuses everything after close with ERR_STORAGE, and takes a second close without a word', async () => {
      const store = await (await setup()).open()
      await store.load()
      await store.close()
      await store.close()
      for (const attempt of [store.load(), store.put([{ key: 'a', value: 1 }])]) {
        expect(await attempt.catch((error: unknown) => error)).to.have.property('code', 'ERR_STORAGE')
      }
    })
  })
}
