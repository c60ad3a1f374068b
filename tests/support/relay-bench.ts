import { msgpackCodec } from '../../core/adapters/codec/index.ts'
import type { Clock, Turns } from '../../core/base/index.ts'
import {
  Link,
  type Member,
  type PeerConnection,
  type PeerTransport,
  Relay,
  RelayedWays,
  type RelayOptions,
  type VirtualPort,
} from '../../core/mesh/index.ts'

/** Lets time and input pass until it is so. */
export type Until = (isDone: () => boolean, what: string) => Promise<void>

/** Peers that are linked to one in their midst, and reach each other through it alone. */
export interface RelayBench {
  readonly relay: Relay
  /** The peers as transports whose every connection is relayed. */
  readonly peers: readonly PeerTransport[]
}

export interface RelayBenchInit {
  readonly peers: readonly PeerTransport[]
  readonly middle: PeerTransport
  readonly maxRelayed?: number | undefined
  /** Opens another port than the one asked for, as a relay that cheats. */
  readonly lead?: ((port: string, link: Link, links: ReadonlyMap<string, Link>) => VirtualPort) | undefined
}

export async function relayBench(init: RelayBenchInit, until: Until, clock: Clock, turns: Turns): Promise<RelayBench> {
  const { middle, lead, maxRelayed = 64 } = init
  const links = new Map<string, Link>()
  const linkTo: RelayOptions['linkTo'] = (peerId) => {
    const link = links.get(peerId)
    if (link === undefined || lead === undefined) return link
    return { openPort: (port: string) => lead(port, link, links) } as unknown as Link
  }
  const relay = new Relay({ maxRelayed, linkTo })
  const toLink = ({ channel, isOutbound }: PeerConnection): Link => {
    const link = new Link({ channel, isDialler: isOutbound, codec: msgpackCodec() }, clock, turns)
    link.open()
    return link
  }
  middle.onConnection((connection) => {
    const { peerId } = connection
    const link = toLink(connection)
    links.set(peerId, link)
    void link.whenGone.then(() => links.delete(peerId))
    link.onPort((port) => {
      if (!relay.takePort(port, { peerId, roles: ['caller'] } as unknown as Member)) throw new Error(`no port called ${port.name}`)
    })
  })
  const peers: PeerTransport[] = []
  for (const peer of init.peers) {
    let link: Link | undefined
    void peer.dial(middle.addresses[0] ?? '', new AbortController().signal).then((connection) => {
      link = toLink(connection)
    })
    await until(() => link !== undefined && links.has(peer.peerId), 'the link to the relay')
    peers.push(relayedTransport(peer, middle.peerId, link as unknown as Link, clock))
  }
  return { relay, peers }
}

/** What a peer with one link, to a relay, reaches. */
function relayedTransport(transport: PeerTransport, relayId: string, link: Link, clock: Clock): PeerTransport {
  const ways = new RelayedWays(transport, clock)
  link.onPort((port: VirtualPort) => {
    if (!ways.takePort(port, relayId)) throw new Error(`no port called ${port.name}`)
  })
  return {
    peerId: transport.peerId,
    addresses: [transport.peerId],
    dial: (address, signal) => ways.dial(address, { peerId: relayId, link }, signal),
    onConnection(listener) {
      ways.onConnection(listener)
      return () => {}
    },
    secure: (channel, ends, signal) => transport.secure(channel, ends, signal),
    async close() {
      link.close('the peer left')
      await transport.close()
    },
  }
}
