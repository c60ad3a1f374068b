import type { Connection, ConnectionEncrypter, Libp2p, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { ServeError, type Stop } from '../../base/index.ts'
import type { ByteChannel, ChannelEnds, PeerConnection, PeerTransport, WaitingCounts } from '../../mesh/index.ts'
import { type Anteroom, hostOfAddress } from './anteroom.ts'
import { ChannelStream } from './channel-stream.ts'
import { Libp2pChannel } from './libp2p-channel.ts'

/** The one protocol of the mesh; versions are told apart in the frames. */
export const MESH_PROTOCOL = '/shoal/mesh/1'

/** Streams of the protocol that one connection may hold: one, and room for two peers that dial each other at once. */
const MAX_STREAMS = 4

export interface Libp2pTransportOptions {
  /** Addresses to tell instead of those listened on, without the `/p2p/` part. @default none */
  readonly announce?: readonly string[] | undefined
  /** Proves ids and encrypts, with the key of the node: for connections that another peer passes on. */
  readonly encrypter: () => ConnectionEncrypter
  /** Where connections wait that have not opened the stream. @default they are libp2p's alone */
  readonly anteroom?: Anteroom | undefined
}

/** Peers over libp2p: each connection of the mesh is one stream that lives as long as it. The node is given started, and stopped by `close`. */
export class Libp2pTransport implements PeerTransport {
  readonly peerId: string
  readonly #node: Libp2p
  readonly #announce: readonly string[]
  readonly #encrypter: () => ConnectionEncrypter
  readonly #anteroom: Anteroom | undefined
  readonly #listeners = new Set<(connection: PeerConnection) => void>()

  private constructor(node: Libp2p, { announce = [], encrypter, anteroom }: Libp2pTransportOptions) {
    this.#node = node
    this.#announce = announce
    this.#encrypter = encrypter
    this.#anteroom = anteroom
    this.peerId = node.peerId.toString()
  }

  /** Registers the protocol at the node. */
  static async over(node: Libp2p, options: Libp2pTransportOptions): Promise<Libp2pTransport> {
    const transport = new Libp2pTransport(node, options)
    await node.handle(MESH_PROTOCOL, (stream, connection) => transport.#accept(stream, connection), {
      maxInboundStreams: MAX_STREAMS,
      maxOutboundStreams: MAX_STREAMS,
    })
    return transport
  }

  get addresses(): readonly string[] {
    if (this.#announce.length > 0) return this.#announce.map((address) => `${address}/p2p/${this.peerId}`)
    return this.listened
  }

  /** Connections that wait before the mesh hears of them. */
  get waiting(): WaitingCounts | undefined {
    return this.#anteroom?.counts
  }

  /** What is listened on, whatever is announced. */
  get listened(): readonly string[] {
    return this.#node.getMultiaddrs().map(String)
  }

  async dial(address: string, signal: AbortSignal): Promise<PeerConnection> {
    try {
      const target = multiaddr(address)
      const peerId = target.getComponents().findLast(({ name }) => name === 'p2p')?.value
      if (peerId === undefined)
        throw new ServeError('ERR_INVALID_ARG_VALUE', `address ${address} names no peer: it must end in /p2p/<peer id>`)
      const stream = await this.#node.dialProtocol(target, MESH_PROTOCOL, { signal, maxOutboundStreams: MAX_STREAMS })
      const channel = this.#channelOf(
        stream,
        this.#node.getConnections().find((connection) => connection.streams.includes(stream)),
      )
      return { peerId, isOutbound: true, channel }
    } catch (cause) {
      if (cause instanceof ServeError) throw cause
      throw new ServeError('ERR_PEER_UNREACHABLE', `nobody could be reached at ${address}: ${(cause as Error).message}`, { cause })
    }
  }

  onConnection(listener: (connection: PeerConnection) => void): Stop {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The same encryption as on a connection of the two alone, inside the ones to the peer that passes it on. */
  async secure(channel: ByteChannel, { peerId, isOutbound, via }: ChannelEnds, signal: AbortSignal): Promise<PeerConnection> {
    const stream = new ChannelStream(channel, isOutbound ? 'outbound' : 'inbound', this.#node.logger.forComponent('shoal:relayed'))
    try {
      signal.throwIfAborted()
      const encrypter = this.#encrypter()
      const options = { signal, skipStreamMuxerNegotiation: true }
      const { connection, remotePeer } = await (isOutbound
        ? encrypter.secureOutbound(stream, options)
        : encrypter.secureInbound(stream, options))
      if (remotePeer.toString() !== peerId) throw new Error(`it leads to peer ${remotePeer}`)
      // What the encryption gives has all of a stream that a channel uses, and no protocol.
      return { peerId, isOutbound, channel: new Libp2pChannel(connection as Stream, () => {}), via }
    } catch (cause) {
      channel.abort('the two ends could not agree')
      if (cause instanceof ServeError) throw cause
      throw new ServeError('ERR_PEER_UNREACHABLE', `peer ${peerId} could not be reached through ${via}: ${(cause as Error).message}`, {
        cause,
      })
    }
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    await this.#node.stop()
  }

  /** Attaches to the stream in the turn in which it comes: what libp2p tells before is not told again. */
  #accept(stream: Stream, connection: Connection): void {
    const channel = this.#channelOf(stream, connection)
    const peerId = connection.remotePeer.toString()
    if (this.#listeners.size === 0) return channel.abort('this peer takes no connections')
    this.#anteroom?.release(connection.remoteAddr)
    const host = hostOfAddress(connection.remoteAddr)
    for (const listener of this.#listeners) listener({ peerId, isOutbound: false, channel, host })
  }

  #channelOf(stream: Stream, connection: Connection | undefined): ByteChannel {
    return new Libp2pChannel(stream, () => {
      if (connection === undefined || connection.streams.some((other) => other !== stream && other.protocol === MESH_PROTOCOL)) return
      // Not `abort`: on WebSockets it leaves the socket of the other side open.
      connection.close({ signal: AbortSignal.timeout(1_000) }).catch((error: Error) => connection.abort(error))
    })
  }
}
