import { expect } from 'chai'
import * as serve from '../../browser/index.ts'
import { IndexedDbStateStore } from '../../browser/indexed-db-store.ts'
import { stateStoreCompliance } from '../compliance/state-store.ts'

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

describe('IndexedDbStateStore', () => {
  const names: string[] = []
  const freshName = (): string => {
    const name = `test-${crypto.randomUUID()}`
    names.push(name)
    return name
  }

  afterEach(async () => {
    await Promise.all(names.splice(0).map((name) => IndexedDbStateStore.erase(name)))
  })

  stateStoreCompliance('IndexedDbStateStore', async () => {
    const name = freshName()
    return { open: () => IndexedDbStateStore.open(name) }
  })

  it('gives the keys in the order in which they came', async () => {
    const name = freshName()
    const store = await IndexedDbStateStore.open(name)
    await store.load()
    for (const key of ['z', 'a', 'm']) await store.put([{ key, value: 1 }])
    await store.put([{ key: 'z', value: 2 }])
    await store.close()
    const next = await IndexedDbStateStore.open(name)
    expect([...(await next.load()).keys()]).to.deep.equal(['z', 'a', 'm'])
    await next.close()
  })

  it('refuses a second owner with ERR_STORAGE', async () => {
    const name = freshName()
    const store = await IndexedDbStateStore.open(name)
    expect(await IndexedDbStateStore.open(name).catch((error: unknown) => error)).to.have.property('code', 'ERR_STORAGE')
    await store.close()
  })

  it('brings the backends and endpoints of an instance back', async () => {
    const storage = freshName()
    const first = await serve.start({ storage, logger: SILENT })
    await first.createBackend('double', (request) => request.data * 2)
    await first.createEndpoint('double', { backend: 'double', route: '/double' })
    await first.shutdown({ timeoutMs: 0 })
    const second = await serve.start({ storage, logger: SILENT })
    expect(await second.getHandle('double').remote(4)).to.equal(8)
    await second.shutdown({ timeoutMs: 0 })
  })
})
