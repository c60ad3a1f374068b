import { cp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { BrowserContext } from 'playwright-core'
import { build, createServer } from 'vite'
import { withBrowser } from './support/browser.ts'
import { type InstalledPackage, installPacked } from './support/packed.ts'
import { resultOf } from './support/page-result.ts'
import { type StaticServer, type StaticServerOptions, serveStatic } from './support/static-server.ts'

/** Uses every way of giving code and says how each went: its answer, or the error's code and message. */
const TRY_ALL = (moduleUrl: string, workerFactory: string, startOptions = '{}'): string => `
const client = await serve.start(${startOptions})
const result = {}
async function attempt(name, target, options, data) {
  try {
    await client.createBackend(name, target, options)
    await client.createEndpoint(name, { backend: name, route: '/' + name, methods: ['GET', 'POST'] })
    result[name] = await client.getHandle(name).remote(data)
  } catch (error) {
    result[name] = [error.code, error.message].join(': ')
  }
}
class Adder {
  constructor(start) { this.start = start }
  call(request) { return this.start + request.data }
}
await attempt('function', (request) => request.data * 2 + (typeof document === 'undefined' ? 0 : 100), {}, 4)
await attempt('class', Adder, { initArgs: [10] }, 5)
await attempt('module', serve.module(${moduleUrl}, 'Greeter'), { initArgs: ['hello'] }, 'you')
await attempt('worker', serve.worker(${workerFactory}), {}, 7)
result.fetched = await (await client.fetch('/class', { method: 'POST', body: '5', headers: { 'content-type': 'application/json' } })).text()
console.log('RESULT ' + JSON.stringify(result))
`
const GREETER = 'export class Greeter { constructor(word) { this.word = word } call(request) { return this.word + ", " + request.data } }'
const ALL_GOOD = { function: 8, class: 15, module: 'hello, you', worker: 21, fetched: '15' }
const html = (script: string): string => `<!doctype html><meta charset="utf-8"><title>test</title><link rel="icon" href="data:,">${script}`

describe('the package in a page', function () {
  const browser = withBrowser(this)
  let installed: InstalledPackage
  let context: BrowserContext
  const servers: { close(): Promise<unknown> }[] = []
  const serve = async (options: StaticServerOptions): Promise<StaticServer> => {
    const server = await serveStatic(options)
    servers.push(server)
    return server
  }

  before(async () => {
    context = await browser().newContext()
    installed = await installPacked()
    await installed.write({
      'app/index.html': html('<script type="module" src="./main.ts"></script>'),
      'app/main.ts': `import * as serve from 'shoal'
${TRY_ALL("new URL('/greeter.js', location.href)", "(Worker) => new Worker(new URL('./triple.worker.ts', import.meta.url), { type: 'module' })")}`,
      'app/triple.worker.ts': `import { expose } from 'shoal/replica'
expose((request: { data: number }) => request.data * 3)`,
      'app/public/greeter.js': GREETER,
      'bundled-module/index.html': html('<script type="module" src="./main.ts"></script>'),
      'bundled-module/main.ts': `import * as serve from 'shoal'
const client = await serve.start()
const target = serve.module(new URL('./digits.ts', import.meta.url), 'Digits')
const error = await client.createBackend('digits', target).catch((reason) => reason)
console.log('RESULT ' + JSON.stringify({ code: error?.code, message: error?.message }))`,
      'bundled-module/digits.ts': `import { scale } from './scale.ts'
export class Digits { call(request: { data: number }): number { return scale(request.data) } }`,
      'bundled-module/scale.ts': 'export const scale = (value: number): number => value * 2',
    })
  })

  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.close()))
  })

  after(async () => {
    await context?.close()
    await installed?.remove()
  })

  /** The project as Vite sees it; nothing of this repository's own settings. */
  const vite = (app: string) => ({ root: join(installed.folder, app), configFile: false as const, logLevel: 'silent' as const })

  it('serves functions, classes, modules and workers in the development server of Vite, without a setting', async () => {
    const server = await createServer({ ...vite('app'), server: { port: 0, host: '127.0.0.1' } })
    servers.push(server)
    await server.listen()
    expect(await resultOf(context, server.resolvedUrls?.local[0] ?? '')).to.deep.equal(ALL_GOOD)
  })

  it('serves all of them from a build of Vite, below a path', async () => {
    await build({ ...vite('app'), base: '/sub/', build: { outDir: 'out', target: 'es2022' } })
    const out = join(installed.folder, 'app/out')
    const server = await serve({ folders: { '/sub/': out, '/': out } })
    expect(await resultOf(context, `${server.origin}/sub/`)).to.deep.equal(ALL_GOOD)
  })

  it('names serve.worker when serve.module meets a file that a bundler has only copied', async () => {
    await build({ ...vite('bundled-module'), build: { outDir: 'out', target: 'es2022' } })
    const server = await serve({ folders: { '/': join(installed.folder, 'bundled-module/out') } })
    const { code, message } = await resultOf(context, `${server.origin}/`)
    expect(code).to.equal('ERR_BACKEND_START_FAILED')
    expect(message).to.include('serve.worker')
  })

  const plainWorker = "(Worker) => new Worker('/triple.js', { type: 'module' })"
  const plainFiles = (dist: string): Record<string, string> => ({
    '/greeter.js': GREETER,
    '/triple.js': `import { expose } from '${dist}/replica-of-plain-page.js'
expose((request) => request.data * 3)`,
  })
  /** What a page without bundler writes for its worker: one bundle of shoal/replica, made once. */
  const bundledReplica = async (): Promise<string> => {
    const result = await build({
      ...vite('app'),
      build: { write: false, lib: { entry: join(installed.dist, 'browser-replica.js'), formats: ['es'] } },
    })
    const [{ output }] = result as unknown as [{ output: [{ code: string }] }]
    return output[0].code
  }

  it('serves all of them in a plain page that maps the names of the packages', async () => {
    const imports = {
      shoal: '/shoal/browser.js',
      comlink: '/packages/comlink/dist/esm/comlink.mjs',
      acorn: '/packages/acorn/dist/acorn.mjs',
    }
    const server = await serve({
      folders: { '/shoal/': installed.dist, '/packages/': join(installed.folder, 'node_modules') },
      files: {
        ...plainFiles(''),
        '/replica-of-plain-page.js': await bundledReplica(),
        '/index.html': html(`<script type="importmap">${JSON.stringify({ imports })}</script><script type="module">
import * as serve from 'shoal'
${TRY_ALL("new URL('/greeter.js', location.href)", plainWorker)}</script>`),
      },
    })
    expect(await resultOf(context, `${server.origin}/`)).to.deep.equal(ALL_GOOD)
  })

  for (const [what, file, script] of [
    [
      'a classic script without CORS',
      'shoal.min.js',
      (url: string) => `<script src="${url}"></script><script type="module">const serve = shoal`,
    ],
    ['a module with CORS', 'shoal.min.mjs', (url: string) => `<script type="module">import * as serve from '${url}'`],
  ] as const) {
    it(`serves all of them by the one-file build from a second origin: ${what}`, async () => {
      const headers: Record<string, string> = file.endsWith('.mjs') ? { 'access-control-allow-origin': '*' } : {}
      const second = await serve({ folders: { '/': installed.dist }, headers })
      const first = await serve({
        files: {
          ...plainFiles(''),
          '/replica-of-plain-page.js': await bundledReplica(),
          '/index.html': html(
            `${script(`${second.origin}/${file}`)}\n${TRY_ALL("new URL('/greeter.js', location.href)", plainWorker)}</script>`,
          ),
        },
      })
      expect(await resultOf(context, `${first.origin}/`)).to.deep.equal(ALL_GOOD)
      expect(second.asked).to.deep.equal([`/${file}`])
    })
  }

  it('uses the worker that it brings along where its file was left behind', async () => {
    const dist = join(installed.folder, 'without-worker')
    await cp(installed.dist, dist, { recursive: true })
    await rm(join(dist, 'browser-worker.js'))
    const imports = {
      shoal: '/shoal/browser.js',
      comlink: '/packages/comlink/dist/esm/comlink.mjs',
      acorn: '/packages/acorn/dist/acorn.mjs',
    }
    const server = await serve({
      folders: { '/shoal/': dist, '/packages/': join(installed.folder, 'node_modules') },
      files: {
        ...plainFiles(''),
        '/replica-of-plain-page.js': await bundledReplica(),
        '/index.html': html(`<script type="importmap">${JSON.stringify({ imports })}</script><script type="module">
import * as serve from 'shoal'
${TRY_ALL("new URL('/greeter.js', location.href)", plainWorker)}</script>`),
      },
    })
    expect(await resultOf(context, `${server.origin}/`)).to.deep.equal(ALL_GOOD)
  })

  it('serves all of them in a page that is cross-origin isolated, through shared memory', async () => {
    const server = await serve({
      headers: { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
      folders: { '/shoal/': installed.dist },
      files: {
        ...plainFiles(''),
        '/replica-of-plain-page.js': await bundledReplica(),
        '/index.html': html(`<script type="module">import * as serve from '/shoal/shoal.min.mjs'
if (!crossOriginIsolated) throw new Error('the page is not isolated')
${TRY_ALL("new URL('/greeter.js', location.href)", plainWorker)}</script>`),
      },
    })
    expect(await resultOf(context, `${server.origin}/`)).to.deep.equal(ALL_GOOD)
  })

  for (const [what, script, expected] of [
    ['a module', `<script type="module">import * as serve from '/shoal/shoal.min.mjs'`, /^hey, you$/],
    [
      'a classic script, which knows no import map',
      '<script src="/shoal/shoal.min.js"></script><script type="module">const serve = shoal',
      /^ERR_BACKEND_NOT_PORTABLE: /,
    ],
  ] as const) {
    it(`looks a name imported by a function up in the import map of the page, in ${what}`, async () => {
      const server = await serve({
        folders: { '/shoal/': installed.dist },
        files: {
          ...plainFiles(''),
          '/index.html': html(`<script type="importmap">{ "imports": { "greeter": "/greeter.js" } }</script>${script}
const client = await serve.start()
const greet = async (request) => new (await import('greeter')).Greeter('hey').call(request)
try {
  await client.createBackend('greet', greet)
  await client.createEndpoint('greet', { backend: 'greet' })
  console.log('RESULT ' + JSON.stringify(await client.getHandle('greet').remote('you')))
} catch (error) {
  console.log('RESULT ' + JSON.stringify(error.code + ': ' + error.message))
}</script>`),
        },
      })
      expect(await resultOf<string>(context, `${server.origin}/`)).to.match(expected)
    })
  }

  it('works as the page of the docs, from a static server', async () => {
    const docs = await readFile(new URL('../../docs/concepts/in-the-browser.md', import.meta.url), 'utf8')
    const example = /```html\n([\s\S]*?)```/.exec(docs)?.[1] ?? ''
    const server = await serve({ folders: { '/': installed.dist }, files: { '/index.html': example } })
    const page = await context.newPage()
    await page.goto(server.origin)
    await page.waitForFunction("document.body.textContent.trim() !== ''")
    expect((await page.textContent('body'))?.trim()).to.equal('832040')
    await page.close()
  })

  describe('under a strict Content-Security-Policy', () => {
    const page = async (startOptions: string, scripts = "'self'"): Promise<StaticServer> =>
      serve({
        headers: { 'content-security-policy': `default-src 'none'; script-src ${scripts}; connect-src 'self'; img-src data:` },
        folders: { '/shoal/': installed.dist },
        files: {
          ...plainFiles(''),
          '/replica-of-plain-page.js': await bundledReplica(),
          '/index.html': html('<script type="module" src="/main.js"></script>'),
          '/main.js': `import * as serve from '/shoal/shoal.min.mjs'
${TRY_ALL("new URL('/greeter.js', location.href)", plainWorker, startOptions)}`,
        },
      })

    it('serves modules and workers, and says what a function by value needs', async () => {
      const server = await page("{ workerUrl: '/shoal/browser-worker.js' }")
      const result = await resultOf(context, `${server.origin}/`)
      expect(result).to.include({ module: 'hello, you', worker: 21 })
      expect(result.function).to.match(/^ERR_BACKEND_NOT_PORTABLE: .*script-src blob:.*serve\.worker/)
    })

    for (const [scripts, startOptions] of [
      ["'self' blob:", '{}'],
      ["'self' 'unsafe-eval'", "{ workerUrl: '/shoal/browser-worker.js' }"],
    ] as const) {
      it(`serves all of them with script-src ${scripts} and start(${startOptions})`, async () => {
        const server = await page(startOptions, scripts)
        expect(await resultOf(context, `${server.origin}/`)).to.deep.equal(ALL_GOOD)
      })
    }

    it('says that a worker inside the one-file build is refused, and names workerUrl', async () => {
      const server = await page('{}')
      const result = await resultOf(context, `${server.origin}/`)
      expect(result.worker).to.equal(21)
      expect(result.module).to.match(/^ERR_BACKEND_START_FAILED: .*worker-src blob:.*workerUrl/)
    })
  })
})
