/** An answer that comes in parts: an async generator, read by `for await`, as a body, or as server-sent events. */
import assert from 'node:assert/strict'
import * as serve from '../../node/index.ts'

async function* words(request: serve.ServeRequest): AsyncGenerator<string> {
  for (const word of `you said ${request.args.text}`.split(' ')) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    yield `${word} `
  }
}

const client = await serve.start({ http: { port: 0 } })
await client.createBackend('words', words)
await client.createEndpoint('words', { backend: 'words', route: '/words' })

// By handle: a response is an async iterable of the parts.
const parts: unknown[] = []
for await (const part of client.getHandle('words').remote(undefined, { text: 'good morning' })) parts.push(part)
assert.deepEqual(parts, ['you ', 'said ', 'good ', 'morning '])

// Leaving the loop ends the generator: its `finally` runs, and the slot is free again.
for await (const part of client.getHandle('words').remote(undefined, { text: 'never heard' })) {
  assert.equal(part, 'you ')
  break
}

// Over HTTP: a body that is sent as it comes.
const url = `${client.http?.url}/words?text=good+morning`
assert.equal(await (await fetch(url)).text(), 'you said good morning ')

// And as server-sent events, when they are asked for.
const events = await fetch(url, { headers: { accept: 'text/event-stream' } })
assert.match(events.headers.get('content-type') ?? '', /^text\/event-stream/)
const data = (await events.text()).split('\n').filter((line) => line.startsWith('data:'))
assert.deepEqual(
  data.map((line) => line.slice(5).trim()),
  ['you', 'said', 'good', 'morning'],
)

await client.close()
