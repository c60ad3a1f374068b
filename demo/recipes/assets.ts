/** A file that goes along with a backend, such as the weights of a model: named in `initArgs`, read inside the replica. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

class Capitals {
  file: serve.Asset
  table: Record<string, string> = {}

  constructor(file: serve.Asset) {
    this.file = file
  }

  /** Awaited before the first call; `createBackend` resolves when it is done. */
  async init(): Promise<void> {
    this.table = JSON.parse(new TextDecoder().decode(await this.file.bytes()))
  }

  call(request: serve.ServeRequest): string {
    return this.table[String(request.args.country)] ?? 'unknown'
  }
}

const client = await serve.start({ http: { port: 0 } })
await client.createBackend('capitals', Capitals, { initArgs: [serve.asset(new URL('./capitals.json', import.meta.url))] })
await client.createEndpoint('capitals', { backend: 'capitals', route: '/capital' })

const answer = await fetch(`${client.http?.url}/capital?country=Japan`)
assert.equal(await answer.text(), 'Tokyo')

// A file that is not there fails the start, with the cause; nothing is left behind.
await assert.rejects(client.createBackend('nothing', Capitals, { initArgs: [serve.asset(new URL('./nothing.json', import.meta.url))] }), {
  code: 'ERR_BACKEND_START_FAILED',
})
assert.deepEqual(Object.keys(await client.listBackends()), ['capitals'])

await client.close()
