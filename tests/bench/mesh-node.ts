import { noise } from '@chainsafe/libp2p-noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'

export const ECHO_PROTOCOL = '/bench/echo/1'
export const ECHO_ONCE_PROTOCOL = '/bench/echo-once/1'
/** Streams that may be open at once, in either direction: 64 callers and those that are just closing. */
export const MAX_STREAMS = 1_000

/** A libp2p node with the transport, cipher and multiplexer that Shoal uses, and nothing else. */
export function startLibp2p(listen: readonly string[]): ReturnType<typeof createLibp2p> {
  return createLibp2p({
    addresses: { listen: [...listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ maxInboundStreams: MAX_STREAMS, maxOutboundStreams: MAX_STREAMS })],
    connectionMonitor: { enabled: false },
  })
}
