import { expect } from 'chai'
import type { BrowserContext, Page } from 'playwright-core'
import { withBrowser } from './support/browser.ts'
import { type InstalledPackage, installPacked } from './support/packed.ts'
import { type StaticServer, serveStatic } from './support/static-server.ts'

/** Every tab runs the same program; the model says which copy it is. */
const PAGE = `<!doctype html><meta charset="utf-8"><title>tab</title><link rel="icon" href="data:,"><script type="module">
import * as serve from '/dist/shoal.min.mjs'
class Model {
  static batch = ['many']
  constructor(start) { this.copy = Math.random(); this.count = start; this.inside = 0; this.most = 0 }
  call(request) { this.count++; return { copy: this.copy, count: this.count } }
  many(requests) { return requests.map((request) => requests.length) }
  async hang(request) {
    this.hanging = (this.hanging ?? 0) + 1
    await new Promise((resolve) => request.signal.addEventListener('abort', resolve))
    this.hanging--
  }
  hangs() { return this.hanging ?? 0 }
  async *parts() { for (let i = 0; i < 50; i++) yield i }
}
const config = { maxConcurrentQueries: 40, maxBatchSize: 10, batchWaitTimeoutMs: 20_000, gracefulShutdownTimeoutMs: 100 }
window.ready = (async () => {
  const client = await serve.start()
  window.client = client
  await client.createBackend('model', Model, { initArgs: [10], config, replicaOptions: { shared: true } })
  await client.createEndpoint('model', { backend: 'model' })
  const handle = client.getHandle('model')
  window.call = (method, data, timeoutMs) => handle.options({ methodName: method, ...(timeoutMs && { timeoutMs }) }).remote(data)
  window.code = (work) => work.then(() => 'answered', (error) => error.code)
  // What a replica takes to start in this browser on this machine.
  window.load = async () => {
    const startedMs = performance.now()
    await client.createBackend('own', Model, { initArgs: [0] })
    return performance.now() - startedMs
  }
  window.collect = async (response) => { const parts = []; for await (const part of response) parts.push(part); return parts }
})()
</script>`

describe('a replica that the tabs of an origin share', function () {
  const browser = withBrowser(this)
  let installed: InstalledPackage
  let server: StaticServer
  let context: BrowserContext

  before(async () => {
    installed = await installPacked()
    server = await serveStatic({ folders: { '/dist/': installed.dist }, files: { '/tab.html': PAGE } })
  })
  beforeEach(async () => {
    context = await browser().newContext()
  })
  afterEach(() => context.close())
  after(async () => {
    await server?.close()
    await installed?.remove()
  })

  async function openTab(): Promise<Page> {
    const page = await context.newPage()
    await page.goto(`${server.origin}/tab.html`)
    await page.evaluate('window.ready')
    return page
  }
  const openTabs = (count: number): Promise<Page[]> => Promise.all(Array.from({ length: count }, openTab))
  const copyOf = (page: Page): Promise<number> => page.evaluate("call('call').then((answer) => answer.copy)")
  const workers = (): number => context.pages().reduce((sum, page) => sum + page.workers().length, 0)
  /** The second that is promised, and the time that the model takes to load, of which a machine that is slow makes more by the rest as well. */
  const movedWithinMs = async (page: Page): Promise<number> => 1_000 + 5 * ((await page.evaluate('load()')) as number)
  const leaderOf = (pages: readonly Page[]): Page => pages.find((page) => page.workers().length > 0) as Page

  it('exists once for five tabs', async () => {
    const pages = await openTabs(5)
    expect(new Set(await Promise.all(pages.map(copyOf))).size).to.equal(1)
    expect(workers()).to.equal(1)
  })

  it('composes a batch of calls from several tabs', async () => {
    const pages = await openTabs(5)
    const twoOf = (page: Page): Promise<number[]> => page.evaluate("Promise.all([call('many'), call('many')])")
    expect((await Promise.all(pages.map(twoOf))).flat()).to.deep.equal(new Array(10).fill(10))
  })

  it('streams to another tab', async () => {
    const pages = await openTabs(2)
    const all = await Promise.all(pages.map((page) => page.evaluate("collect(call('parts'))")))
    expect(all).to.deep.equal(new Array(2).fill(Array.from({ length: 50 }, (_, i) => i)))
  })

  it('moves to another tab within a second and its load when its tab closes, and settles the calls that were open', async () => {
    const pages = await openTabs(5)
    const leader = leaderOf(pages)
    const others = pages.filter((page) => page !== leader)
    const before = await copyOf(leader)
    const limitMs = await movedWithinMs(others[0] as Page)
    for (const page of others) await page.evaluate("void (window.open = code(call('hang')))")
    while ((await others[0]?.evaluate("call('hangs')")) !== 4);
    const [first] = others as [Page]
    await leader.close()
    // From the moment the tab is gone, until the first answer of the new replica.
    const [code, tookMs] = (await first.evaluate(async () => {
      const page = window as unknown as { open: Promise<string>; call(method: string): Promise<unknown> }
      const code = await page.open
      const startedMs = performance.now()
      await page.call('call')
      return [code, performance.now() - startedMs]
    })) as [string, number]
    const after = await Promise.all(others.map(copyOf))
    expect(code).to.equal('ERR_REPLICA_DIED')
    expect(await Promise.all(others.map((page) => page.evaluate('window.open')))).to.deep.equal(new Array(4).fill('ERR_REPLICA_DIED'))
    expect(new Set(after).size).to.equal(1)
    expect(after).not.to.include(before)
    // With that of load().
    expect(workers()).to.equal(2)
    expect(tookMs).to.be.below(limitMs)
  })

  it('moves on as often as tabs close, without being taken for a crash', async () => {
    const pages = await openTabs(5)
    for (let left = 5; left > 1; left--) {
      const open = context.pages()
      await leaderOf(open).close()
      const [page] = context.pages() as [Page]
      await page.evaluate("call('call')")
      expect(await page.evaluate('client.status().then(({ backends }) => backends.model.crashLooping)')).to.equal(false)
    }
    expect(pages.filter((page) => !page.isClosed()).length).to.equal(1)
  })

  it('moves to another tab when its tab crashes', async () => {
    const pages = await openTabs(3)
    const leader = leaderOf(pages)
    const [other] = pages.filter((page) => page !== leader) as [Page]
    const before = await copyOf(other)
    await leader.goto('chrome://crash').catch(() => undefined)
    expect(await copyOf(other)).not.to.equal(before)
  })

  it('forgets the calls of a tab that closes', async () => {
    const pages = await openTabs(3)
    const leader = leaderOf(pages)
    const [other, third] = pages.filter((page) => page !== leader) as [Page, Page]
    await other.evaluate("void call('hang').catch(() => {})")
    while ((await third.evaluate("call('hangs')")) !== 1);
    await other.close()
    while ((await third.evaluate("call('hangs')")) !== 0);
    expect(workers()).to.equal(1)
  })

  it('cancels in the replica what another tab cancels', async () => {
    const pages = await openTabs(2)
    const leader = leaderOf(pages)
    const [other] = pages.filter((page) => page !== leader) as [Page]
    expect(await other.evaluate("code(call('hang', undefined, 100))")).to.equal('ERR_TIMEOUT')
    while ((await leader.evaluate("call('hangs')")) !== 0);
  })

  it('stays when a tab that only uses it deletes its backend', async () => {
    const pages = await openTabs(2)
    const leader = leaderOf(pages)
    const [other] = pages.filter((page) => page !== leader) as [Page]
    const before = await copyOf(leader)
    await other.evaluate('client.shutdown()')
    expect(await copyOf(leader)).to.equal(before)
  })
})
