/** Cross-Origin Resource Sharing and other HTTP features: any Hono middlewares, the first is outermost. */
import assert from 'node:assert/strict'
import { cors } from 'hono/cors'
import { secureHeaders } from 'hono/secure-headers'
import * as serve from '../../node/index.ts'

const client = await serve.start({
  http: { port: 0, middlewares: [cors({ origin: '*', allowMethods: ['GET', 'POST'] }), secureHeaders()] },
})
await client.createBackend('echo', (request: serve.ServeRequest) => request.data)
await client.createEndpoint('echo', { backend: 'echo', route: '/echo', methods: ['POST'] })

const url = `${client.http?.url}/echo`
const origin = 'https://app.example'

// The browser asks first; the middleware answers in the gateway's place.
const preflight = await fetch(url, {
  method: 'OPTIONS',
  headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
})
assert.equal(preflight.status, 204)
assert.equal(preflight.headers.get('access-control-allow-origin'), '*')
assert.match(preflight.headers.get('access-control-allow-methods') ?? '', /POST/)

// Then it sends; and middlewares see every answer, errors too.
const answer = await fetch(url, { method: 'POST', headers: { origin, 'content-type': 'text/plain' }, body: 'hello' })
assert.equal(await answer.text(), 'hello')
assert.equal(answer.headers.get('access-control-allow-origin'), '*')
const missing = await fetch(`${client.http?.url}/nowhere`)
assert.equal(missing.status, 404)
assert.equal(missing.headers.get('x-content-type-options'), 'nosniff')

await client.close()
