import { noise } from '@chainsafe/libp2p-noise'
import type { ConnectionEncrypter, PrivateKey } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { Anteroom, Libp2pTransport, leanEncrypter } from '../core/adapters/libp2p/index.ts'
import { ServeError } from '../core/base/index.ts'
import { DEFAULT_MAX_ADMISSIONS, DEFAULT_MAX_PEERS } from '../core/mesh/index.ts'
import { realClock } from './clock.ts'

export interface MeshListenOptions {
  /** Multiaddrs to listen on; none for a peer that only dials. */
  readonly listen: readonly string[]
  /** Multiaddrs to tell others instead, for a peer behind a proxy or a NAT. @default those listened on */
  readonly announce?: readonly string[]
  /** Peers that may be connected at once; libp2p itself takes a few more, so that it ends no connection of one. @default 120 */
  readonly maxPeers?: number | undefined
  /** Connections that may be on their way in at once, before the stream of the mesh and behind it. @default 50 */
  readonly maxAdmissions?: number | undefined
  /** Identity of the peer. @default a new one */
  readonly privateKey?: PrivateKey
}

/** TCP and WebSocket on free ports of this machine. */
export const LOOPBACK: readonly string[] = Object.freeze(['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'])

/** Connections beside those of peers: old ones that new ones replace. */
const SPARE_CONNECTIONS = 10

/**
 * A libp2p node with one protocol, no discovery and no identify, so that a stranger learns a peer id and nothing else. The numbers bound memory: the
 * stream window must stay below the read buffer, or a reader that pauses is reset.
 */
export async function openMeshTransport(options: MeshListenOptions): Promise<Libp2pTransport> {
  const { maxPeers = DEFAULT_MAX_PEERS, maxAdmissions = DEFAULT_MAX_ADMISSIONS } = options
  const anteroom = new Anteroom(maxAdmissions, realClock)
  let encrypter: ConnectionEncrypter | undefined
  const node = await createLibp2p({
    ...(options.privateKey !== undefined && { privateKey: options.privateKey }),
    nodeInfo: { userAgent: 'shoal' },
    addresses: { listen: [...options.listen] },
    transports: [tcp(), webSockets()],
    connectionEncrypters: [
      (components) => {
        encrypter = leanEncrypter(noise()(components))
        return encrypter
      },
    ],
    streamMuxers: [
      yamux({
        maxInboundStreams: 64,
        maxOutboundStreams: 64,
        streamOptions: { maxStreamWindowSize: 2 ** 20, maxReadBufferLength: 4 * 2 ** 20, maxWriteBufferLength: 16 * 2 ** 20 },
      }),
    ],
    connectionManager: {
      // Some are before the stream, some in admission, and some hear why they were not let in.
      maxConnections: maxPeers + 3 * maxAdmissions + SPARE_CONNECTIONS,
      inboundConnectionThreshold: 100,
      // The anteroom has fewer, and chooses who goes.
      maxIncomingPendingConnections: 4 * maxAdmissions,
      inboundUpgradeTimeout: 5_000,
      reconnectRetries: 0,
    },
    connectionGater: { denyInboundConnection: (connection) => !anteroom.take(connection) },
    // The mesh has a heartbeat of its own, which a busy second does not end.
    connectionMonitor: { enabled: false },
  })
  return Libp2pTransport.over(node, {
    announce: options.announce,
    anteroom,
    encrypter: () => {
      if (encrypter === undefined) throw new ServeError('ERR_UNSUPPORTED', 'this node has no encryption for relayed connections')
      return encrypter
    },
  })
}
