import { once } from 'node:events'
import { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { noise } from '@chainsafe/libp2p-noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { expect } from 'chai'
import { createLibp2p } from 'libp2p'
import { Libp2pChannel } from '../../core/adapters/libp2p/libp2p-channel.ts'
import { openMeshTransport } from '../../node/mesh-libp2p.ts'
import { peerTransportCompliance } from '../compliance/peer-transport.ts'
import { until } from '../support/until.ts'

for (const [name, listen] of [
  ['libp2p over TCP', '/ip4/127.0.0.1/tcp/0'],
  ['libp2p over WebSocket', '/ip4/127.0.0.1/tcp/0/ws'],
] as const) {
  peerTransportCompliance(name, async () => {
    const a = await openMeshTransport({ listen: [] })
    const b = await openMeshTransport({ listen: [listen] })
    return {
      a,
      b,
      until,
      pass: () => delay(30),
      async close() {
        await Promise.all([a.close(), b.close()])
      },
    }
  })
}

describe('the libp2p node of a mesh', () => {
  const nodes: { close(): Promise<void> }[] = []

  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.close()))
  })

  it('answers a stranger no protocol but the one of the mesh', async () => {
    const transport = await openMeshTransport({ listen: ['/ip4/127.0.0.1/tcp/0'] })
    const stranger = await openStranger()
    nodes.push(transport, { close: async () => stranger.stop() })
    const connection = await stranger.dial(multiaddr(transport.addresses[0] ?? ''))
    for (const protocol of ['/ipfs/id/1.0.0', '/ipfs/id/push/1.0.0', '/ipfs/ping/1.0.0', '/shoal/control/1']) {
      const error = await connection.newStream(protocol).catch((reason: Error) => reason)
      expect((error as Error).name, protocol).to.equal('UnsupportedProtocolError')
    }
  })

  it('does not take another peer for the one that an address names', async () => {
    const [a, b, c] = await Promise.all([[], ['/ip4/127.0.0.1/tcp/0'], []].map((listen) => openMeshTransport({ listen })))
    nodes.push(a as never, b as never, c as never)
    const address = (b?.addresses[0] ?? '').replace(/\/p2p\/.*/, `/p2p/${c?.peerId}`)
    const error = await a?.dial(address, new AbortController().signal).catch((reason: unknown) => reason)
    expect(error).to.have.property('code', 'ERR_PEER_UNREACHABLE')
  })

  it('dials no address that names no peer', async () => {
    const a = await openMeshTransport({ listen: [] })
    nodes.push(a)
    const error = await a.dial('/ip4/127.0.0.1/tcp/1', new AbortController().signal).catch((reason: unknown) => reason)
    expect(error).to.have.property('code', 'ERR_INVALID_ARG_VALUE')
  })

  it('tells announced addresses instead of its own', async () => {
    const transport = await openMeshTransport({ listen: ['/ip4/127.0.0.1/tcp/0'], announce: ['/dns4/mesh.test/tcp/443/wss'] })
    nodes.push(transport)
    expect(transport.addresses).to.deep.equal([`/dns4/mesh.test/tcp/443/wss/p2p/${transport.peerId}`])
  })
})

describe('a stream of the mesh', () => {
  it('costs one write for each small message, and no exception', async () => {
    const [a, b] = [await openMeshTransport({ listen: [] }), await openMeshTransport({ listen: ['/ip4/127.0.0.1/tcp/0'] })]
    const { RangeError: Original } = globalThis
    const { write } = Socket.prototype
    const counted = { exceptions: 0, writes: 0 }
    try {
      b.onConnection(({ channel }) => channel.listen({ onBytes: (bytes) => void channel.send(bytes.slice()), onDrain() {}, onEnd() {} }))
      const { channel } = await a.dial(b.addresses[0] ?? '', new AbortController().signal)
      await new Promise<void>((resolve) => {
        let echoes = 0
        const onBytes = (bytes: Uint8Array): void => {
          // The first few may tell of windows as well.
          if (++echoes === 10) watch()
          if (echoes < 60) channel.send(bytes.slice())
          else resolve()
        }
        channel.listen({ onBytes, onDrain() {}, onEnd() {} })
        channel.send(new Uint8Array(100))
      })
    } finally {
      globalThis.RangeError = Original
      Socket.prototype.write = write
      await Promise.all([a.close(), b.close()])
    }
    expect(counted).to.deep.equal({ exceptions: 0, writes: 100 })

    function watch(): void {
      globalThis.RangeError = new Proxy(Original, {
        apply(target, _self, given) {
          counted.exceptions++
          return Reflect.construct(target, given)
        },
      })
      Socket.prototype.write = function (this: Socket, ...given: Parameters<typeof write>) {
        counted.writes++
        return Reflect.apply(write, this, given)
      } as typeof write
    }
  })

  it('does not answer each small message with a frame of its own about its window', async () => {
    const server = await openStranger(['/ip4/127.0.0.1/tcp/0'])
    const caller = await openStranger()
    try {
      let windowUpdates = 0
      await server.handle('/echo/1', (stream) => {
        const yamuxStream = stream as unknown as { sendFrame(frame: { readonly type: number }, data?: unknown): unknown }
        const sendFrame = yamuxStream.sendFrame.bind(yamuxStream)
        yamuxStream.sendFrame = (frame, data) => {
          if (frame.type === 1) windowUpdates++
          return sendFrame(frame, data)
        }
        const channel = new Libp2pChannel(stream, () => {})
        channel.listen({ onBytes: (bytes) => void channel.send(bytes.slice()), onDrain() {}, onEnd() {} })
      })
      const stream = await caller.dialProtocol(server.getMultiaddrs()[0] as Multiaddr, '/echo/1')
      for (let i = 0; i < 50; i++) {
        const echo = once(stream, 'message')
        stream.send(new Uint8Array(100))
        await echo
      }
      expect(windowUpdates).to.be.within(0, 2)
    } finally {
      await Promise.all([server.stop(), caller.stop()])
    }
  })
})

const openStranger = (listen: string[] = []) =>
  createLibp2p({ addresses: { listen }, transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()] })
