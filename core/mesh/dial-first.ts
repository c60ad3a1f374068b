import { type Clock, ServeError } from '../base/index.ts'
import type { PeerConnection, PeerTransport } from './peer-transport.ts'

/** How long one address is dialled: one that says nothing is left before the next would come too late. */
const DIAL_MS = 3_000

/**
 * What `use` makes of a connection to the first address that leads to something; they are dialled in turn. Rejects with the first failure, with
 * `ERR_PEER_UNREACHABLE` when there is no address, and with the reason of the signal.
 */
export async function dialFirst<T>(
  transport: PeerTransport,
  addresses: readonly string[],
  signal: AbortSignal,
  clock: Clock,
  use: (connection: PeerConnection) => T | Promise<T>,
): Promise<T> {
  let failure: unknown
  for (const address of addresses) {
    try {
      return await use(await dialInTime(transport, address, signal, clock))
    } catch (error) {
      signal.throwIfAborted()
      failure ??= error
    }
  }
  throw failure ?? new ServeError('ERR_PEER_UNREACHABLE', 'there is no address to dial')
}

async function dialInTime(transport: PeerTransport, address: string, signal: AbortSignal, clock: Clock): Promise<PeerConnection> {
  const attempt = new AbortController()
  const giveUp = (): void => attempt.abort(signal.reason)
  signal.addEventListener('abort', giveUp, { once: true })
  const message = `nothing answered at ${address} within ${DIAL_MS} ms`
  const stopTimer = clock.after(DIAL_MS, () => attempt.abort(new ServeError('ERR_PEER_UNREACHABLE', message)))
  try {
    return await transport.dial(address, attempt.signal)
  } finally {
    stopTimer()
    signal.removeEventListener('abort', giveUp)
  }
}
