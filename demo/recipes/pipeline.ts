/** A diamond of four endpoints. Answers that are not there yet are passed on as arguments; only the last one is awaited. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

const client = await serve.start({ http: false })

await client.createBackend('load', (request: serve.ServeRequest<string>) => request.data.split(' '))
await client.createBackend('longest', (request: serve.ServeRequest<string[]>) =>
  request.data.reduce((longest, word) => (word.length > longest.length ? word : longest)),
)
await client.createBackend('count', (request: serve.ServeRequest<string[]>) => request.data.length)
await client.createBackend('report', (request: serve.ServeRequest) => `${request.args.count} words, the longest is ${request.args.longest}`)
for (const name of ['load', 'longest', 'count', 'report']) await client.createEndpoint(name, { backend: name })

const [load, longest, count, report] = ['load', 'longest', 'count', 'report'].map((name) => client.getHandle(name))

const words = load?.remote('a shoal of small fish')
const answer = report?.remote(undefined, { longest: longest?.remote(words), count: count?.remote(words) })
assert.equal(await answer, '5 words, the longest is shoal')

// What fails on the way fails the end, with the error of the place where it happened.
const failing = report?.remote(undefined, { longest: longest?.remote(load?.remote(5)), count: 0 })
await assert.rejects(async () => failing, { code: 'ERR_TASK' })

await client.close()
