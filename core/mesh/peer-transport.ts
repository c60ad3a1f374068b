import type { ServeError, Stop } from '../base/index.ts'
import type { WaitingCounts } from './waiting-room.ts'

/** What a channel tells its one reader. */
export interface ChannelReader {
  /** Bytes in order, cut anywhere. They are the reader's for the length of the call; what it keeps it copies. */
  onBytes(bytes: Uint8Array): void
  /** The channel takes bytes again, after `send` returned false. */
  onDrain(): void
  /** Once, after the last bytes: without an error when the other side closed, with `ERR_PEER_UNREACHABLE` when the connection broke. */
  onEnd(error: ServeError | undefined): void
}

/**
 * A duplex of bytes between two peers, in order, without message boundaries and without half-close. The seam that each transport fills; the suite
 * `tests/compliance/peer-transport.ts` says what it must keep.
 */
export interface ByteChannel {
  /** False while the other side does not keep up; sending on is allowed and costs memory here. */
  readonly isWritable: boolean
  /** Takes bytes, which must not be changed afterwards, and returns `isWritable`. After the end they are dropped. */
  send(bytes: Uint8Array): boolean
  /** Sets the reader; bytes and an end that came before wait for it. */
  listen(reader: ChannelReader): void
  /** No more `onBytes` until `resume`; the other side is held back once its window is full. */
  pause(): void
  resume(): void
  /** Ends both directions once what was sent has left. */
  close(): void
  /** Ends both directions at once and drops what has not left. */
  abort(reason: string): void
}

/** A channel to a peer whose identity the transport has proven. */
export interface PeerConnection {
  readonly peerId: string
  /** Where it comes from: those of one host are limited together. Missing for this machine, and where the transport cannot tell. */
  readonly host?: string | undefined
  /** True when this side dialled. */
  readonly isOutbound: boolean
  readonly channel: ByteChannel
  /** The peer that passes the bytes on; undefined for a connection of the two alone. */
  readonly via?: string | undefined
}

/** The two ends of a channel, before they have proven it. */
export interface ChannelEnds {
  /** Who should be there. */
  readonly peerId: string
  readonly isOutbound: boolean
  /** Who passes the bytes on. */
  readonly via: string
}

/** How peers reach each other. */
export interface PeerTransport {
  /** Own identity; the other side knows it for certain. */
  readonly peerId: string
  /** Where others can dial this peer; each names its `peerId`. Empty when it cannot be dialled. */
  readonly addresses: readonly string[]
  /** Connections of others that are not told to `onConnection` yet; for metrics. Missing where there are none such. */
  readonly waiting?: WaitingCounts | undefined
  /** Rejects with `ERR_PEER_UNREACHABLE` when nobody answers there or another peer than the address names does. */
  dial(address: string, signal: AbortSignal): Promise<PeerConnection>
  /** Connections that others open, from now on. Without a listener they are refused. */
  onConnection(listener: (connection: PeerConnection) => void): Stop
  /**
   * Makes a connection of a channel that another peer passes on: both ends prove who they are to each other, and who passes the bytes on can read and
   * change nothing. Rejects with `ERR_PEER_UNREACHABLE` when another peer is there than should be; the channel is gone then.
   */
  secure(channel: ByteChannel, ends: ChannelEnds, signal: AbortSignal): Promise<PeerConnection>
  /** Ends every connection and stops listening. */
  close(): Promise<void>
}
