import { type Clock, type ErrorEnvelope, fromErrorEnvelope, ServeError, type Stop, toErrorEnvelope } from '../base/index.ts'
import type { BlobRef } from '../replica/index.ts'
import type { Member } from './admission.ts'
import { type BundleStore, isDigest } from './bundle-store.ts'
import type { Link } from './link.ts'
import { requireRole } from './roles.ts'
import type { VirtualPort } from './virtual-port.ts'

/** A transfer of one bundle or asset; its digest follows. */
export const BUNDLE_PORT = 'bundle:'
/** Bytes in one part: with its head it fits into one frame. */
export const BUNDLE_PART_BYTES = 61_440
/** Parts that may be under way. */
const PARTS_AHEAD = 4
/** How long a transfer may stand still, in milliseconds. */
export const BUNDLE_IDLE_MS = 10_000

/** From whoever has it: `[HEAD, bytes]`, then `[PART, bytes]`, four and then one per `[MORE]`; or `[NONE, ErrorEnvelope]`. */
const HEAD = 0
const PART = 1
const NONE = 2
/** From whoever wants it. */
const MORE = 3

export interface BundlesHere {
  readonly store: BundleStore
  /** Whether the controllers list it; what they do not is not given to anyone. */
  readonly isListed: (digest: string) => boolean
}

/** Takes a port by which a member that hosts replicas fetches what is listed. `ERR_FORBIDDEN`. False for a port of another kind. */
export function serveBundlePort(port: VirtualPort, member: Member, { store, isListed }: BundlesHere): boolean {
  if (!port.name.startsWith(BUNDLE_PORT)) return false
  const digest = port.name.slice(BUNDLE_PORT.length)
  requireRole(member, 'replica', 'fetching code')
  if (!isDigest(digest) || !isListed(digest)) throw new ServeError('ERR_FORBIDDEN', `no backend lists ${digest.slice(0, 64)}`)
  void send(port, digest, store)
  return true
}

async function send(port: VirtualPort, digest: string, store: BundleStore): Promise<void> {
  const release = store.hold([digest])
  let isOver = false
  let credit = PARTS_AHEAD
  let wake = (): void => {}
  port.onClosed(() => {
    isOver = true
    wake()
  })
  port.listen(([kind]) => {
    // Whoever grants more than it can have had gains nothing: parts under way are bounded.
    if (kind === MORE) credit = Math.min(credit + 1, PARTS_AHEAD)
    wake()
  })
  try {
    const size = store.sizeOf(digest)
    if (size === undefined) throw new ServeError('ERR_BUNDLE_MISMATCH', `${digest} is not here`)
    port.post([HEAD, size])
    for (let at = 0; at < size && !isOver; ) {
      if (credit === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        continue
      }
      credit--
      const end = Math.min(at + BUNDLE_PART_BYTES, size)
      port.post([PART, await store.read(digest, at, end)])
      at = end
    }
  } catch (error) {
    port.post([NONE, toErrorEnvelope(error)])
  } finally {
    release()
  }
}

/**
 * Fetches the bytes of a blob over a link, as fast as its parts are taken; they are not verified yet. Throws with `ERR_PEER_UNREACHABLE` when the link ends, the other side refuses or
 * nothing comes for {@link BUNDLE_IDLE_MS}, with `ERR_BUNDLE_MISMATCH` when it is of another length, and with what the other side says.
 */
export async function* fetchBundle(link: Link, blob: BlobRef, clock: Clock): AsyncGenerator<Uint8Array> {
  const port = link.openPort(BUNDLE_PORT + blob.digest)
  const came: Uint8Array[] = []
  let at = 0
  let hasHead = false
  let failure: unknown
  let stopTimer: Stop = () => {}
  let wake = (): void => {}
  const fail = (error: unknown): void => {
    failure ??= error
    wake()
  }
  const wait = (): void => {
    stopTimer()
    const late = `${blob.name}: nothing came for ${BUNDLE_IDLE_MS} ms, after ${at} of ${blob.bytes} bytes`
    stopTimer = clock.after(BUNDLE_IDLE_MS, () => fail(new ServeError('ERR_PEER_UNREACHABLE', late)))
  }
  port.onClosed((reason) => fail(new ServeError('ERR_PEER_UNREACHABLE', `${blob.name} could not be fetched: ${reason}`)))
  port.listen(([kind, value]) => {
    wait()
    if (kind === NONE) return fail(fromErrorEnvelope(value as ErrorEnvelope))
    if (kind === HEAD) {
      if (value !== blob.bytes) return fail(otherLength(blob, value))
      hasHead = true
    } else {
      if (kind !== PART || !(value instanceof Uint8Array) || at + value.byteLength > blob.bytes) return fail(otherLength(blob, 'more'))
      at += value.byteLength
      came.push(value)
    }
    wake()
  })
  wait()
  try {
    for (;;) {
      const part = came.shift()
      if (part !== undefined) {
        yield part
        // Asked for when this one was taken, so that no more than a few parts lie here.
        port.post([MORE])
      } else if (hasHead && at === blob.bytes) return
      else if (failure !== undefined) throw failure
      else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  } finally {
    stopTimer()
    port.close()
  }
}

const otherLength = (blob: BlobRef, bytes: unknown): ServeError =>
  new ServeError('ERR_BUNDLE_MISMATCH', `${blob.name} is listed with ${blob.bytes} bytes; what came has ${String(bytes)}`)
