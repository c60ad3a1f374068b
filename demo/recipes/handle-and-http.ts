/** One handler, called by handle and over HTTP: the same data in the same places. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

const client = await serve.start({ http: { port: 0 } })

const describe = (request: serve.ServeRequest): unknown => ({
  method: request.method,
  data: request.data,
  args: { ...request.args },
  tone: request.headers.get('x-tone'),
  fromWeb: request instanceof Request,
})
await client.createBackend('describe', describe)
await client.createEndpoint('describe', { backend: 'describe', route: '/describe', methods: ['GET', 'POST'] })

const handle = client.getHandle('describe').options({ httpMethod: 'POST', httpHeaders: { 'x-tone': 'kind' } })
const byHandle = await handle.remote({ image: [1, 2] }, { size: 'small' })

const response = await fetch(`${client.http?.url}/describe?size=small`, {
  method: 'POST',
  headers: { 'x-tone': 'kind', 'content-type': 'application/json' },
  body: JSON.stringify({ image: [1, 2] }),
})
const byHttp = await response.json()

const same = { method: 'POST', data: { image: [1, 2] }, args: { size: 'small' }, tone: 'kind' }
assert.deepEqual(byHandle, { ...same, fromWeb: false })
assert.deepEqual(byHttp, { ...same, fromWeb: true })

// A web request passed to a handle is not wrapped: the handler gets a web request.
const request = new Request('http://elsewhere.example/?size=small', { method: 'POST', body: 'text' })
assert.deepEqual(await client.getHandle('describe').remote(request), {
  method: 'POST',
  data: 'text',
  args: { size: 'small' },
  tone: null,
  fromWeb: true,
})

// Bytes that are no JSON arrive as bytes.
await client.createBackend('length', (bytes: serve.ServeRequest<Uint8Array>) => bytes.data.byteLength)
await client.createEndpoint('length', { backend: 'length', route: '/length', methods: ['POST'] })
const posted = await fetch(`${client.http?.url}/length`, { method: 'POST', body: new Uint8Array(1_000) })
assert.equal(await posted.json(), 1_000)

await client.close()
