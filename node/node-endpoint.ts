import type { Endpoint } from 'comlink'

/** What worker threads and their parents have in common. */
interface NodeChannel {
  postMessage(message: unknown, transfer?: readonly never[]): void
  on(event: 'message', listener: (message: unknown) => void): unknown
  off(event: 'message', listener: (message: unknown) => void): unknown
}

/** A Node channel with the event-target face that comlink wants. */
export function nodeEndpoint(channel: NodeChannel): Endpoint {
  const listeners = new Map<unknown, (message: unknown) => void>()
  return {
    postMessage: (message, transfer) => channel.postMessage(message, transfer as never),
    addEventListener(_type, listener) {
      const onMessage = (data: unknown): void => {
        if (typeof listener === 'function') listener({ data } as never)
        else listener.handleEvent({ data } as never)
      }
      listeners.set(listener, onMessage)
      channel.on('message', onMessage)
    },
    removeEventListener(_type, listener) {
      const onMessage = listeners.get(listener)
      if (onMessage !== undefined) channel.off('message', onMessage)
      listeners.delete(listener)
    },
  }
}
