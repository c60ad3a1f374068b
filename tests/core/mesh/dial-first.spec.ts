import { expect } from 'chai'
import { ServeError } from '../../../core/base/index.ts'
import { dialFirst, type PeerConnection, type PeerTransport } from '../../../core/mesh/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'

const REACHED = { peerId: 'p', isOutbound: true } as PeerConnection

/** Addresses that say `yes`, `no`, or nothing until they are given up. */
function setUp() {
  const clock = new FakeClock()
  const dialled: string[] = []
  const transport = {
    dial: (address: string, signal: AbortSignal): Promise<PeerConnection> => {
      dialled.push(address)
      if (address === 'yes') return Promise.resolve(REACHED)
      if (address.startsWith('no')) return Promise.reject(new ServeError('ERR_PEER_UNREACHABLE', address))
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
    },
  } as PeerTransport
  const stop = new AbortController()
  const dial = (...addresses: string[]): Promise<unknown> =>
    dialFirst(transport, addresses, stop.signal, clock, (connection) => connection).catch((reason: unknown) => reason)
  return { clock, dialled, transport, stop, dial }
}

describe('dialling several addresses', () => {
  it('goes by the first that answers, and dials no further', async () => {
    const { dialled, dial } = setUp()
    expect(await dial('no', 'yes', 'yes')).to.equal(REACHED)
    expect(dialled).to.deep.equal(['no', 'yes'])
  })

  it('leaves an address that says nothing after 3 s', async () => {
    const { clock, dialled, dial } = setUp()
    const dialling = dial('silent', 'yes')
    await clock.advance(2_999)
    expect(dialled).to.deep.equal(['silent'])
    await clock.advance(1)
    expect(await dialling).to.equal(REACHED)
    expect(clock.pendingTimers).to.equal(0)
  })

  it('goes on when nothing can be made of a connection', async () => {
    const { clock, transport, stop } = setUp()
    const uses: number[] = []
    const use = (): string => {
      if (uses.push(1) === 1) throw new ServeError('ERR_FORBIDDEN', 'not you')
      return 'used'
    }
    expect(await dialFirst(transport, ['yes', 'yes'], stop.signal, clock, use)).to.equal('used')
  })

  it('rejects with the first failure, and with ERR_PEER_UNREACHABLE when there is no address', async () => {
    const { dial } = setUp()
    expect(await dial('no 1', 'no 2')).to.have.property('message', 'no 1')
    expect(await dial()).to.have.property('code', 'ERR_PEER_UNREACHABLE')
  })

  it('stops at once, and dials no further, when it is told to', async () => {
    const { clock, dialled, stop, dial } = setUp()
    const dialling = dial('silent', 'yes')
    await settle()
    const reason = new Error('enough')
    stop.abort(reason)
    expect(await dialling).to.equal(reason)
    expect([dialled, clock.pendingTimers]).to.deep.equal([['silent'], 0])
  })
})
