/** Measures in this page and says the rounds on the console: rates a second at 64 in flight, the median of one by one, chunks a second. */

import * as serve from '/dist/shoal.min.mjs'
import * as comlink from '/packages/comlink/dist/esm/comlink.mjs'

const IN_FLIGHT = 64
const MEASURE_MS = 400
const STREAMS = 64
const CHUNKS = 1_000
const ROUNDS = 5

const moduleWorker = (text) => new Worker(URL.createObjectURL(new Blob([text], { type: 'text/javascript' })), { type: 'module' })

/** The least that can be written by hand: one message in, one message out. */
function openRaw() {
  const worker = moduleWorker('onmessage = ({ data: { id, x } }) => postMessage({ id, x })')
  const open = new Map()
  let nextId = 0
  worker.onmessage = ({ data: { id, x } }) => {
    open.get(id)(x)
    open.delete(id)
  }
  return (x) =>
    new Promise((resolve) => {
      const id = nextId++
      open.set(id, resolve)
      worker.postMessage({ id, x })
    })
}

function openComlink() {
  const proxy = comlink.wrap(
    moduleWorker(`import * as comlink from '${location.origin}/packages/comlink/dist/esm/comlink.mjs'; comlink.expose({ call: (x) => x })`),
  )
  return (x) => proxy.call(x)
}

async function openShoal(client) {
  await client.createBackend('echo', (request) => request.data)
  await client.createEndpoint('echo', { backend: 'echo' })
  const handle = client.getHandle('echo')
  return (x) => handle.remote(x)
}

async function openStreams(client) {
  const parts = async function* parts(request) {
    for (let i = 0; i < request.data; i++) yield i
  }
  await client.createBackend('parts', parts, { config: { maxConcurrentQueries: 128 } })
  await client.createEndpoint('parts', { backend: 'parts' })
  const handle = client.getHandle('parts')
  return async (count) => {
    let seen = 0
    for await (const _ of handle.remote(count)) seen++
    return seen
  }
}

/** A stream of the platform, moved to the page. */
function openTransferred() {
  const worker = moduleWorker(`onmessage = ({ data: count, ports: [port] }) => {
    let i = 0
    const stream = new ReadableStream({ pull(controller) { if (i === count) controller.close(); else controller.enqueue(i++) } })
    port.postMessage(stream, [stream])
  }`)
  return async (count) => {
    const { port1, port2 } = new MessageChannel()
    const stream = await new Promise((resolve) => {
      port1.onmessage = ({ data }) => resolve(data)
      worker.postMessage(count, [port2])
    })
    let seen = 0
    for await (const _ of stream) seen++
    return seen
  }
}

/** One message per chunk, without any credit. */
function openMessages() {
  const worker = moduleWorker(`onmessage = ({ data: count, ports: [port] }) => {
    for (let i = 0; i < count; i++) port.postMessage(i)
    port.postMessage('end')
  }`)
  return (count) =>
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel()
      let seen = 0
      port1.onmessage = ({ data }) => {
        if (data === 'end') resolve(seen)
        else seen++
      }
      worker.postMessage(count, [port2])
    })
}

async function rateOf(call) {
  const untilMs = performance.now() + MEASURE_MS
  let done = 0
  const lane = async () => {
    while (performance.now() < untilMs) {
      await call(1)
      done++
    }
  }
  const startMs = performance.now()
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
  return done / ((performance.now() - startMs) / 1_000)
}

/** The clock of an ordinary page is coarse, so calls are timed by the hundred there, and no tail is to be seen. */
async function oneByOneMsOf(call) {
  const together = crossOriginIsolated ? 1 : 100
  const took = []
  const untilMs = performance.now() + MEASURE_MS
  while (performance.now() < untilMs) {
    const startMs = performance.now()
    for (let i = 0; i < together; i++) await call(1)
    took.push((performance.now() - startMs) / together)
  }
  took.sort((a, b) => a - b)
  return [took[Math.floor(took.length * 0.5)], crossOriginIsolated ? took[Math.floor(took.length * 0.99)] : null]
}

async function chunkRateOf(read) {
  const startMs = performance.now()
  const seen = await Promise.all(Array.from({ length: STREAMS }, () => read(CHUNKS)))
  if (seen.some((count) => count !== CHUNKS)) throw new Error('a stream lost chunks')
  return (STREAMS * CHUNKS) / ((performance.now() - startMs) / 1_000)
}

const client = await serve.start()
const calls = { raw: openRaw(), comlink: openComlink(), shoal: await openShoal(client) }
const streams = { transferred: openTransferred(), messages: openMessages(), shoal: await openStreams(client) }
for (const call of Object.values(calls)) if ((await call(7)) !== 7) throw new Error('a wrong answer')
const rounds = []
for (let round = 0; round <= ROUNDS; round++) {
  const result = { rate: {}, oneByOneMs: {}, oneByOneP99Ms: {}, chunks: {} }
  for (const name of shuffled(Object.keys(calls))) {
    result.rate[name] = await rateOf(calls[name])
    ;[result.oneByOneMs[name], result.oneByOneP99Ms[name]] = await oneByOneMsOf(calls[name])
  }
  for (const name of shuffled(Object.keys(streams))) result.chunks[name] = await chunkRateOf(streams[name])
  // The first one warms up.
  if (round > 0) rounds.push(result)
}
console.log(`RESULT ${JSON.stringify({ rounds, isolated: crossOriginIsolated })}`)

function shuffled(names) {
  return names
    .map((name) => [Math.random(), name])
    .sort(([a], [b]) => a - b)
    .map(([, name]) => name)
}
