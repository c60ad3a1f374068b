import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import type { CallPort } from '../core/replica/index.ts'

/** A MessagePort of Node as a port for frames. */
export interface NodePort extends CallPort {
  /** Hands over what has arrived and was not delivered yet: the last words of a thread that has ended. */
  deliverWaiting(): void
}

export function toCallPort(port: MessagePort): NodePort {
  let listener: (message: readonly unknown[]) => void = () => {}
  const poll = (): readonly unknown[] | undefined => receiveMessageOnPort(port)?.message
  return {
    post: (message, transfer) => port.postMessage(message, transfer as never),
    listen(newListener) {
      listener = newListener
      port.on('message', (message) => listener(message))
    },
    poll,
    deliverWaiting() {
      for (let message = poll(); message !== undefined; message = poll()) listener(message)
    },
    close: () => port.close(),
  }
}
