import type { CallPort } from '../core/replica/index.ts'

/**
 * A MessagePort of the web as a port for frames.
 * @param onBroken told when a message came that could not be read: the call in it would wait for ever
 */
export function toCallPort(port: MessagePort, onBroken: () => void = () => {}): CallPort {
  return {
    post: (message, transfer) => port.postMessage(message, (transfer ?? []) as Transferable[]),
    listen(listener) {
      port.addEventListener('messageerror', onBroken)
      port.onmessage = (event: MessageEvent<readonly unknown[]>) => listener(event.data)
    },
    close: () => port.close(),
  }
}
