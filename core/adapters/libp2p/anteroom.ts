import type { MultiaddrConnection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Clock } from '../../base/index.ts'
import { ADMISSION_MS, type WaitingCounts, WaitingRoom } from '../../mesh/index.ts'
import { hostOf } from './host-of.ts'

/**
 * Connections that others have opened and that are no stream of the mesh yet: they may have said nothing at all, not even a key. libp2p counts them, but
 * would refuse the next one, and keeps one that opens no stream for ever.
 */
export class Anteroom {
  readonly #room: WaitingRoom
  readonly #clock: Clock
  /** By the address of the other end. */
  readonly #leave = new Map<string, () => void>()

  constructor(maxAdmissions: number, clock: Clock) {
    this.#room = new WaitingRoom(maxAdmissions, clock)
    this.#clock = clock
  }

  get counts(): WaitingCounts {
    return this.#room.counts
  }

  /** False when there is no room for one more. */
  take(connection: MultiaddrConnection): boolean {
    const { remoteAddr } = connection
    const end = (): void => connection.abort(new Error('it opened no stream of the mesh'))
    const place = this.#room.enter(hostOfAddress(remoteAddr), end)
    if (place === undefined) return false
    const stopTimer = this.#clock.after(ADMISSION_MS, end)
    const key = withoutPeer(remoteAddr)
    const leave = (): void => {
      stopTimer()
      place.leave()
      if (this.#leave.get(key) === leave) this.#leave.delete(key)
    }
    this.#leave.set(key, leave)
    connection.addEventListener('close', leave, { once: true })
    return true
  }

  /** What comes from there has opened the stream. */
  release(remoteAddr: Multiaddr): void {
    this.#leave.get(withoutPeer(remoteAddr))?.()
  }
}

/** libp2p adds the peer once that is proven. */
const withoutPeer = (address: Multiaddr): string => address.toString().replace(/\/p2p\/[^/]+$/, '')

/** Who answers for the other end of a connection; undefined for this machine. */
export function hostOfAddress(address: Multiaddr): string | undefined {
  const { name = '', value = '' } = address.getComponents()[0] ?? {}
  return hostOf(name, value)
}
