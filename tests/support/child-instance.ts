/** A process with a named instance, which prints `up` and then waits to be killed: `node child-instance.ts NAME`. */
import * as serve from '../../node/index.ts'

const client = await serve.start({
  name: process.argv[2] ?? 'child',
  http: false,
  logger: { debug() {}, info() {}, warn() {}, error() {} },
})
await client.createBackend('never', () => new Promise(() => {}), { config: { requestTimeoutMs: 600_000 } })
await client.createBackend('endless', async function* () {
  yield 1
  await new Promise(() => {})
})
await client.createBackend('echo', (request: { data: unknown }) => request.data)
for (const name of ['never', 'endless', 'echo']) await client.createEndpoint(name, { backend: name })
process.stdout.write('up\n')
