import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect as connectSocket } from 'node:net'
import { expect } from 'chai'
import { pino } from 'pino'
import * as serve from '../../node/index.ts'

const SILENT = pino({ level: 'silent' })

/** What a handler saw of its request. */
type Seen = Record<string, unknown>

const see = async (request: serve.ServeRequest): Promise<Seen> => ({
  isServeRequest: Object.prototype.toString.call(request) === '[object ServeRequest]',
  isRequest: request instanceof Request,
  method: request.method,
  url: request.url,
  headers: Object.fromEntries(request.headers),
  args: { ...request.args },
  data: request.data,
  id: request.id,
})

describe('the FAQ, statement by statement', function () {
  this.timeout(30_000)
  let client: serve.Client
  let url: string
  let names = 0

  before(async () => {
    client = await serve.start({ http: { port: 0 }, logger: SILENT })
    url = client.http?.url ?? ''
  })
  after(() => client.shutdown({ timeoutMs: 100 }))

  /** A backend and its endpoint under a fresh name, at `/<name>`. */
  async function serveAt(target: serve.BackendTarget, options: serve.BackendOptions = {}, methods = ['GET', 'POST']): Promise<string> {
    const name = `faq-${names++}`
    await client.createBackend(name, target, options)
    await client.createEndpoint(name, { backend: name, route: `/${name}`, methods })
    return name
  }

  const postJson = (name: string, value: unknown, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${url}/${name}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) })

  describe('an instance', () => {
    it('answers over HTTP as soon as start has resolved', async () => {
      const own = await serve.start({ http: { port: 0 }, logger: SILENT })
      expect((await fetch(`${own.http?.url}/-/readyz`)).status).to.equal(200)
      await own.close()
    })

    it('may have no gateway, and is called by handle and by fetch then', async () => {
      const own = await serve.start({ http: false, logger: SILENT })
      await own.createBackend('hello', () => 'hello')
      await own.createEndpoint('hello', { backend: 'hello', route: '/hello' })
      expect(own.http).to.equal(undefined)
      expect(await own.getHandle('hello').remote()).to.equal('hello')
      expect(await (await own.fetch('http://localhost/hello')).text()).to.equal('hello')
      await own.close()
    })

    it('is apart from the others of the process, names and all', async () => {
      const own = await serve.start({ http: { port: 0 }, logger: SILENT })
      const name = await serveAt(() => 'first')
      await own.createBackend(name, () => 'second')
      await own.createEndpoint(name, { backend: name, route: `/${name}` })
      expect(await (await fetch(`${url}/${name}`)).text()).to.equal('first')
      expect(await (await fetch(`${own.http?.url}/${name}`)).text()).to.equal('second')
      await own.shutdown()
      expect(await (await fetch(`${url}/${name}`)).text()).to.equal('first')
    })

    it('ends once, however often it is shut down, and answers nobody then', async () => {
      const own = await serve.start({ http: { port: 0 }, logger: SILENT })
      await Promise.all([own.shutdown(), own.shutdown(), own.close()])
      const failure = await fetch(`${own.http?.url}/-/healthz`).then(
        () => 'answered',
        () => 'refused',
      )
      expect(failure).to.equal('refused')
    })

    it('writes to the logger that it was given', async () => {
      const lines: string[] = []
      const log = (_fields: object, message: string): void => void lines.push(message)
      const own = await serve.start({ http: { port: 0 }, logger: { debug: log, info: log, warn: log, error: log } })
      await own.close()
      expect(lines).to.include('gateway.listening')
    })

    it('is what connect reaches inside of a backend', async () => {
      const target = await serveAt(() => 'reached')
      class Nested {
        client: { getHandle(endpoint: string): { remote(): Promise<unknown> } } | undefined
        init(context: serve.InitContext): void {
          this.client = context.connect() as never
        }
        call(request: serve.ServeRequest<string>): unknown {
          return this.client?.getHandle(request.data).remote()
        }
      }
      const name = await serveAt(Nested)
      expect(await client.getHandle(name).remote(target)).to.equal('reached')
    })
  })

  describe('a backend', () => {
    it('may be a class without call, of which only calls to call fail', async () => {
      const name = await serveAt(
        class {
          other(): string {
            return 'there'
          }
        },
      )
      expect(await client.getHandle(name).options({ methodName: 'other' }).remote()).to.equal('there')
      expect(await codeOf(client.getHandle(name).remote())).to.equal('ERR_METHOD_NOT_FOUND')
    })

    it('is made once for a tag, unless told to keep or to replace', async () => {
      const name = await serveAt(() => 1)
      expect(await codeOf(client.createBackend(name, () => 2))).to.equal('ERR_BACKEND_EXISTS')
      await client.createBackend(name, () => 3, { ifExists: 'keep' })
      expect(await client.getHandle(name).remote()).to.equal(1)
      await client.createBackend(name, () => 4, { ifExists: 'replace' })
      expect(await client.getHandle(name).remote()).to.equal(4)
    })

    it('takes maxBatchSize 1 whatever its handler takes', async () => {
      const name = await serveAt(() => 'single', { config: { maxBatchSize: 1 } })
      expect(await client.getHandle(name).remote()).to.equal('single')
    })

    it('tells its config, filled up, alone and in the list', async () => {
      const name = await serveAt(() => 1, { config: { maxConcurrentQueries: 3 } })
      const config = await client.getBackendConfig(name)
      expect(config).to.include({ numReplicas: 1, maxConcurrentQueries: 3, requestTimeoutMs: 30_000 })
      expect((await client.listBackends())[name]).to.deep.equal(config)
    })

    it('is unknown under a tag that nobody made', async () => {
      expect(await codeOf(client.getBackendConfig('nobody'))).to.equal('ERR_BACKEND_NOT_FOUND')
      expect(await codeOf(client.updateBackendConfig('nobody', {}))).to.equal('ERR_BACKEND_NOT_FOUND')
    })

    it('tells its replicas who they are', async () => {
      class Named {
        who: string[] = []
        init(context: serve.InitContext): void {
          this.who = [context.backend, context.replicaId]
        }
        call(): string[] {
          return this.who
        }
      }
      const name = await serveAt(Named)
      const [backend, replicaId] = (await client.getHandle(name).remote()) as string[]
      expect(backend).to.equal(name)
      expect(replicaId).to.match(new RegExp(`^${name}#[a-z0-9]{6}$`))
    })

    it('gives its replicas the environment that was asked for and no other', async () => {
      const name = await serveAt(() => ({ ...process.env }), { replicaOptions: { env: { MODEL: 'small' } } })
      expect(await client.getHandle(name).remote()).to.deep.equal({ MODEL: 'small' })
    })

    it('is loaded from a module, with imports of its own, inside its replicas', async () => {
      const name = await serveAt(serve.module(new URL('../fixtures/greeter.ts', import.meta.url), 'Greeter'), { initArgs: ['hi'] })
      expect(await client.getHandle(name).remote('Ada')).to.equal('hi Ada')
    })

    it('cannot be deleted while an endpoint names it, even at weight 0 or as a shadow', async () => {
      const [user, idle, shadow] = [await serveAt(() => 1), `idle-${names}`, `shadow-${names++}`]
      for (const tag of [idle, shadow]) await client.createBackend(tag, () => 2)
      await client.setTraffic(user, { [user]: 1, [idle]: 0 })
      await client.shadowTraffic(user, shadow, 0.5)
      for (const tag of [user, idle, shadow]) {
        const error = await rejection(client.deleteBackend(tag))
        expect([error.code, error.details?.endpoints]).to.deep.equal(['ERR_BACKEND_IN_USE', [user]])
      }
    })

    it('leaves its tag free for other code when it is deleted', async () => {
      const name = await serveAt(() => 'old')
      await client.deleteEndpoint(name)
      await client.deleteBackend(name)
      await client.createBackend(name, () => 'new')
      await client.createEndpoint(name, { backend: name })
      expect(await client.getHandle(name).remote()).to.equal('new')
    })

    it('may be deleted twice, or without ever having been', async () => {
      await client.deleteBackend('never-there')
      await client.deleteEndpoint('never-there')
    })
  })

  describe('an endpoint', () => {
    it('needs a backend that is there, and leaves no route behind when it is not', async () => {
      expect(await codeOf(client.createEndpoint('lost', { backend: 'nobody', route: '/lost' }))).to.equal('ERR_BACKEND_NOT_FOUND')
      expect((await fetch(`${url}/lost`)).status).to.equal(404)
      expect(Object.keys(await client.listEndpoints())).not.to.include('lost')
    })

    it('does not take a name or a route that another one has', async () => {
      const name = await serveAt(() => 1)
      expect(await codeOf(client.createEndpoint(name, { backend: name, route: '/other' }))).to.equal('ERR_ENDPOINT_EXISTS')
      expect(await codeOf(client.createEndpoint('other', { backend: name, route: `/${name}` }))).to.equal('ERR_ROUTE_EXISTS')
      expect((await fetch(`${url}/other`)).status).to.equal(404)
    })

    it('is not seen over HTTP without a route, whatever its name', async () => {
      const name = await serveAt(() => 1)
      await client.createEndpoint('/headless', { backend: name })
      expect(await client.getHandle('/headless').remote()).to.equal(1)
      expect((await fetch(`${url}/headless`)).status).to.equal(404)
      expect(Object.keys((await (await fetch(`${url}/-/routes`)).json()) as object)).not.to.include('/headless')
    })

    it('is listed with route, methods, traffic and shadows', async () => {
      const name = await serveAt(() => 1, {}, ['get', 'Post'])
      const shadow = await serveAt(() => 2)
      await client.shadowTraffic(name, shadow, 0.25)
      expect((await client.listEndpoints())[name]).to.deep.equal({
        route: `/${name}`,
        methods: ['GET', 'POST'],
        traffic: { [name]: 1 },
        shadows: { [shadow]: 0.25 },
      })
    })

    it('answers as soon as its creation has resolved, and 404 as soon as its deletion has', async () => {
      const name = await serveAt(() => 'here')
      expect((await fetch(`${url}/${name}`)).status).to.equal(200)
      await client.deleteEndpoint(name)
      expect((await fetch(`${url}/${name}`)).status).to.equal(404)
      expect(Object.keys(await client.listBackends())).to.include(name)
    })

    it('leaves its name and its route free when it is deleted, for handles made before too', async () => {
      const name = await serveAt(() => 'first')
      const other = await serveAt(() => 'second')
      const handle = client.getHandle(name)
      await client.deleteEndpoint(name)
      const error = await rejection(handle.remote())
      expect([error.code, error.outcome]).to.deep.equal(['ERR_ENDPOINT_NOT_FOUND', 'not-started'])
      await client.createEndpoint(name, { backend: other, route: `/${name}` })
      expect(await handle.remote()).to.equal('second')
    })

    it('fails the calls that wait in it when it is deleted, and lets the one that runs end', async () => {
      const [started, released] = [deferred(), deferred()]
      const hold = (): Promise<void> => {
        started.resolve()
        return released.promise
      }
      const name = await serveAt(hold, { config: { maxConcurrentQueries: 1 }, replicaOptions: { isolation: 'inline' } })
      const handle = client.getHandle(name)
      const running = handle.remote()
      await started.promise
      const waiting = [1, 2, 3].map(() => codeOf(handle.remote()))
      await client.deleteEndpoint(name)
      expect(new Set(await Promise.all(waiting))).to.deep.equal(new Set(['ERR_ENDPOINT_NOT_FOUND']))
      released.resolve()
      expect(await running).to.equal(undefined)
    })

    it('is unknown to traffic and shadows when nobody made it', async () => {
      const name = await serveAt(() => 1)
      expect(await codeOf(client.setTraffic('nobody', { [name]: 1 }))).to.equal('ERR_ENDPOINT_NOT_FOUND')
      expect(await codeOf(client.shadowTraffic('nobody', name, 1))).to.equal('ERR_ENDPOINT_NOT_FOUND')
    })

    it('sends a shard key to one backend, and there to any replica', async () => {
      class Who {
        id = ''
        init(context: serve.InitContext): void {
          this.id = context.replicaId
        }
        async call(): Promise<string> {
          await new Promise((resolve) => setTimeout(resolve, 5))
          return this.id
        }
      }
      const name = await serveAt(Who, { config: { numReplicas: 3, maxConcurrentQueries: 1 } })
      const other = await serveAt(Who)
      await client.setTraffic(name, { [name]: 0.5, [other]: 0.5 })
      const byKey = async (key: string): Promise<string[]> => {
        const handle = client.getHandle(name).options({ shardKey: key })
        return (await Promise.all(Array.from({ length: 30 }, () => handle.remote()))) as string[]
      }
      const seen = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map(byKey))
      for (const ids of seen) expect(new Set(ids.map((id) => id.split('#')[0])).size).to.equal(1)
      expect(Math.max(...seen.map((ids) => new Set(ids).size))).to.equal(3)
    })

    it('takes the shard key of the header for that of a handle', async () => {
      const name = await serveAt(() => 'one')
      const other = await serveAt(() => 'two')
      await client.setTraffic(name, { [name]: 0.5, [other]: 0.5 })
      for (const key of ['a', 'b', 'c', 'session-1', 'héllo']) {
        const byHandle = await client.getHandle(name).options({ shardKey: key }).remote()
        const headers = { 'X-Serve-Shard-Key': key }
        expect(await (await fetch(`${url}/${name}`, { headers })).text(), key).to.equal(byHandle)
      }
    })

    it('never lets a shadow that hangs delay an answer, and counts the copies dropped', async () => {
      const hanging = await serveAt(() => new Promise(() => {}), { config: { maxConcurrentQueries: 1, maxQueuedRequests: 0 } })
      const name = await serveAt((request: serve.ServeRequest) => request.data)
      await client.shadowTraffic(name, hanging, 1)
      const handle = client.getHandle(name).options({ timeoutMs: 20_000 })
      expect(await Promise.all([1, 2, 3].map((data) => handle.remote(data)))).to.deep.equal([1, 2, 3])
      expect((await client.status()).endpoints[name]).to.include({ shadowed: 3, shadowsDropped: 2 })
    })
  })

  describe('a call', () => {
    it('starts at most maxConcurrentQueries in a replica, whoever calls', async () => {
      class Peak {
        running = 0
        peak = 0
        async call(): Promise<number> {
          this.peak = Math.max(this.peak, ++this.running)
          await new Promise((resolve) => setTimeout(resolve, 10))
          this.running--
          return this.peak
        }
      }
      const name = await serveAt(Peak, { config: { maxConcurrentQueries: 2 } })
      const [first, second] = [client.getHandle(name), client.getHandle(name)]
      const overHttp = async (): Promise<number> => (await (await fetch(`${url}/${name}`)).json()) as number
      const peaks = await Promise.all([1, 2, 3].flatMap(() => [first.remote(), second.remote(), overHttp()]))
      expect(Math.max(...(peaks as number[]))).to.equal(2)
    })

    it('runs a synchronous handler one after the other, and asynchronous ones side by side', async () => {
      class Both {
        running = 0
        peak = 0
        call(): number {
          this.peak = Math.max(this.peak, ++this.running)
          this.running--
          return this.peak
        }
        async wait(): Promise<number> {
          this.peak = Math.max(this.peak, ++this.running)
          await new Promise((resolve) => setTimeout(resolve, 20))
          this.running--
          return this.peak
        }
      }
      const name = await serveAt(Both)
      const handle = client.getHandle<typeof Both>(name)
      expect(Math.max(...(await Promise.all([1, 2, 3, 4].map(() => handle.remote()))))).to.equal(1)
      expect(Math.max(...(await Promise.all([1, 2, 3, 4].map(() => handle.wait.remote()))))).to.equal(4)
    })

    it('of a method that is not there says which there are', async () => {
      const name = await serveAt(
        class {
          call(): void {}
          other(): void {}
        },
      )
      const error = await rejection(client.getHandle(name).options({ methodName: 'oter' }).remote())
      expect(error.code).to.equal('ERR_METHOD_NOT_FOUND')
      expect(error.message).to.include('call, other')
      const answer = await fetch(`${url}/${name}`, { headers: { 'x-serve-call-method': 'oter' } })
      expect(answer.status).to.equal(404)
    })

    it('gives its handler one argument, the request, which adds up like the number it carries', async () => {
      class StatefulProcessor {
        count = 1
        call(): { current: number } {
          return { current: this.count }
        }
        otherMethod(...given: number[]): number {
          this.count += given[0] as number
          return given.length
        }
      }
      const name = await serveAt(StatefulProcessor)
      expect(await client.getHandle(name).options({ methodName: 'otherMethod' }).remote(5, { more: 1 })).to.equal(1)
      expect(await client.getHandle(name).remote()).to.deep.equal({ current: 6 })
    })

    it('over HTTP and one by handle share a batch', async () => {
      class Sizes {
        static batch = ['call']
        async call(requests: unknown[]): Promise<number[]> {
          await new Promise((resolve) => setTimeout(resolve, 20))
          return requests.map(() => requests.length)
        }
      }
      const name = await serveAt(Sizes, { config: { maxBatchSize: 2, batchWaitTimeoutMs: 5_000 } })
      const overHttp = fetch(`${url}/${name}`).then((answer) => answer.json())
      expect(await Promise.all([overHttp, client.getHandle(name).remote()])).to.deep.equal([2, 2])
    })

    it('resolves a response that is its data or an argument, and refuses one further inside', async () => {
      const name = await serveAt((request: serve.ServeRequest) => [request.data, request.args.x])
      const handle = client.getHandle(name)
      expect(await handle.remote(handle.remote(1), { x: handle.remote(2) })).to.deep.equal([
        [1, undefined],
        [2, undefined],
      ])
      const nested = await rejection(handle.remote({ inside: handle.remote(3) }))
      expect([nested.code, nested.details?.path]).to.deep.equal(['ERR_NOT_SERIALIZABLE', 'data.inside'])
    })

    it('whose replica ends is answered with 502', async () => {
      const name = await serveAt(() => process.exit(1))
      const answer = await fetch(`${url}/${name}`)
      expect([answer.status, ((await answer.json()) as Seen).code]).to.deep.equal([502, 'ERR_REPLICA_DIED'])
    })

    it('answers compact JSON, with Maps and bytes inside as JSON sees them', async () => {
      const name = await serveAt(() => ({ list: [1, { a: null }], map: new Map([[1, 2]]), when: new Date(0) }))
      const answer = await fetch(`${url}/${name}`)
      expect(await answer.text()).to.equal('{"list":[1,{"a":null}],"map":{},"when":"1970-01-01T00:00:00.000Z"}')
    })

    it('by HTTP costs single-digit milliseconds at the median', async () => {
      const bare = createServer((_request, response) => response.end()).listen(0, '127.0.0.1')
      await once(bare, 'listening')
      const urls = [`${url}/${await serveAt(() => undefined)}`, `http://127.0.0.1:${(bare.address() as AddressInfo).port}`]
      const took: number[][] = [[], []]
      // By turns, so that both meet the same machine.
      for (let i = 0; i < 400; i++) {
        const startedAtMs = performance.now()
        await (await fetch(urls[i % 2] as string)).arrayBuffer()
        took[i % 2]?.push(performance.now() - startedAtMs)
      }
      bare.close()
      const [ours, plain] = took.map((all) => all.sort((a, b) => a - b)[100]) as [number, number]
      // A machine on which a bare server takes more than one gets ten times as many.
      expect(ours).to.be.below(10 * Math.max(1, plain))
    })

    it('is one of 3,000 over HTTP, 50 at a time, and each is answered', async () => {
      const name = await serveAt((request: serve.ServeRequest) => request.args.n)
      let next = 0
      const wrong: number[] = []
      const caller = async (): Promise<void> => {
        for (let n = next++; n < 3_000; n = next++) {
          const answer = await fetch(`${url}/${name}?n=${n}`)
          if ((await answer.text()) !== String(n)) wrong.push(n)
        }
      }
      await Promise.all(Array.from({ length: 50 }, caller))
      expect(wrong).to.deep.equal([])
    })

    it('does not speak WebSocket: an offer to upgrade is refused with 501', async () => {
      const name = await serveAt(() => 'plain')
      const upgrade = ['connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13', 'sec-websocket-key: dGhlIHNhbXBsZQ==']
      const answer = await rawRequest(
        Number(client.http?.port),
        [`GET /${name} HTTP/1.1`, 'host: localhost', ...upgrade, '', ''].join('\r\n'),
      )
      expect(answer).to.match(/^HTTP\/1\.1 501 /)
      expect((await fetch(`${url}/${name}`)).status).to.equal(200)
    })
  })

  describe('a handle', () => {
    it('may be had before its endpoint when missingOk, and works once that is there', async () => {
      const handle = client.getHandle('later', { missingOk: true })
      expect(await codeOf(handle.remote())).to.equal('ERR_ENDPOINT_NOT_FOUND')
      const name = await serveAt(() => 'there')
      await client.createEndpoint('later', { backend: name })
      expect(await handle.remote()).to.equal('there')
    })

    it('gives a promise at once, which wait sorts by whether it has settled', async () => {
      const name = await serveAt(async (request: serve.ServeRequest) => {
        if (request.data === 'slow') await new Promise(() => {})
        return request.data
      })
      const handle = client.getHandle(name)
      const slow = handle.remote('slow')
      const fast = handle.remote('fast')
      expect(slow).to.be.instanceOf(Promise)
      expect(await serve.wait([slow, fast], { numReturns: 1 })).to.deep.equal([[fast], [slow]])
      slow.cancel()
      expect(await codeOf(slow)).to.equal('ERR_CANCELLED')
    })

    it('is not bound by the HTTP methods of its endpoint', async () => {
      const name = await serveAt(see, {}, ['GET'])
      const seen = (await client.getHandle(name).options({ httpMethod: 'DELETE' }).remote()) as Seen
      expect(seen.method).to.equal('DELETE')
      expect((await fetch(`${url}/${name}`, { method: 'DELETE' })).status).to.equal(405)
    })

    it('is immutable: options give another one, and the last value wins', async () => {
      const name = await serveAt(see)
      const plain = client.getHandle(name)
      const post = plain.options({ httpMethod: 'POST', httpHeaders: { 'x-a': '1' } })
      const put = post.options({ httpMethod: 'PUT' })
      const seen = (await Promise.all([plain.remote(), post.remote(), put.remote()])) as Seen[]
      expect(seen.map(({ method, headers }) => [method, headers])).to.deep.equal([
        ['GET', {}],
        ['POST', { 'x-a': '1' }],
        ['PUT', { 'x-a': '1' }],
      ])
    })

    it('has a name to show', async () => {
      const name = await serveAt(() => 1)
      expect(String(client.getHandle(name))).to.equal(`ServeHandle(endpoint='${name}')`)
    })

    it('takes the traffic, as HTTP does', async () => {
      const name = await serveAt(() => 'old')
      const other = await serveAt(() => 'new')
      await client.setTraffic(name, { [other]: 1 })
      expect(await client.getHandle(name).remote()).to.equal('new')
      expect(await (await fetch(`${url}/${name}`)).text()).to.equal('new')
    })
  })

  describe('a request', () => {
    it('by handle without anything has the defaults and no header of its own', async () => {
      const name = await serveAt(see)
      const { id, ...seen } = (await client.getHandle(name).remote()) as Seen
      expect(id).to.be.a('string').that.is.not.equal('')
      expect(seen).to.deep.equal({
        isServeRequest: true,
        isRequest: false,
        method: 'GET',
        url: `shoal://${name}/`,
        headers: {},
        args: {},
        data: undefined,
      })
    })

    const rows: readonly (readonly [what: string, overHttp: (at: string) => Promise<Response>, byHandle: Call, seen: Seen])[] = [
      [
        'headers',
        (at) => fetch(at, { headers: { 'X-Tone': 'kind' } }),
        (handle) => handle.options({ httpHeaders: { 'X-Tone': 'kind' } }).remote(),
        { tone: 'kind' },
      ],
      [
        'the method',
        (at) => fetch(at, { method: 'POST' }),
        (handle) => handle.options({ httpMethod: 'POST' }).remote(),
        { method: 'POST' },
      ],
      [
        'JSON',
        (at) => fetch(at, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":[1]}' }),
        (handle) => handle.remote({ a: [1] }),
        { data: { a: [1] }, json: { a: [1] } },
      ],
      [
        'a form',
        (at) => fetch(at, { method: 'POST', body: new URLSearchParams({ a: 'b', c: 'd' }) }),
        (handle) => handle.remote({ a: 'b', c: 'd' }),
        {
          data: { a: 'b', c: 'd' },
          form: { a: 'b', c: 'd' },
          formData: [
            ['a', 'b'],
            ['c', 'd'],
          ],
        },
      ],
      ['a query', (at) => fetch(`${at}?a=b`), (handle) => handle.remote(undefined, { a: 'b' }), { args: { a: 'b' } }],
      [
        'a long text',
        (at) => fetch(at, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'long '.repeat(1_000) }),
        (handle) => handle.remote('long '.repeat(1_000)),
        { data: 'long '.repeat(1_000), text: 'long '.repeat(1_000) },
      ],
    ]
    for (const [what, overHttp, byHandle, expected] of rows) {
      it(`has ${what} in the same place, over HTTP and by handle`, async () => {
        const read = async (request: serve.ServeRequest): Promise<Seen> => ({
          tone: request.headers.get('x-tone'),
          method: request.method,
          args: { ...request.args },
          data: request.data,
          text: typeof request.data === 'string' ? await request.text() : undefined,
          json: await request.json().catch(() => undefined),
          form: typeof request.data === 'object' ? { ...request.form } : undefined,
          formData: typeof request.data === 'object' ? [...(await request.formData().catch(() => []))] : undefined,
        })
        const name = await serveAt(read)
        for (const seen of [await (await overHttp(`${url}/${name}`)).json(), await byHandle(client.getHandle(name))]) {
          for (const [member, value] of Object.entries(expected)) expect((seen as Seen)[member], member).to.deep.equal(value)
        }
      })
    }

    it('carries by handle what HTTP cannot', async () => {
      const name = await serveAt((request: serve.ServeRequest<Map<string, Date>>) => request.data.get('when')?.getTime())
      expect(await client.getHandle(name).remote(new Map([['when', new Date(5)]]))).to.equal(5)
    })

    it('tells where it comes from', async () => {
      const name = await serveAt(see)
      const web = (await (await postJson(name, 1)).json()) as Seen
      const own = (await client.getHandle(name).remote(1)) as Seen
      expect([web.isRequest, web.isServeRequest, own.isRequest, own.isServeRequest]).to.deep.equal([true, false, false, true])
    })

    it('that is a web request is handed on unwrapped', async () => {
      const name = await serveAt(see)
      const request = new Request('http://front.example/path?a=b', { method: 'PUT', headers: { 'x-a': '1' }, body: 'text' })
      const { id: _id, ...seen } = (await client.getHandle(name).remote(request, { ignored: true })) as Seen
      expect(seen).to.deep.include({ isRequest: true, method: 'PUT', url: 'http://front.example/path?a=b', args: { a: 'b' }, data: 'text' })
    })

    it('passed on inside a backend stays a web request there', async () => {
      const name = await serveAt(see)
      class Front {
        next: serve.UntypedHandle
        constructor(next: serve.UntypedHandle) {
          this.next = next
        }
        call(request: Request): unknown {
          return this.next.remote(request)
        }
      }
      const front = await serveAt(Front, { initArgs: [client.getHandle(name)] })
      const seen = (await (await postJson(front, { a: 1 })).json()) as Seen
      expect(seen).to.deep.include({ isRequest: true, method: 'POST', data: { a: 1 } })
    })
  })

  describe('what is not built yet', () => {
    it('fails with ERR_UNSUPPORTED', async () => {
      expect(await codeOf(client.createTicket())).to.equal('ERR_UNSUPPORTED')
      expect(await codeOf(client.createTicket({ roles: ['controller'] }))).to.equal('ERR_UNSUPPORTED')
    })
  })
})

type Call = (handle: serve.UntypedHandle) => PromiseLike<unknown>

async function rejection(call: PromiseLike<unknown>): Promise<serve.ServeError> {
  try {
    await call
  } catch (error) {
    return error as serve.ServeError
  }
  throw new Error('it succeeded')
}

const codeOf = async (call: PromiseLike<unknown>): Promise<string> => (await rejection(call)).code

function deferred(): { promise: Promise<void>; resolve: () => void } {
  const made = { resolve: () => {} }
  const promise = new Promise<void>((resolve) => {
    made.resolve = resolve
  })
  return { promise, resolve: () => made.resolve() }
}

/** Sends bytes as they are; gives what comes first. */
function rawRequest(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(port, '127.0.0.1', () => socket.write(text))
    socket.once('data', (chunk) => {
      socket.destroy()
      resolve(chunk.toString('latin1'))
    })
    socket.once('error', reject)
    socket.once('close', () => resolve(''))
  })
}
