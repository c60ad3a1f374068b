import type { Turns } from '../base/index.ts'
import type { CallPort } from '../replica/index.ts'
import type { CallTarget } from './handle.ts'

/** `serveOutbound`, loaded with the first call that the replica makes: most replicas call nobody. */
export function serveOutboundOnCall(port: CallPort, target: CallTarget, turns: Turns): () => void {
  const waiting: (readonly unknown[])[] = []
  let take = (message: readonly unknown[]): void => {
    if (waiting.push(message) === 1) void open()
  }
  let stop = (): void => {
    take = () => {}
    port.close()
  }
  const open = async (): Promise<void> => {
    const hold = take
    const { serveOutbound } = await import('./outbound-calls.ts')
    if (take !== hold) return
    const listen = (listener: (message: readonly unknown[]) => void): void => {
      take = listener
      waiting.forEach(listener)
    }
    stop = serveOutbound({ post: (message, transfer) => port.post(message, transfer), listen, close: () => port.close() }, target, turns)
  }
  port.listen((message) => take(message))
  return () => stop()
}
