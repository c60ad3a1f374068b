import { expect } from 'chai'
import { ServeError } from '../../../core/base/index.ts'
import { keepConnected, redialBoundMs, redialDelayMs } from '../../../core/mesh/index.ts'
import { FakeClock } from '../../support/fake-clock.ts'

describe('keepConnected', () => {
  it('waits at most a second after the first failure, and at most thirty in the end', () => {
    expect([1, 2, 3, 10, 1_000].map((failures) => redialDelayMs(failures, () => 1))).to.deep.equal([1_000, 2_000, 4_000, 30_000, 30_000])
    expect(redialDelayMs(10, () => 0)).to.equal(0)
  })

  it('waits less in the end where few dial, so that a mesh of some peers is whole within 10 s of a heal', () => {
    expect([1, 60, 200, 1_000].map(redialBoundMs)).to.deep.equal([3_000, 6_000, 20_000, 30_000])
    expect(redialDelayMs(10, () => 1, redialBoundMs(3))).to.equal(3_000)
  })

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
