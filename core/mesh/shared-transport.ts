import { type Clock, ServeError, type Stop } from '../base/index.ts'
import { MemoryNetwork } from './memory-network.ts'
import type { PeerConnection, PeerTransport } from './peer-transport.ts'

/**
 * One transport for the two sides of a node that is a peer and may lead as well. Connections that come in go to the side that leads while there is one,
 * else to the peer; a dial of the own address joins the two in this process.
 */
export class SharedTransport {
  /** For the peer, which owns the transport: it closes it. */
  readonly peer: PeerTransport
  readonly #inner: PeerTransport
  readonly #inside: PeerTransport
  readonly #peerListeners = new Set<(connection: PeerConnection) => void>()
  readonly #hubListeners = new Set<(connection: PeerConnection) => void>()
  readonly #network: MemoryNetwork

  constructor(inner: PeerTransport, clock: Clock) {
    this.#inner = inner
    this.#network = new MemoryNetwork({}, clock, () => 0)
    this.#inside = this.#network.join('peer')
    this.peer = {
      peerId: inner.peerId,
      get addresses() {
        return inner.addresses
      },
      get waiting() {
        return inner.waiting
      },
      dial: (address, signal) => (inner.addresses.includes(address) ? this.#dialInside(signal) : inner.dial(address, signal)),
      secure: (channel, ends, signal) => inner.secure(channel, ends, signal),
      onConnection: (listener) => listen(this.#peerListeners, listener),
      close: () => inner.close(),
    }
    inner.onConnection((connection) => {
      const listeners = this.#hubListeners.size > 0 ? this.#hubListeners : this.#peerListeners
      if (listeners.size === 0) return connection.channel.abort('nobody takes connections here')
      for (const listener of [...listeners]) listener(connection)
    })
  }

  /** For a side that leads, until it closes it. */
  hub(): PeerTransport {
    const { peerId } = this.#inner
    const inner = this.#inner
    const inside = this.#network.join('hub')
    const stops: Stop[] = []
    return {
      peerId,
      get addresses() {
        return inner.addresses
      },
      dial: (address, signal) => inner.dial(address, signal),
      secure: (channel, ends, signal) => inner.secure(channel, ends, signal),
      onConnection: (listener) => {
        stops.push(
          listen(this.#hubListeners, listener),
          inside.onConnection((connection) => listener({ ...connection, peerId })),
        )
        return () => {
          for (const stop of stops.splice(0)) stop()
        }
      },
      close: async () => {
        for (const stop of stops.splice(0)) stop()
        await inside.close()
      },
    }
  }

  async #dialInside(signal: AbortSignal): Promise<PeerConnection> {
    if (this.#hubListeners.size === 0) throw new ServeError('ERR_PEER_UNREACHABLE', 'this node does not lead')
    return { ...(await this.#inside.dial('memory/hub', signal)), peerId: this.#inner.peerId }
  }
}

function listen<T>(listeners: Set<T>, listener: T): Stop {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}
