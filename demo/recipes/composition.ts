/** A backend that calls others: two models by handle, the second only when the first is sure of something. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

class Composed {
  first: serve.UntypedHandle
  second: serve.UntypedHandle

  constructor(first: serve.UntypedHandle, second: serve.UntypedHandle) {
    this.first = first
    this.second = second
  }

  async call(request: serve.ServeRequest<number>): Promise<{ modelUsed: number; score: number }> {
    // `parent` hands on the deadline and the cancellation of the request that is being answered.
    const score = (await this.first.options({ parent: request }).remote(request.data)) as number
    if (score <= 0.5) return { modelUsed: 1, score }
    return { modelUsed: 2, score: (await this.second.options({ parent: request }).remote(request.data)) as number }
  }
}

const client = await serve.start({ http: { port: 0 } })
await client.createBackend('model-one', (request: serve.ServeRequest<number>) => request.data / 10)
await client.createBackend('model-two', (request: serve.ServeRequest<number>) => request.data * 100)
await client.createEndpoint('model-one', { backend: 'model-one' })
await client.createEndpoint('model-two', { backend: 'model-two' })

await client.createBackend('composed', Composed, { initArgs: [client.getHandle('model-one'), client.getHandle('model-two')] })
await client.createEndpoint('composed', { backend: 'composed', route: '/composed', methods: ['POST'] })

const post = async (data: number): Promise<unknown> => {
  const headers = { 'content-type': 'application/json' }
  return (await fetch(`${client.http?.url}/composed`, { method: 'POST', headers, body: JSON.stringify(data) })).json()
}
assert.deepEqual(await post(3), { modelUsed: 1, score: 0.3 })
assert.deepEqual(await post(8), { modelUsed: 2, score: 800 })

await client.close()
