import type { AbortOptions, Logger } from '@libp2p/interface'
import { AbstractMessageStream, type SendResult } from '@libp2p/utils'
import type { ByteChannel } from '../../mesh/index.ts'

/**
 * A channel as a stream of libp2p, so that its encryption runs over what another peer passes on. The base class is libp2p's: whatever takes such a
 * stream depends on its events in their order.
 */
export class ChannelStream extends AbstractMessageStream {
  readonly #channel: ByteChannel

  constructor(channel: ByteChannel, direction: 'inbound' | 'outbound', log: Logger) {
    super({ log, direction })
    this.#channel = channel
    channel.listen({
      // The cipher works in place, on bytes that the stream keeps.
      onBytes: (bytes) => this.onData(bytes.slice()),
      onDrain: () => this.onMuxerDrain(),
      onEnd: (error) => {
        if (error !== undefined) return this.onRemoteReset()
        this.onRemoteCloseWrite()
        this.onTransportClosed()
      },
    })
  }

  override sendData(data: Parameters<AbstractMessageStream['sendData']>[0]): SendResult {
    const { byteLength } = data
    return { sentBytes: byteLength, canSendMore: this.#channel.send(data.slice()) }
  }

  override sendReset(error: Error): void {
    this.#channel.abort(error.message)
  }

  override sendPause(): void {
    this.#channel.pause()
  }

  override sendResume(): void {
    this.#channel.resume()
  }

  /** Ends both directions once what was sent has left: a channel has no half-close. */
  override async close(_options?: AbortOptions): Promise<void> {
    if (this.status !== 'open') return
    this.writeStatus = 'closed'
    this.remoteWriteStatus = 'closed'
    this.#channel.send(this.writeBuffer.slice())
    this.writeBuffer.consume(this.writeBuffer.byteLength)
    this.#channel.close()
    this.onTransportClosed()
  }
}
