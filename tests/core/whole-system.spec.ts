import { expect } from 'chai'
import fc from 'fast-check'
import type { ServeError } from '../../core/base/index.ts'
import { sleep } from '../../core/base/index.ts'
import type { ServeRequest } from '../../core/request/index.ts'
import { Deployment } from '../support/deployment.ts'

const BACKENDS = ['a', 'b'] as const
const REQUEST_TIMEOUT_MS = 400

type Step =
  | {
      readonly do: 'call'
      readonly count: number
      readonly idempotent: boolean
      readonly timeoutMs: number | undefined
      readonly takesMs: number
      readonly how: 'value' | 'throw' | 'stream'
    }
  | { readonly do: 'cancel' | 'kill'; readonly pick: number }
  | { readonly do: 'scale'; readonly pick: number; readonly numReplicas: number }
  | { readonly do: 'limit'; readonly pick: number; readonly maxConcurrentQueries: number }
  | { readonly do: 'split'; readonly share: number }
  | { readonly do: 'replace'; readonly pick: number }
  | { readonly do: 'advance'; readonly ms: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('call' as const),
      count: fc.integer({ min: 1, max: 5 }),
      idempotent: fc.boolean(),
      timeoutMs: fc.constantFrom(undefined, undefined, 50),
      takesMs: fc.constantFrom(0, 0, 10, 100, 1_000),
      how: fc.constantFrom('value' as const, 'value' as const, 'throw' as const, 'stream' as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('cancel' as const, 'kill' as const, 'kill' as const), pick: fc.nat(99) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('scale' as const), pick: fc.nat(1), numReplicas: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('limit' as const), pick: fc.nat(1), maxConcurrentQueries: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('split' as const), share: fc.constantFrom(0, 0.5, 1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replace' as const), pick: fc.nat(1) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 120 }) }) },
)

interface Sent {
  readonly n: number
  readonly idempotent: boolean
  cancel(): void
  end?: { readonly error: ServeError | undefined }
}

interface Order {
  readonly n: number
  readonly takesMs: number
  readonly how: 'value' | 'throw' | 'stream'
}

/** Plays one story in a system of two backends and checks, all along and at its end, what must hold whatever happens. */
async function play(steps: readonly Step[]): Promise<void> {
  const it = new Deployment()
  const executions = new Map<number, number>()
  let running = 0
  const sent: Sent[] = []
  const work = async (order: Order): Promise<unknown> => {
    running++
    try {
      if (order.takesMs > 0) await sleep(it.clock, order.takesMs)
      if (order.how === 'throw') throw new RangeError('as ordered')
      return order.n
    } finally {
      running--
    }
  }
  const parts = async function* (order: Order): AsyncGenerator<unknown> {
    for (let i = 0; i < 3; i++) yield await work({ ...order, how: 'value' })
  }
  const handler = ({ data }: ServeRequest<Order>): unknown => {
    executions.set(data.n, (executions.get(data.n) ?? 0) + 1)
    return data.how === 'stream' ? parts(data) : work(data)
  }
  const config = {
    maxConcurrentQueries: 2,
    maxQueuedRequests: 6,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    streamIdleTimeoutMs: 300,
    gracefulShutdownTimeoutMs: 500,
  }
  for (const tag of BACKENDS) await it.backend(tag, handler, config)
  await it.endpoint('e', 'a')

  const call = ({ idempotent, timeoutMs, takesMs, how }: Extract<Step, { do: 'call' }>): void => {
    const n = sent.length
    const response = it.handle('e').options({ idempotent, timeoutMs }).remote({ n, takesMs, how })
    const one: Sent = { n, idempotent, cancel: () => response.cancel() }
    sent.push(one)
    const read = async (): Promise<void> => {
      for await (const part of response) expect(part).to.equal(n)
    }
    read().then(
      () => {
        one.end = { error: undefined }
      },
      (error: ServeError) => {
        one.end = { error }
      },
    )
  }
  const act = async (one: Step): Promise<void> => {
    switch (one.do) {
      case 'call':
        for (let i = 0; i < one.count; i++) call(one)
        return
      case 'cancel':
        return sent[one.pick % Math.max(1, sent.length)]?.cancel()
      case 'kill':
        return it.host.alive[one.pick % Math.max(1, it.host.alive.length)]?.die()
      case 'scale':
        return it.controller.updateBackendConfig(BACKENDS[one.pick] ?? 'a', { numReplicas: one.numReplicas })
      case 'limit':
        return it.controller.updateBackendConfig(BACKENDS[one.pick] ?? 'a', { maxConcurrentQueries: one.maxConcurrentQueries })
      case 'split':
        return it.controller.setTraffic('e', { a: one.share, b: 1 - one.share })
      case 'replace':
        return it.controller.replaceBackend(it.spec(BACKENDS[one.pick] ?? 'a', handler, config))
      case 'advance':
        return it.advance(one.ms)
    }
  }
  const check = (): void => {
    let received = 0
    for (const tag of BACKENDS) {
      const { counters } = it.queue(tag)
      expect(counters.received).to.equal(counters.admitted + counters.rejected)
      received += counters.received
    }
    expect(received).to.equal(sent.length)
    for (const { n, idempotent, end } of sent) {
      const times = executions.get(n) ?? 0
      expect(times, `executions of call ${n}`).to.be.at.most(idempotent ? 2 : 1)
      if (end?.error?.outcome === 'not-started') expect(times, `call ${n}, ${end.error.code}`).to.equal(0)
    }
  }
  for (const one of steps) {
    await act(one)
    check()
  }
  // Long enough for every deadline, for the longest work and for the longest pause between restarts of so few deaths.
  await it.advance(5_000)
  for (let i = 0; i < 10; i++) await it.advance(20_000)
  check()
  for (const { n, end } of sent) expect(end, `call ${n} never ended`).not.to.equal(undefined)
  for (const tag of BACKENDS) {
    const { counters, open, queued } = it.queue(tag)
    expect([open, queued], tag).to.deep.equal([0, 0])
    expect(counters.admitted, tag).to.equal(counters.succeeded + counters.failed + counters.cancelled)
    const { wanted, ready, starting, draining } = it.status(tag)
    expect({ ready, starting, draining }, tag).to.deep.equal({ ready: wanted, starting: 0, draining: 0 })
  }
  expect(running, 'handlers still running').to.equal(0)
  await it.controller.close()
  expect(it.host.alive).to.have.lengthOf(0)
  await it.advance(20)
  expect(it.clock.pendingTimers, 'timers left').to.equal(0)
}

describe('the whole system', () => {
  it('ends every call once, balances its books and comes to rest, whatever dies, is scaled, replaced or cancelled', async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 25 }), play))
  }).timeout(20_000)
})
