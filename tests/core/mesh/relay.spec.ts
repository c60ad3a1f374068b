import { expect } from 'chai'
import { MemoryNetwork, type PeerConnection, type PeerTransport, PORT_WINDOW_BYTES } from '../../../core/mesh/index.ts'
import { peerTransportCompliance } from '../../compliance/peer-transport.ts'
import { FakeClock, testTurns } from '../../support/fake-clock.ts'
import { relayBench, type Until } from '../../support/relay-bench.ts'
import { seededRandom } from '../../support/seeded-random.ts'

for (const delayMs of [
  [0, 0],
  [1, 20],
] as const) {
  peerTransportCompliance(`a relayed connection with delays of ${delayMs.join(' to ')} ms`, async () => {
    const { a, b, clock, until } = await open({ delayMs })
    return {
      a,
      b,
      until,
      pass: () => clock.advance(50),
      async close() {
        await a.close()
        await b.close()
      },
    }
  })
}

describe('a relay', () => {
  it('holds no more of a connection than one window each way, however slow its reader', async () => {
    const { a, b, relay, clock, until } = await open()
    const { dialled, accepted } = await connect(a, b, until)
    accepted.channel.pause()
    accepted.channel.listen({ onBytes() {}, onDrain() {}, onEnd() {} })
    const pump = (): void => {
      while (dialled.channel.isWritable) dialled.channel.send(new Uint8Array(65_536))
    }
    dialled.channel.listen({ onBytes() {}, onDrain: pump, onEnd() {} })
    pump()
    await clock.advance(2_000)
    const { heldBytes, passedBytes } = relay.counts
    expect(heldBytes).to.be.within(1, PORT_WINDOW_BYTES)
    expect(passedBytes).to.be.below(3 * PORT_WINDOW_BYTES)
    accepted.channel.abort('enough')
    await until(() => relay.counts.open === 0, 'the end')
    expect(relay.counts.heldBytes).to.equal(0)
  })

  it('refuses more than a quarter of its places to one peer, and frees a place with its connection', async () => {
    const { a, b, relay, until } = await open({ maxRelayed: 8 })
    const first = await connect(a, b, until)
    await connect(a, b, until)
    const refused = await failureOf(a.dial('b', new AbortController().signal), until)
    expect(refused).to.have.property('code', 'ERR_PEER_UNREACHABLE')
    expect((refused as Error).cause).to.have.property('code', 'ERR_BACK_PRESSURE')
    expect((refused as Error).message).to.include('2 of one peer, the limit is 2 (mesh.maxRelayed)')
    expect(relay.counts).to.include({ open: 2, refused: 1 })
    first.dialled.channel.close()
    await until(() => relay.counts.open === 1, 'a free place')
    await connect(a, b, until)
  })

  it('passes nothing on when it is told so', async () => {
    const { a, until } = await open({ maxRelayed: 0 })
    const refused = await failureOf(a.dial('b', new AbortController().signal), until)
    expect((refused as Error).cause).to.have.property('code', 'ERR_UNSUPPORTED')
    expect((refused as Error).message).to.include('passes no connections on')
  })

  it('leads to nobody who is not linked to it, nor back to who asks', async () => {
    const { a, until } = await open()
    for (const id of ['nobody', 'a']) {
      const refused = await failureOf(a.dial(id, new AbortController().signal), until)
      expect((refused as Error).cause, id).to.have.property('code', 'ERR_PEER_UNREACHABLE')
      expect((refused as Error).message, id).to.include('is not connected here')
    }
  })
})

interface Options {
  readonly delayMs?: readonly [number, number]
  readonly maxRelayed?: number
}

async function open({ delayMs = [0, 0], maxRelayed }: Options = {}) {
  const clock = new FakeClock()
  const network = new MemoryNetwork({ delayMs }, clock, seededRandom(1))
  const until: Until = async (isDone, what) => {
    for (let i = 0; i < 5_000; i++) {
      if (isDone()) return
      await clock.advance(5)
    }
    throw new Error(`waited in vain for ${what}`)
  }
  const init = { peers: [network.join('a'), network.join('b')], middle: network.join('middle'), maxRelayed }
  const { relay, peers } = await relayBench(init, until, clock, testTurns())
  return { a: peers[0] as PeerTransport, b: peers[1] as PeerTransport, relay, clock, until }
}

async function connect(a: PeerTransport, b: PeerTransport, until: Until) {
  const inbound: PeerConnection[] = []
  b.onConnection((connection) => inbound.push(connection))
  let dialled: PeerConnection | undefined
  void a.dial('b', new AbortController().signal).then((connection) => {
    dialled = connection
  })
  await until(() => dialled !== undefined && inbound.length > 0, 'the connection')
  return { dialled: dialled as PeerConnection, accepted: inbound[0] as PeerConnection }
}

async function failureOf(work: Promise<unknown>, until: Until): Promise<unknown> {
  let failure: unknown
  work.catch((error: unknown) => {
    failure = error
  })
  await until(() => failure !== undefined, 'a failure')
  return failure
}
