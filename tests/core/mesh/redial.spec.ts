import { expect } from 'chai'
import { ServeError } from '../../../core/base/index.ts'
import { keepConnected, redialDelayMs } from '../../../core/mesh/index.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { seededRandom } from '../../support/seeded-random.ts'

describe('keepConnected', () => {
  it('waits a second at most at first, and three in the end, where few dial', () => {
    expect([1, 2, 3, 1_000].map((failures) => redialDelayMs(failures, () => 1, 4))).to.deep.equal([1_000, 2_000, 3_000, 3_000])
    expect(redialDelayMs(1, () => 0, 4)).to.equal(0)
  })

  it('waits half a minute at most, however many dial', () => {
    expect([1, 2, 1_000].map((failures) => redialDelayMs(failures, () => 1, 1_000))).to.deep.equal([30_000, 30_000, 30_000])
  })

  for (const [what, awayMs] of [
    ['at once', 0],
    ['after ten seconds', 10_000],
    ['after ten minutes', 600_000],
  ] as const) {
    it(`brings 200 peers back to a controller that is there again ${what}, within 40 s and 20 of them in any second`, async () => {
      for (let seed = 1; seed <= 5; seed++) {
        const backAtMs = await crowd(200, awayMs, seededRandom(seed))
        expect(backAtMs).to.have.length(200)
        expect(Math.max(...backAtMs)).to.be.below(40_000)
        const inSecond = backAtMs.map((atMs) => backAtMs.filter((other) => other >= atMs && other < atMs + 1_000).length)
        expect(Math.max(...inSecond)).to.be.at.most(20)
      }
    })
  }

  it('never gives up while nobody answers', async () => {
    const { clock, attempts, stop } = started(() => {
      throw new ServeError('ERR_PEER_UNREACHABLE', 'nobody there')
    })
    await clock.advance(3_600_000)
    expect(attempts.length).to.be.above(200)
    stop()
  })

  it('dials again within a second when a connection that stood is lost', async () => {
    let lose = (): void => {}
    const { clock, attempts, stop } = started(
      () =>
        new Promise<void>((resolve) => {
          lose = resolve
        }),
    )
    await clock.advance(5_000)
    lose()
    await clock.advance(1_000)
    expect(attempts).to.deep.equal([0, 5_500])
    stop()
  })

  it('gives up on a failure that no later attempt can mend', async () => {
    const { clock, attempts, ended } = started(() => {
      throw new ServeError('ERR_TICKET_INVALID', 'not yours')
    })
    await clock.advance(100_000)
    expect(attempts.length).to.equal(1)
    expect(await ended).to.equal('ERR_TICKET_INVALID')
  })

  it('leaves no timer behind when it is stopped', async () => {
    const { clock, stop, ended } = started(() => {
      throw new ServeError('ERR_PEER_UNREACHABLE', 'nobody there')
    })
    await clock.advance(10_000)
    stop()
    await ended
    expect(clock.pendingTimers).to.equal(0)
  })
})

function started(connect: () => Promise<void>) {
  const clock = new FakeClock()
  const abort = new AbortController()
  const attempts: number[] = []
  const ended = keepConnected(
    {
      connect: async () => {
        attempts.push(clock.nowMs())
        await connect()
      },
      peers: () => 1,
      isFinal: (error) => (error as ServeError).code === 'ERR_TICKET_INVALID',
    },
    abort.signal,
    clock,
    () => 0.5,
  ).then(
    () => 'stopped',
    (error: ServeError) => error.code,
  )
  return { clock, attempts, ended, stop: () => abort.abort(new Error('stopped')) }
}

/** Peers that all lose a controller in the same moment; when each has it back, from the moment at which it is there again. */
async function crowd(peers: number, awayMs: number, random: () => number): Promise<number[]> {
  const clock = new FakeClock()
  const abort = new AbortController()
  const backAtMs: number[] = []
  let lose = (): void => {}
  const lost = new Promise<void>((resolve) => {
    lose = resolve
  })
  let isThere = true
  const connect = async (): Promise<void> => {
    if (!isThere) throw new ServeError('ERR_PEER_UNREACHABLE', 'nobody there')
    if (clock.nowMs() === 0) return lost
    backAtMs.push(clock.nowMs() - 1_000 - awayMs)
    return new Promise(() => {})
  }
  for (let i = 0; i < peers; i++) void keepConnected({ connect, peers: () => peers }, abort.signal, clock, random)
  await clock.advance(1_000)
  isThere = awayMs === 0
  lose()
  await clock.advance(awayMs)
  isThere = true
  await clock.advance(60_000)
  return backAtMs
}
