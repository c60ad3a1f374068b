/** Nine requests at once, a slow handler that takes four at a time: a batch is whatever waits when the replica becomes free. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

class Adder {
  static batch = ['call']

  /** Gets a list of requests and gives as many results, in order. */
  async call(requests: serve.ServeRequest<number>[]): Promise<{ answer: number; batchSize: number }[]> {
    await new Promise((resolve) => setTimeout(resolve, 200))
    return requests.map((request) => ({ answer: Number(request.data) + 1, batchSize: requests.length }))
  }
}
type Answer = { answer: number; batchSize: number }

const client = await serve.start({ http: { port: 0 } })
await client.createBackend('adder', Adder, { config: { maxBatchSize: 4 } })
await client.createEndpoint('adder', { backend: 'adder', route: '/adder', methods: ['POST'] })

const numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8]
const handle = client.getHandle<typeof Adder>('adder')
const byHandle = await Promise.all(numbers.map((number) => handle.remote(number)))

const overHttp = async (number: number): Promise<Answer> => {
  const headers = { 'content-type': 'application/json' }
  return (await fetch(`${client.http?.url}/adder`, { method: 'POST', headers, body: String(number) })).json() as Promise<Answer>
}
const byHttp = await Promise.all(numbers.map(overHttp))

for (const answers of [byHandle, byHttp]) {
  assert.deepEqual(
    answers.map(({ answer }) => answer),
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  )
  assert.equal(Math.max(...answers.map(({ batchSize }) => batchSize)), 4)
}

await client.close()
