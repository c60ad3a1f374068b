/** Inside a web server that is there already: its handler awaits a handle, or hands whole requests on. No gateway is opened. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import * as serve from '../../node/index.ts'

const client = await serve.start({ http: false })
await client.createBackend('shout', (request: serve.ServeRequest) => String(request.data ?? 'nothing').toUpperCase())
await client.createEndpoint('shout', { backend: 'shout', route: '/shout', methods: ['POST'] })
const handle = client.getHandle('shout')

const server = createServer(async (request, response) => {
  const body = Readable.toWeb(request) as ReadableStream<Uint8Array>
  if (request.url === '/ours') {
    // One route of the server's own, answered with the help of a model.
    const text = await new Response(body).text()
    response.end(`ours: ${await handle.remote(text)}`)
    return
  }
  // Everything else is the instance's: routes, methods, errors and headers as its own gateway would answer.
  const { method = 'GET', url = '/', headers } = request
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const answer = await client.fetch(
    new Request(new URL(url, 'http://localhost'), {
      method,
      headers: Object.entries(headers).map(([name, value]) => [name, String(value)]),
      ...(hasBody && { body, duplex: 'half' }),
    }),
  )
  response.writeHead(answer.status, Object.fromEntries(answer.headers))
  response.end(await answer.bytes())
})
await once(server.listen(0, '127.0.0.1'), 'listening')
const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const post = (path: string): Promise<Response> => fetch(base + path, { method: 'POST', body: 'hello' })
assert.equal(await (await post('/ours')).text(), 'ours: HELLO')
assert.equal(await (await post('/shout')).text(), 'HELLO')
assert.equal((await post('/nowhere')).status, 404)
assert.equal((await fetch(`${base}/shout`)).headers.get('allow'), 'POST')

server.close()
await client.close()
