import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { GoalId, Group, HttpContender, Running } from './contender.ts'
import { type FastifyModule, type HonoModule, type HonoServerModule, peer } from './peers.ts'
import { startComlink, startPiscina, startTinypool } from './pools.ts'
import { startRaw } from './raw.ts'
import { startShoal } from './shoal.ts'
import { makeObject, type Work } from './workload.ts'

type Serve = HttpContender['serve']
type Call = (input: unknown) => Promise<unknown>
type Start = () => Promise<Running> | Running

/** A server plus, where there is one, the pool behind it. */
async function withPool(start: Start, serve: (call: Call) => ReturnType<Serve>): ReturnType<Serve> {
  const pool = await start()
  const server = await serve(pool.call)
  return { url: server.url, stop: async () => Promise.all([server.stop(), pool.stop()]) }
}

async function listen(listener: RequestListener): ReturnType<Serve> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, stop: () => server.closeAllConnections() }
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => resolve(chunks.length === 1 ? String(chunks[0]) : Buffer.concat(chunks).toString()))
    request.on('error', reject)
  })
}

const textHead = { 'content-type': 'text/plain; charset=utf-8' }
const jsonHead = { 'content-type': 'application/json; charset=utf-8' }

/** node:http by hand; `answer` gives the text, at once or later. */
const nodeGet = (answer: () => unknown): ReturnType<Serve> =>
  listen(async (_, response) => {
    const text = String(await answer())
    response.writeHead(200, { ...textHead, 'content-length': text.length })
    response.end(text)
  })

const nodeHello: Serve = () =>
  listen((_, response) => {
    response.writeHead(200, { ...textHead, 'content-length': 5 })
    response.end('hello')
  })

const nodePost = (answer: (text: string) => Promise<string>): ReturnType<Serve> =>
  listen(async (request, response) => {
    const text = await answer(await readText(request))
    response.writeHead(200, { ...jsonHead, 'content-length': Buffer.byteLength(text) })
    response.end(text)
  })

async function serveFastify(call: Call): ReturnType<Serve> {
  const { fastify } = await peer<FastifyModule>('fastify')
  const app = fastify()
  app.get('/hello', () => call('hello'))
  app.post('/echo', (request) => call(request.body))
  return { url: await app.listen({ port: 0, host: '127.0.0.1' }), stop: () => app.close() }
}

/** Fastify that answers by itself, with no promise in the way. */
async function serveFastifyAlone(): ReturnType<Serve> {
  const { fastify } = await peer<FastifyModule>('fastify')
  const app = fastify()
  app.get('/hello', () => 'hello')
  app.post('/echo', (request) => request.body)
  return { url: await app.listen({ port: 0, host: '127.0.0.1' }), stop: () => app.close() }
}

async function serveHono(call: Call | undefined, middlewares: readonly unknown[] = []): ReturnType<Serve> {
  const { Hono } = await peer<HonoModule>('hono')
  const { serve } = await peer<HonoServerModule>('@hono/node-server')
  const app = new Hono()
  for (const middleware of middlewares) app.use(middleware)
  app.get('/hello', call === undefined ? (context) => context.text('hello') : async (context) => context.text(String(await call('hello'))))
  app.post('/echo', async (context) => {
    const body = await context.req.json()
    return context.json(call === undefined ? body : await call(body))
  })
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => {
      resolve({ url: `http://127.0.0.1:${port}`, stop: () => server.close() })
    })
  })
}

async function stockCors(): Promise<unknown> {
  const { cors } = await peer<{ cors(): unknown }>('hono/cors')
  return cors()
}

const hello = (): string => 'hello'
const echo = (request: Work): unknown => request.data

/** Shoal's own gateway in front of one backend, in the gateway's thread when `inline`. */
async function serveShoal(target: unknown, endpoint: object, inline: boolean, middlewares?: readonly unknown[]): ReturnType<Serve> {
  const client = await startShoal({ http: { port: 0, ...(middlewares === undefined ? {} : { middlewares }) } })
  await client.createBackend('bench', target, inline ? { replicaOptions: { isolation: 'inline' } } : {})
  await client.createEndpoint('bench', { backend: 'bench', ...endpoint })
  const url = client.http?.url
  if (url === undefined) throw new Error('client.http.url is missing although start() was given a port')
  return { url: url.replace(/\/$/, ''), stop: () => client.close() }
}

function contender(name: string, goals: readonly GoalId[], serve: Serve): HttpContender {
  return { kind: 'http', name, goals, serve }
}

const get = { route: '/hello', methods: ['GET'] }
const post = { route: '/echo', methods: ['POST'] }
const G6: readonly GoalId[] = ['G6']
const G8: readonly GoalId[] = ['G8']

export const httpGet: Group = {
  id: 'http/get',
  title: 'HTTP GET hello, answered in-process or by a worker (->), 64 connections',
  base: 'node:http',
  rateTitle: 'requests/s',
  probe: { method: 'GET', path: '/hello', expected: 'hello' },
  contenders: [
    contender('shoal inline', G6, () => serveShoal(hello, get, true)),
    contender('shoal inline, cors()', G6, async () => serveShoal(hello, get, true, [await stockCors()])),
    contender('node:http', ['G6', 'G8'], nodeHello),
    contender('fastify', ['G6', 'G8'], serveFastifyAlone),
    contender('hono', G6, () => serveHono(undefined)),
    contender('hono, cors()', G6, async () => serveHono(undefined, [await stockCors()])),
    contender('shoal -> replica', G8, () => serveShoal(hello, get, false)),
    contender('node:http -> postMessage', G8, () =>
      withPool(
        () => startRaw('echo'),
        (call) => nodeGet(() => call('hello')),
      ),
    ),
    contender('fastify -> piscina tuned', G8, () => withPool(() => startPiscina('echo', 1, 64), serveFastify)),
    contender('hono -> comlink', G8, () => withPool(() => startComlink('echo'), serveHono)),
  ],
}

const body = JSON.stringify(makeObject(1))
const G7: readonly GoalId[] = ['G7']

export const httpPost: Group = {
  id: 'http/post',
  title: 'HTTP POST of 1 KB JSON, parsed and echoed by a worker (->), 64 connections',
  base: 'node:http -> postMessage(object)',
  rateTitle: 'requests/s',
  probe: { method: 'POST', path: '/echo', body, expected: body },
  contenders: [
    contender('shoal -> replica', G7, () => serveShoal(echo, post, false)),
    contender('shoal -> replica, cors()', G7, async () => serveShoal(echo, post, false, [await stockCors()])),
    contender('node:http -> postMessage(object)', G7, () =>
      withPool(
        () => startRaw('echo'),
        (call) => nodePost(async (text) => JSON.stringify(await call(JSON.parse(text)))),
      ),
    ),
    contender('node:http -> postMessage(text)', G7, () =>
      withPool(
        () => startRaw('text'),
        (call) => nodePost(async (text) => String(await call(text))),
      ),
    ),
    contender('fastify', G7, serveFastifyAlone),
    contender('fastify -> piscina tuned', G7, () => withPool(() => startPiscina('echo', 1, 64), serveFastify)),
    contender('fastify -> tinypool tuned', G7, () => withPool(() => startTinypool('echo'), serveFastify)),
    contender('hono -> comlink', G7, () => withPool(() => startComlink('echo'), serveHono)),
  ],
}
