import { deepStrictEqual, strictEqual } from 'node:assert/strict'

/** The part of a request that the work reads: peers wrap their input in it, Shoal hands its own request over. */
export interface Work {
  readonly data: unknown
}

/** Fixed work without a clock in it: `data` turns of integer arithmetic. Self-contained, so it may travel to a replica as source. */
export function burn(request: Work): number {
  const turns = Number(request.data)
  let hash = 17
  for (let turn = 0; turn < turns; turn++) hash = Math.imul(hash ^ turn, 2_654_435_761) ^ (hash >>> 13)
  return hash
}

/** How many turns of `burn` take 5 ms here, best of several tries. */
export function calibrateBurn(): number {
  const turns = 1_000_000
  burn({ data: turns })
  let bestMs = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < 12; attempt++) {
    const startMs = performance.now()
    burn({ data: turns })
    bestMs = Math.min(bestMs, performance.now() - startMs)
  }
  return Math.round((turns * 5) / bestMs)
}

/** A model that costs 2 ms a batch and 0.05 ms an item. Answers each item with `item * 1000 + batch size`. Self-contained. */
export function runBatch(requests: readonly Work[]): number[] {
  const untilMs = performance.now() + 2 + 0.05 * requests.length
  while (performance.now() < untilMs);
  return requests.map((request) => Number(request.data) * 1_000 + requests.length)
}

/** The same model, one item at a time. Self-contained. */
export function runSingle(request: Work): number {
  const untilMs = performance.now() + 2.05
  while (performance.now() < untilMs);
  return Number(request.data) * 1_000 + 1
}

/** Batch size that `runBatch` wrote into an answer. */
export function batchSizeOf(answer: number): number {
  return answer % 1_000
}

/** An object of about 1 KB as JSON, new for every call, with strings, numbers, a list and nested objects. */
export function makeObject(index: number): Readonly<Record<string, unknown>> {
  return {
    id: index,
    name: `customer ${index}`,
    email: 'someone@example.org',
    active: index % 2 === 0,
    address: { street: '12 Harbour Street', city: 'Shoreham', postcode: 'BN43 5DD', country: 'GB', position: { lat: 50.834, lon: -0.274 } },
    tags: ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta'],
    scores: [0.125, 0.25, 0.5, 0.75, 0.875, 1.125, 2.25, 4.5, 8.75, 16.125, 32.25, 64.5, 128.75, 256.125, 512.25, 1024.5],
    orders: [
      { sku: 'net-0001', quantity: 3, price: 12.5, note: 'leave at the door' },
      { sku: 'rope-0020', quantity: 1, price: 40.25, note: 'gift wrapped' },
      { sku: 'buoy-0300', quantity: 12, price: 7.75, note: '' },
      { sku: 'hook-4000', quantity: 100, price: 0.15, note: 'in one box' },
    ],
    comment: 'A school of fish moves as one body although no fish leads; each keeps its distance and follows its neighbours. '.repeat(3),
  }
}

/** Fails unless small numbers come back as they went in. */
export async function checkNumbers(call: (input: number) => Promise<unknown>): Promise<void> {
  const inputs = [0, 1, 7, 42, 1_000_000]
  deepStrictEqual(await Promise.all(inputs.map((input) => call(input))), inputs)
}

/** Fails unless objects come back equal to what was sent. */
export async function checkObjects(call: (input: unknown) => Promise<unknown>): Promise<void> {
  const inputs = [1, 2, 3].map(makeObject)
  deepStrictEqual(await Promise.all(inputs.map((input) => call(input))), inputs)
}

/** Fails unless bytes come back with length and content. */
export async function checkBytes(call: (input: Uint8Array) => Promise<unknown>): Promise<void> {
  const answer = await call(new Uint8Array(65_536).fill(7))
  strictEqual(
    answer instanceof Uint8Array && answer.length === 65_536 && answer[0] === 7 && answer[65_535] === 7,
    true,
    'bytes came back changed',
  )
}

/** Fails unless every item gets its own answer. */
export async function checkModel(call: (input: number) => Promise<number>): Promise<void> {
  const inputs = [1, 2, 3, 4, 5, 6, 7, 8, 9]
  const answers = await Promise.all(inputs.map((input) => call(input)))
  deepStrictEqual(
    answers.map((answer) => Math.floor(answer / 1_000)),
    inputs,
  )
}
