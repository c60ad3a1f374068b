import { join } from 'node:path'
import { expect } from 'chai'
import type { BrowserContext, Page } from 'playwright-core'
import { withBrowser } from './support/browser.ts'
import { type InstalledPackage, installPacked } from './support/packed.ts'
import { type StaticServer, serveStatic } from './support/static-server.ts'

const html = (script: string): string => `<!doctype html><meta charset="utf-8"><title>test</title><link rel="icon" href="data:,">${script}`

/** A page that holds replicas under a name; `window.holding` resolves when it answers. */
const HOLDER = html(`<script type="module">
import * as serve from '/dist/shoal.min.mjs'
import { answerFetches } from '/dist/service-worker.js'
const params = new URLSearchParams(location.search)
const name = params.get('name')
window.seen = []
const begun = new Promise((resolve) => { window.begin = resolve })
let asks = 0
const noteAsk = ({ data }) => { if (data.shoal === 'who' && ++asks === 2) window.seen.push('asked again') }
window.holding = (async () => {
  if (params.has('later')) {
    navigator.serviceWorker.addEventListener('message', noteAsk)
    await begun
  }
  const client = await serve.start({ http: { middlewares: [async (context, next) => { await next(); context.header('x-middleware', 'seen') }] } })
  await client.createBackend('api', async (request) => {
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === '/api/echo') return { name: searchParams.get('name') ?? request.method, got: request.method === 'GET' ? null : await request.json() }
    if (pathname === '/api/who') return window.holderName
    if (pathname === '/api/slow') return new Promise((resolve) => {
      window.seen.push('slow')
      window.release = () => resolve('released')
    })
    if (pathname === '/api/paused') return (async function* () {
      yield 'before'
      await new Promise((resolve) => { window.goOn = resolve })
      yield 'after'
    })()
    if (pathname === '/api/stream') return (async function* () {
      try { for (let i = 0; ; i++) { yield 'part ' + i + '\\n'; await new Promise((resolve) => setTimeout(resolve, 10)) } }
      finally { window.seen.push('stream over') }
    })()
  }, { replicaOptions: { isolation: 'inline' } })
  await client.createEndpoint('api', { backend: 'api', route: '/api/*', methods: ['GET', 'POST'] })
  window.holderName = name
  window.page = await answerFetches(client, { script: '/shoal-service-worker.js', paths: ['/api/*'] })
})()
</script>`)

describe('fetch() of an unmodified page, through the Service Worker', function () {
  const browser = withBrowser(this)
  let installed: InstalledPackage
  let server: StaticServer
  let context: BrowserContext

  before(async () => {
    installed = await installPacked()
    server = await serveStatic({
      folders: { '/dist/': installed.dist, '/': join(installed.folder, 'node_modules/shoal/dist') },
      files: { '/holder.html': HOLDER, '/user.html': html('<p>nothing of shoal here') },
    })
  })
  beforeEach(async () => {
    context = await browser().newContext()
  })
  afterEach(() => context.close())
  after(async () => {
    await server?.close()
    await installed?.remove()
  })

  async function openHolder(name = 'first'): Promise<Page> {
    const page = await context.newPage()
    await page.goto(`${server.origin}/holder.html?name=${name}`)
    await page.evaluate('window.holding')
    return page
  }
  async function openUser(): Promise<Page> {
    const page = await context.newPage()
    await page.goto(`${server.origin}/user.html`)
    return page
  }
  const text = (page: Page, path: string): Promise<[number, string]> =>
    page.evaluate(async (url) => {
      const response = await fetch(url)
      return [response.status, await response.text()]
    }, path)
  const whenSeen = (page: Page, what: string): Promise<unknown> =>
    page.waitForFunction((one) => (window as unknown as { seen: string[] }).seen.includes(one), what)
  async function stopServiceWorker(page: Page): Promise<void> {
    const session = await context.newCDPSession(page)
    await session.send('ServiceWorker.enable')
    await session.send('ServiceWorker.stopAllWorkers')
    await session.detach()
  }

  it('is answered by the replicas of the page itself, middlewares and all', async () => {
    const holder = await openHolder()
    const answer = await holder.evaluate(async () => {
      const response = await fetch('/api/echo', { method: 'POST', body: '[1]', headers: { 'content-type': 'application/json' } })
      return [response.status, response.headers.get('x-middleware'), await response.json()]
    })
    expect(answer).to.deep.equal([200, 'seen', { name: 'POST', got: [1] }])
  })

  it('is answered by the replicas of another tab', async () => {
    await openHolder()
    expect(await text(await openUser(), '/api/who')).to.deep.equal([200, 'first'])
    expect(server.asked.filter((path) => path.startsWith('/api'))).to.deep.equal([])
  })

  it('is answered after the Service Worker was stopped and has forgotten everything', async () => {
    const holder = await openHolder()
    const user = await openUser()
    await text(user, '/api/who')
    await stopServiceWorker(holder)
    expect(await text(user, '/api/who')).to.deep.equal([200, 'first'])
  })

  it('is answered after a hard reload of the page that holds the replicas', async () => {
    const holder = await openHolder()
    const session = await context.newCDPSession(holder)
    const loaded = holder.waitForEvent('load')
    await session.send('Page.reload', { ignoreCache: true })
    await loaded
    await holder.evaluate('window.holding')
    expect(await text(holder, '/api/who')).to.deep.equal([200, 'first'])
  })

  it('waits for a holder that is still loading', async () => {
    const holder = await openHolder()
    const user = await openUser()
    const loading = await context.newPage()
    await loading.goto(`${server.origin}/holder.html?name=second&later`)
    await holder.close()
    await user.evaluate(() => {
      ;(window as unknown as { who: Promise<string> }).who = fetch('/api/who').then((response) => response.text())
    })
    await whenSeen(loading, 'asked again')
    await loading.evaluate('begin(); holding')
    expect(await user.evaluate('window.who')).to.equal('second')
  })

  it('goes to another tab when the one that held the replicas is closed; a safe request under way is repeated there', async () => {
    const first = await openHolder('first')
    const second = await openHolder('second')
    const user = await openUser()
    const [, name] = await text(user, '/api/who')
    const [chosen, other] = name === 'first' ? [first, second] : [second, first]
    await user.evaluate(() => {
      ;(window as unknown as { slow: Promise<number> }).slow = fetch('/api/slow').then((response) => response.status)
    })
    await whenSeen(chosen, 'slow')
    await chosen.close()
    await whenSeen(other, 'slow')
    expect((await text(user, '/api/who'))[0]).to.equal(200)
  })

  it('answers 502 to a request that may have run in a tab that was closed', async () => {
    const holder = await openHolder()
    const user = await openUser()
    await user.evaluate(() => {
      ;(window as unknown as { slow: Promise<unknown> }).slow = fetch('/api/slow', { method: 'POST', body: '1' }).then(async (response) => [
        response.status,
        ((await response.json()) as { code: string }).code,
      ])
    })
    await whenSeen(holder, 'slow')
    await holder.close()
    expect(await user.evaluate('window.slow')).to.deep.equal([502, 'ERR_REPLICA_DIED'])
  })

  it('gives the parts of a stream before it has ended', async () => {
    const holder = await openHolder()
    const user = await openUser()
    const first = await user.evaluate(async () => {
      const reader = ((await fetch('/api/paused')).body as ReadableStream<Uint8Array>).getReader()
      const { value } = await reader.read()
      ;(window as unknown as { rest: Promise<unknown> }).rest = reader.read().then(({ value }) => new TextDecoder().decode(value))
      return new TextDecoder().decode(value)
    })
    expect(first).to.equal('before')
    await holder.evaluate('window.goOn()')
    expect(await user.evaluate('window.rest')).to.equal('after')
  })

  it('ends the stream in the replica when its reader cancels', async () => {
    const holder = await openHolder()
    const user = await openUser()
    await user.evaluate(async () => {
      const reader = ((await fetch('/api/stream')).body as ReadableStream<Uint8Array>).getReader()
      await reader.read()
      await reader.cancel()
    })
    await whenSeen(holder, 'stream over')
  })

  // An abort before the head of the answer is something Chromium does not tell a Service Worker; afterwards it cancels the body.
  it('ends the stream in the replica when its fetch is aborted', async () => {
    const holder = await openHolder()
    const user = await openUser()
    await user.evaluate(async () => {
      const abort = new AbortController()
      const reader = ((await fetch('/api/stream', { signal: abort.signal })).body as ReadableStream<Uint8Array>).getReader()
      await reader.read()
      abort.abort()
    })
    await whenSeen(holder, 'stream over')
  })

  it('goes elsewhere once a page has let go, which still answers what is under way', async () => {
    const first = await openHolder('first')
    const user = await openUser()
    await text(user, '/api/who')
    const slow = text(user, '/api/slow')
    await whenSeen(first, 'slow')
    await openHolder('second')
    await first.evaluate('window.page.close()')
    expect(await text(user, '/api/who')).to.deep.equal([200, 'second'])
    await first.evaluate('window.release()')
    expect(await slow).to.deep.equal([200, 'released'])
  })

  it('leaves other paths to the network', async () => {
    await openHolder()
    expect((await text(await openUser(), '/no-such-file'))[0]).to.equal(404)
  })
})
