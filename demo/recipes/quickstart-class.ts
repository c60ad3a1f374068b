/** A class behind a route: one object per replica, made once, keeps its state from call to call. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

class Counter {
  count: number

  constructor(first: number) {
    this.count = first
  }

  call(): { current: number } {
    return { current: this.count++ }
  }
}

const client = await serve.start({ http: { port: 0 } })

await client.createBackend('counter', Counter, { initArgs: [0] })
await client.createEndpoint('counter', { backend: 'counter', route: '/counter' })

const json = async (): Promise<unknown> => (await fetch(`${client.http?.url}/counter`)).json()
assert.deepEqual(await json(), { current: 0 })
assert.deepEqual(await json(), { current: 1 })

await client.close()
