/** A function behind a route. `GET /hello` greets; a query says whom. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

const client = await serve.start({ http: { port: 0 } })

await client.createBackend('hello', (request: serve.ServeRequest) => `hello ${request.args.name ?? 'serve!'}`)
await client.createEndpoint('hello', { backend: 'hello', route: '/hello' })

const text = async (path: string): Promise<string> => (await fetch(`${client.http?.url}${path}`)).text()
assert.equal(await text('/hello'), 'hello serve!')
assert.equal(await text('/hello?name=x'), 'hello x')

await client.close()
