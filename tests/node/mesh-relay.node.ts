import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'chai'
import type { Link, PeerConnection, PeerTransport } from '../../core/mesh/index.ts'
import { realClock, realTurns } from '../../node/clock.ts'
import * as serve from '../../node/index.ts'
import { openMeshTransport } from '../../node/mesh-libp2p.ts'
import { peerTransportCompliance } from '../compliance/peer-transport.ts'
import { type RelayBenchInit, relayBench } from '../support/relay-bench.ts'
import { until } from '../support/until.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const LISTEN = ['/ip4/127.0.0.1/tcp/0']

peerTransportCompliance('a relayed connection of libp2p', async () => {
  const { a, b, close } = await open()
  return { a, b, until, pass: () => delay(30), close }
})

describe('a relay that cheats', () => {
  let closing: () => Promise<void> = async () => {}

  afterEach(() => closing())

  it('cannot lead to another peer than the one asked for', async () => {
    const { a, b, c, close } = await open((port, _link, links) => (links.get(c.peerId) as Link).openPort(port))
    closing = close
    const met: unknown[] = []
    for (const peer of [b, c]) peer.onConnection((connection) => met.push(connection))
    expect(await failureOf(a.dial(b.peerId, new AbortController().signal))).to.have.property('code', 'ERR_PEER_UNREACHABLE')
    // The other one has proven itself and may have met the dialler; whoever was asked for has met nobody.
    expect(met.every((connection) => (connection as PeerConnection).peerId === a.peerId)).to.equal(true)
  })

  it('cannot make the far end believe that another peer has asked', async () => {
    const { a, b, c, close } = await open((_port, link) => link.openPort(`relayed:${c.peerId}`))
    closing = close
    const met: PeerConnection[] = []
    b.onConnection((connection) => met.push(connection))
    const dialled = await a.dial(b.peerId, new AbortController().signal).catch(() => undefined)
    const ended = new Promise<void>((resolve) => {
      if (dialled === undefined) resolve()
      dialled?.channel.listen({ onBytes() {}, onDrain() {}, onEnd: () => resolve() })
    })
    await ended
    expect(met).to.deep.equal([])
  })

  it('cannot change a byte, nor read one', async () => {
    const passed: Uint8Array[] = []
    let isFalse = false
    const { a, b, close } = await open((name, link) => {
      const port = link.openPort(name)
      const post = port.post.bind(port)
      port.post = ([piece]) => {
        const bytes = (piece as Uint8Array).slice()
        passed.push(bytes.slice())
        if (isFalse) bytes[bytes.byteLength - 1] = (bytes.at(-1) ?? 0) ^ 1
        post([bytes])
      }
      return port
    })
    closing = close
    let heard = ''
    let ended: unknown = 'not yet'
    b.onConnection(({ channel }) => {
      channel.listen({
        onBytes: (bytes) => {
          heard += new TextDecoder().decode(bytes)
        },
        onDrain() {},
        onEnd: (error) => {
          ended = error
        },
      })
    })
    const { channel } = await a.dial(b.peerId, new AbortController().signal)
    channel.send(new TextEncoder().encode('a secret '))
    await until(() => heard === 'a secret ', 'the bytes')
    isFalse = true
    channel.send(new TextEncoder().encode('and more'))
    await until(() => ended !== 'not yet', 'the end')
    expect(ended).to.have.property('code', 'ERR_PEER_UNREACHABLE')
    expect(heard).to.equal('a secret ')
    expect(Buffer.concat(passed).includes('secret')).to.equal(false)
  })
})

describe('processes that cannot dial each other', function () {
  this.timeout(60_000)

  let client: serve.Client
  const children: ChildProcess[] = []

  beforeEach(async () => {
    client = await serve.start({ http: { port: 0 }, mesh: true, logger: quiet })
  })

  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
    await client.close()
  })

  for (const [who, callerListens, hostListens] of [
    ['the host of the replicas', true, false],
    ['the caller', false, true],
    ['either', false, false],
  ] as const) {
    it(`call each other when ${who} listens nowhere`, async () => {
      const child = await joinHost(hostListens)
      await client.createBackend(
        'pid',
        async function* () {
          yield process.pid
          yield new Uint8Array(3_000_000)
        },
        { replicaOptions: { placement: { labels: { at: 'host' } } } },
      )
      await client.createEndpoint('pid', { backend: 'pid' })
      const listen = callerListens ? {} : { mesh: { listen: [] } }
      const peer = await serve.join(await client.createTicket({ roles: ['caller'] }), { ...listen, logger: quiet })
      const parts: unknown[] = []
      for await (const part of peer.getHandle('pid').remote() as AsyncIterable<unknown>) parts.push(part)
      expect(parts[0]).to.equal(child.pid)
      expect((parts[1] as Uint8Array).byteLength).to.equal(3_000_000)
      // Where one of them can be dialled, the other one does in the end.
      const wanted = callerListens || hostListens ? 0 : 1
      while ((await relayedNow()) !== wanted) await delay(10)
      await peer.close()
    })
  }

  async function relayedNow(): Promise<number> {
    const metrics = await (await fetch(`${client.http?.url}/-/metrics`)).text()
    return Number(/shoal_mesh_relayed_open\{\} (\d)/.exec(metrics)?.[1])
  }

  async function joinHost(listens: boolean): Promise<ChildProcess> {
    const env = { ...process.env, TICKET: await client.createTicket({ roles: ['replica'] }), PEER_NAME: 'host', LISTENS: String(listens) }
    const child = fork(new URL('./fixtures/mesh-joiner.ts', import.meta.url), { env })
    children.push(child)
    await once(child, 'message')
    return child
  }
})

async function open(lead?: RelayBenchInit['lead']) {
  const [middle, ...peers] = await Promise.all([LISTEN, [], [], []].map((listen) => openMeshTransport({ listen })))
  const bench = await relayBench({ peers, middle: middle as PeerTransport, lead }, until, realClock, realTurns)
  const [a, b, c] = bench.peers as [PeerTransport, PeerTransport, PeerTransport]
  const close = async (): Promise<void> => {
    await Promise.all([a.close(), b.close(), c.close(), middle?.close()])
  }
  return { a, b, c, close }
}

const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => new Error('it went well'),
    (error: unknown) => error,
  )
