import { expect } from 'chai'
import { ServeError } from '../../../core/base/index.ts'
import { CallLane, createPortPair, ReplicaRuntime, ServedTarget } from '../../../core/replica/index.ts'
import { BODY_WINDOW_BYTES, encodeHttpHead, JSON_LIMITS, STREAMED } from '../../../core/request/index.ts'
import { BackendQueue } from '../../../core/router/index.ts'
import { type CallInit, Upload } from '../../../core/service/index.ts'
import { FakeClock, settle, testTurns } from '../../support/fake-clock.ts'
import { makeCall } from '../../support/make-call.ts'
import { QUEUE_LIMITS } from '../../support/queue-bench.ts'
import { LIMITS } from '../../support/runtime-bench.ts'
import { seededRandom } from '../../support/seeded-random.ts'

const MIB = 1024 * 1024
const META = encodeHttpHead({ rendered: true, callMethod: '', httpMethod: 'POST', url: 'http://h/p', requestId: 'r', rawHeaders: [] })

/** A queue with replicas in this thread, all of one handler. */
class Bench {
  readonly clock = new FakeClock()
  readonly turns = testTurns()
  readonly queue = new BackendQueue(
    { backend: 'b', limits: QUEUE_LIMITS, onOverdue: () => {}, describeAbsence: () => '' },
    this.clock,
    this.turns,
    seededRandom(1),
  )
  readonly #handler: (request: Request) => unknown

  constructor(handler: (request: Request) => unknown) {
    this.#handler = handler
  }

  /** Adds a replica; what is returned ends it as a crash does. */
  add(): { die(): void } {
    const [port, inner] = createPortPair(this.turns)
    const flags = new Uint8Array(512)
    const { clock, turns } = this
    const target = new ServedTarget('b', this.#handler)
    new ReplicaRuntime(
      {
        port: inner,
        target,
        limits: { ...LIMITS, maxConcurrentQueries: 2 },
        backend: 'b',
        requestIdPrefix: '',
        startedFlags: flags,
        jsonLimits: JSON_LIMITS,
      },
      clock,
      turns,
    )
    const lane = new CallLane({ port, owner: this.queue, window: 2, startedFlags: flags }, clock)
    this.queue.addLane(lane)
    return { die: () => this.queue.removeLane(lane, 'killed') }
  }

  submit(upload: Upload, init: Partial<CallInit> = {}) {
    const made = makeCall({ meta: META, data: STREAMED, upload, ...init })
    this.queue.submit(made.call)
    return made
  }
}

/** A body of so many bytes in chunks of 64 KiB that counts what was asked of it. */
function largeBody(totalBytes: number, limitBytes = 64 * MIB) {
  const counts = { given: 0 }
  const upload = new Upload(
    async () => {
      if (counts.given >= totalBytes) return undefined
      const chunk = new Uint8Array(Math.min(65_536, totalBytes - counts.given)).fill(7)
      counts.given += chunk.byteLength
      return chunk
    },
    { limitBytes },
  )
  return { counts, upload }
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i > 20_000) throw new Error('it never came to that')
    await settle()
  }
}

describe('large bodies between lane and replica', () => {
  it('has no more than a window and a part under way, however slowly 16 MiB are read', async () => {
    const { counts, upload } = largeBody(16 * MIB)
    let read = 0
    let mostInFlight = 0
    const bench = new Bench(async (request) => {
      const reader = request.body!.getReader()
      for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
        await settle()
        mostInFlight = Math.max(mostInFlight, counts.given - read)
        read += value!.byteLength
      }
      return read
    })
    bench.add()
    const { sink } = bench.submit(upload)
    await until(() => sink.told > 0)
    expect(sink.value).to.equal(String(16 * MIB))
    expect(mostInFlight)
      .to.be.greaterThan(0)
      .and.at.most(BODY_WINDOW_BYTES + 65_536)
  })

  it('reads the whole, whose bytes are those that were sent', async () => {
    const { upload } = largeBody(3 * MIB + 1)
    const bench = new Bench(async (request) => {
      const bytes = await request.bytes()
      return [bytes.length, bytes.every((byte) => byte === 7)]
    })
    bench.add()
    const { sink } = bench.submit(upload)
    await until(() => sink.told > 0)
    expect(sink.value).to.equal(`[${3 * MIB + 1},true]`)
  })

  it('takes no byte for a handler that does not read, and frees its slot', async () => {
    const { counts, upload } = largeBody(4 * MIB)
    const bench = new Bench(() => 'no thanks')
    bench.add()
    const { sink } = bench.submit(upload)
    await until(() => sink.told > 0)
    expect([sink.value, counts.given, bench.queue.open]).to.deep.equal(['no thanks', 0, 0])
  })

  it('stops pulling when a handler has answered after a part', async () => {
    const { counts, upload } = largeBody(16 * MIB)
    const bench = new Bench(async (request) => {
      await request.body!.getReader().read()
      return 'enough'
    })
    bench.add()
    const { sink } = bench.submit(upload)
    await until(() => sink.told > 0)
    await settle(20)
    expect(sink.value).to.equal('enough')
    expect(counts.given).to.be.at.most(BODY_WINDOW_BYTES + 65_536)
  })

  it('fails with ERR_PAYLOAD_TOO_LARGE beyond the limit, and aborts the signal', async () => {
    const { upload } = largeBody(3 * MIB, 2 * MIB)
    let signal: AbortSignal | undefined
    let readerSaw: unknown
    const bench = new Bench(async (request) => {
      signal = request.signal
      await request.bytes().catch((error: { code?: string }) => {
        readerSaw = error.code
      })
      return 'too late'
    })
    bench.add()
    const { sink } = bench.submit(upload)
    await until(() => sink.told > 0 && readerSaw !== undefined && signal?.aborted === true)
    expect([sink.code, readerSaw]).to.deep.equal(['ERR_PAYLOAD_TOO_LARGE', 'ERR_PAYLOAD_TOO_LARGE'])
    await until(() => bench.queue.open === 0)
  })

  it('rejects the reader when the caller lets go in the middle', async () => {
    let readerSaw: unknown
    const bench = new Bench(async (request) => {
      await request.bytes().catch((error: { code?: string }) => {
        readerSaw = error.code
      })
    })
    bench.add()
    const { sink, call } = bench.submit(new Upload(() => new Promise(() => {}), { limitBytes: MIB }))
    await settle(5)
    call.cancel(new ServeError('ERR_CANCELLED', 'gone'))
    await until(() => readerSaw !== undefined)
    expect([sink.code, readerSaw]).to.deep.equal(['ERR_CANCELLED', 'ERR_CANCELLED'])
    await until(() => bench.queue.open === 0)
  })

  it('gives a call whose body has not begun to another replica', async () => {
    const started: string[] = []
    const bench = new Bench(async (request) => {
      started.push('x')
      if (started.length <= 2) await new Promise(() => {})
      return (await request.bytes()).length
    })
    const first = bench.add()
    for (let i = 0; i < 2; i++) bench.submit(largeBody(2 * MIB).upload)
    await settle(5)
    const { sink } = bench.submit(largeBody(2 * MIB).upload)
    await settle(5)
    first.die()
    bench.add()
    await until(() => sink.told > 0)
    expect(sink.value).to.equal(String(2 * MIB))
  })

  it('tells of the death of a replica whose body has begun, even when the call is idempotent', async () => {
    const bench = new Bench(async (request) => {
      await request.body!.getReader().read()
      await new Promise(() => {})
    })
    const replica = bench.add()
    const { upload } = largeBody(16 * MIB)
    const { sink } = bench.submit(upload, { idempotent: true })
    await until(() => upload.hasBegun)
    replica.die()
    bench.add()
    await settle(5)
    expect(sink.error).to.include({ code: 'ERR_REPLICA_DIED', outcome: 'started-unknown' })
  })
})
