import { type Clock, ServeError, type Stop } from '../base/index.ts'
import { ADMISSION_MS } from './admission.ts'
import type { Link } from './link.ts'
import type { PeerConnection, PeerTransport } from './peer-transport.ts'
import { PortChannel } from './port-channel.ts'
import { refusalIn } from './refused-port.ts'
import { RELAY_PORT, RELAYED_PORT } from './relay.ts'
import type { VirtualPort } from './virtual-port.ts'

/** Relayed connections that others may be opening to this peer at once. */
const MAX_OPENING = 32

/**
 * Connections to peers through a third one that both are linked to. Who is at the other end is proven through it, not by it: the third one can refuse,
 * delay and break off, and nothing else.
 */
export class RelayedWays {
  readonly #transport: PeerTransport
  readonly #clock: Clock
  #onConnection: (connection: PeerConnection) => void = () => {
    throw new ServeError('ERR_UNSUPPORTED', 'this peer takes no relayed connections')
  }
  #opening = 0

  constructor(transport: PeerTransport, clock: Clock) {
    this.#transport = transport
    this.#clock = clock
  }

  /** Rejects with `ERR_PEER_UNREACHABLE` when the relay does not lead there, or to another peer; what the relay said is the cause. */
  async dial(peerId: string, relay: { readonly peerId: string; readonly link: Link }, signal: AbortSignal): Promise<PeerConnection> {
    signal.throwIfAborted()
    return this.#secure(relay.link.openPort(RELAY_PORT + peerId), { peerId, isOutbound: true, via: relay.peerId }, signal)
  }

  /** Connections that others open through a third one, from now on. */
  onConnection(listener: (connection: PeerConnection) => void): void {
    this.#onConnection = listener
  }

  /** Takes the far end of such a connection from a peer that passes it on. False for a port of another kind. */
  takePort(port: VirtualPort, relayId: string): boolean {
    if (!port.name.startsWith(RELAYED_PORT)) return false
    if (this.#opening >= MAX_OPENING) throw new ServeError('ERR_BACK_PRESSURE', `${MAX_OPENING} relayed connections are being opened here`)
    const ends = { peerId: port.name.slice(RELAYED_PORT.length), isOutbound: false, via: relayId }
    this.#opening++
    this.#secure(port, ends, undefined)
      .then((connection) => this.#onConnection(connection))
      .catch(() => port.abandon())
      .finally(() => this.#opening--)
    return true
  }

  async #secure(
    port: VirtualPort,
    ends: { readonly peerId: string; readonly isOutbound: boolean; readonly via: string },
    signal: AbortSignal | undefined,
  ): Promise<PeerConnection> {
    const abort = new AbortController()
    const giveUp = (reason: string, cause?: ServeError): void =>
      abort.abort(new ServeError('ERR_PEER_UNREACHABLE', `peer ${ends.peerId}: ${reason}`, cause === undefined ? {} : { cause }))
    const stopTimer: Stop = this.#clock.after(ADMISSION_MS, () => giveUp(`no answer through ${ends.via} within ${ADMISSION_MS} ms`))
    const onAbort = (): void => giveUp('not wanted any more')
    signal?.addEventListener('abort', onAbort, { once: true })
    let refusal: ServeError | undefined
    port.onClosed((reason) => {
      refusal = refusalIn(reason)
      giveUp(`no way through ${ends.via}: ${refusal?.message ?? reason}`, refusal)
    })
    try {
      return await this.#transport.secure(new PortChannel(port), ends, abort.signal)
    } catch (error) {
      port.abandon()
      // Its end may have been seen before its reason.
      throw refusal === undefined ? error : abort.signal.reason
    } finally {
      stopTimer()
      signal?.removeEventListener('abort', onAbort)
    }
  }
}
