import type { Endpoint } from 'comlink'
import { ServeError } from '../core/base/index.ts'
import type { CallPort } from '../core/replica/index.ts'
import { refuseForeign } from './foreign-values.ts'

/** The two ends of `fork` have these in common. */
export interface ProcessEnd {
  send?: ((message: unknown) => boolean) | undefined
  on(event: 'message', listener: (message: unknown) => void): unknown
  readonly connected?: boolean | undefined
}

/** The three strands of the one channel that a process has. */
const Strand = Object.freeze({ CALLS: 0, OUTBOUND: 1, CONTROL: 2 } as const)

/** Splits the channel between two processes into control, calls and outbound calls. Nothing can be transferred here: all is copied. */
export function splitChannel(end: ProcessEnd): { readonly control: Endpoint; readonly port: CallPort; readonly outbound: CallPort } {
  const listeners: ((message: never) => void)[][] = [[], [], []]
  const waiting: unknown[][] = [[], [], []]
  const send = (strand: number, message: unknown): void => {
    refuseForeign(message)
    if (end.connected !== false) end.send?.([strand, message])
  }
  end.on('message', (envelope) => {
    const [strand, message] = envelope as [number, unknown]
    const heard = listeners[strand]
    if (heard === undefined) return
    if (heard.length === 0) waiting[strand]?.push(message)
    for (const listener of [...heard]) listener(message as never)
  })
  const listen = (strand: number, listener: (message: never) => void): void => {
    listeners[strand]?.push(listener)
    for (const message of waiting[strand]?.splice(0) ?? []) listener(message as never)
  }
  const callPort = (strand: number): CallPort => ({
    post: (message) => send(strand, message),
    listen: (listener) => listen(strand, listener),
    close: () => listeners[strand]?.splice(0),
  })
  return { control: controlEndpoint(send, listen, listeners), port: callPort(Strand.CALLS), outbound: callPort(Strand.OUTBOUND) }
}

function controlEndpoint(
  send: (strand: number, message: unknown) => void,
  listen: (strand: number, listener: (message: never) => void) => void,
  listeners: ((message: never) => void)[][],
): Endpoint {
  const wrapped = new Map<unknown, (message: never) => void>()
  return {
    postMessage(message, transfer) {
      if (transfer !== undefined && transfer.length > 0) throw new ServeError('ERR_UNSUPPORTED', 'nothing can be transferred to a process')
      send(Strand.CONTROL, message)
    },
    addEventListener(_type, listener) {
      const onMessage = (data: unknown): void => {
        if (typeof listener === 'function') listener({ data } as never)
        else listener.handleEvent({ data } as never)
      }
      wrapped.set(listener, onMessage)
      listen(Strand.CONTROL, onMessage)
    },
    removeEventListener(_type, listener) {
      const onMessage = wrapped.get(listener)
      wrapped.delete(listener)
      const heard = listeners[Strand.CONTROL]
      const index = onMessage === undefined ? -1 : (heard?.indexOf(onMessage) ?? -1)
      if (index >= 0) heard?.splice(index, 1)
    },
  }
}
