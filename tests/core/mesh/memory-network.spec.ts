import { expect } from 'chai'
import { MemoryNetwork } from '../../../core/mesh/index.ts'
import { peerTransportCompliance } from '../../compliance/peer-transport.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { seededRandom } from '../../support/seeded-random.ts'

for (const delayMs of [
  [0, 0],
  [1, 20],
] as const) {
  peerTransportCompliance(`MemoryNetwork with delays of ${delayMs.join(' to ')} ms`, async () => {
    const clock = new FakeClock()
    const network = new MemoryNetwork({ delayMs }, clock, seededRandom(1))
    const a = network.join('a')
    const b = network.join('b')
    return {
      a,
      b,
      async until(isDone, what) {
        for (let i = 0; i < 5_000; i++) {
          if (isDone()) return
          await clock.advance(5)
        }
        throw new Error(`waited in vain for ${what}`)
      },
      pass: () => clock.advance(50),
      async close() {
        await a.close()
        await b.close()
      },
    }
  })
}

describe('MemoryNetwork', () => {
  it('holds bytes back during a partition and delivers them after the heal', async () => {
    const { clock, network, sent, received } = await pair()
    network.partition('a', 'b')
    sent.send(Uint8Array.of(7))
    await clock.advance(1_000)
    expect(received).to.deep.equal([])
    network.heal()
    await clock.advance(1)
    expect(received).to.deep.equal([7])
  })

  it('answers no dial across a partition', async () => {
    const { network, a } = await pair()
    network.partition('a', 'b')
    const error = await a.dial('memory/b', new AbortController().signal).catch((reason: unknown) => reason)
    expect(error).to.have.property('code', 'ERR_PEER_UNREACHABLE')
  })

  it('holds back one way only when told so, and answers no dial meanwhile', async () => {
    const { clock, network, a, sent, received } = await pair()
    network.partitionOneWay('b', 'a')
    sent.send(Uint8Array.of(7))
    await clock.advance(1)
    expect(received).to.deep.equal([7])
    network.partitionOneWay('a', 'b')
    sent.send(Uint8Array.of(8))
    await clock.advance(1_000)
    expect(received).to.deep.equal([7])
    const error = await a.dial('memory/b', new AbortController().signal).catch((reason: unknown) => reason)
    expect(error).to.have.property('code', 'ERR_PEER_UNREACHABLE')
  })

  it('loses what was under way when the connection is cut, and tells both sides', async () => {
    const { clock, network, sent, received, ends } = await pair()
    sent.send(Uint8Array.of(7))
    network.cut('a', 'b')
    await clock.advance(1)
    expect(received).to.deep.equal([])
    expect(ends).to.deep.equal(['ERR_PEER_UNREACHABLE', 'ERR_PEER_UNREACHABLE'])
  })

  it('tells the others when a peer crashes', async () => {
    const { clock, network, ends } = await pair()
    network.crash('b')
    await clock.advance(1)
    expect(ends).to.include('ERR_PEER_UNREACHABLE')
  })

  it('delays the same for the same seed', async () => {
    const arrivals = async (seed: number): Promise<number[]> => {
      const clock = new FakeClock()
      const network = new MemoryNetwork({ delayMs: [1, 9] }, clock, seededRandom(seed))
      const atMs: number[] = []
      network.join('b').onConnection(({ channel }) => {
        channel.listen({ onBytes: () => atMs.push(clock.nowMs()), onDrain() {}, onEnd() {} })
      })
      const { channel } = await network.join('a').dial('memory/b', new AbortController().signal)
      for (let i = 0; i < 5; i++) {
        channel.send(Uint8Array.of(i))
        await clock.advance(20)
      }
      return atMs
    }
    expect(await arrivals(3)).to.deep.equal(await arrivals(3))
    expect(await arrivals(3)).to.not.deep.equal(await arrivals(4))
  })
})

async function pair() {
  const clock = new FakeClock()
  const network = new MemoryNetwork({ delayMs: [0.5, 0.5] }, clock, seededRandom(1))
  const a = network.join('a')
  const received: number[] = []
  const ends: (string | undefined)[] = []
  network.join('b').onConnection(({ channel }) => {
    channel.listen({ onBytes: (bytes) => received.push(...bytes), onDrain() {}, onEnd: (error) => ends.push(error?.code) })
  })
  const { channel: sent } = await a.dial('memory/b', new AbortController().signal)
  sent.listen({ onBytes() {}, onDrain() {}, onEnd: (error) => ends.push(error?.code) })
  await settle()
  return { clock, network, a, sent, received, ends }
}
