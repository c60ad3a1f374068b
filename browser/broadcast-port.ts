import type { CallPort } from '../core/replica/index.ts'

/** A BroadcastChannel on which, once it is closed, what is sent falls silently: as with a MessagePort. */
export function openQuietChannel(name: string): BroadcastChannel {
  const channel = new BroadcastChannel(name)
  let closed = false
  const { postMessage, close } = channel
  return Object.assign(channel, {
    postMessage(message: unknown) {
      if (!closed) postMessage.call(channel, message)
    },
    close() {
      closed = true
      close.call(channel)
    },
  })
}

/**
 * A BroadcastChannel between two tabs as a port for frames; both open it under one name that nobody else uses. It copies: what is to be moved is copied
 * as well.
 */
export function openBroadcastPort(name: string): CallPort {
  const channel = openQuietChannel(name)
  const waiting: (readonly unknown[])[] = []
  let listener: ((message: readonly unknown[]) => void) | undefined
  channel.onmessage = ({ data }: MessageEvent<readonly unknown[]>) => {
    if (listener === undefined) waiting.push(data)
    else listener(data)
  }
  return {
    post: (message) => channel.postMessage(message),
    listen(newListener) {
      listener = newListener
      for (const message of waiting.splice(0)) newListener(message)
    },
    close: () => channel.close(),
  }
}
