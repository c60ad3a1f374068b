import type { Stream } from '@libp2p/interface'

/** What of a stream of @libp2p/yamux 8 is relied on here. */
interface YamuxStream {
  recvWindow: number
  recvWindowCapacity: number
  sendWindowUpdate(): void
}

/**
 * Lets a stream tell its window once half of it is used up. By itself it does after every message, in a frame of its own: one more cipher run, write and
 * wake-up for each. Source of the rule: the yamux of HashiCorp. Streams of another kind are left as they are.
 */
export function thinOutWindowUpdates(stream: Stream): void {
  const yamux = stream as unknown as YamuxStream
  if (typeof yamux.sendWindowUpdate !== 'function' || typeof yamux.recvWindow !== 'number') return
  let isFirst = true
  const send = yamux.sendWindowUpdate.bind(yamux)
  yamux.sendWindowUpdate = () => {
    // The first one carries the acknowledgement of the stream.
    if (!isFirst && yamux.recvWindowCapacity > yamux.recvWindow / 2) return
    isFirst = false
    send()
  }
}
