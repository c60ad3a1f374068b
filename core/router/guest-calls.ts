import { type ErrorEnvelope, fromErrorEnvelope, ServeError, type Turns } from '../base/index.ts'
import { AnswerOutbox, type CallPort } from '../replica/index.ts'
import {
  AnswerKind,
  BODY,
  BODY_END,
  CANCEL,
  type CallMeta,
  CREDIT,
  SLOTS_PER_CALL,
  STREAMED,
  StreamedBody,
  unpackHandleMeta,
} from '../request/index.ts'
import { Call, Upload } from '../service/index.ts'
import type { BackendQueue } from './backend-queue.ts'
import { OutboundSink } from './outbound-calls.ts'

export interface GuestCallsInit {
  readonly port: CallPort
  /** The queue of the backend, asked anew for each message; undefined when the backend is gone. */
  readonly queue: () => BackendQueue | undefined
  readonly backend: string
  /** Asked for each call, which then has a fifth slot: its endpoint. What it gives is the call's end. @default all may come, and name no endpoint */
  readonly refuse?: ((call: Call) => ServeError | undefined) | undefined
}

export interface GuestCalls {
  /** Calls that are not answered to the end. */
  readonly open: number
  /** Cancels them. */
  stop(): void
}

/** Slots of a call that names its endpoint. */
export const SLOTS_PER_NAMED_CALL: number = SLOTS_PER_CALL + 1

/**
 * Takes the calls of another node for one backend: each goes to a replica of this node or is refused at once, and never travels on. The frames are
 * those between a lane and a replica.
 */
export function serveGuestCalls({ port, queue, backend, refuse }: GuestCallsInit, turns: Turns): GuestCalls {
  const outbox = new AnswerOutbox(port, turns)
  const open = new Map<number, OutboundSink>()
  const bodies = new Map<number, StreamedBody>()
  const close = (id: number): void => {
    open.delete(id)
    bodies.get(id)?.fail(new ServeError('ERR_CANCELLED', 'the call was answered before its body was read', { outcome: 'completed' }))
    bodies.delete(id)
    outbox.serviceUs = queue()?.serviceUs ?? 0
  }
  const slots = refuse === undefined ? SLOTS_PER_CALL : SLOTS_PER_NAMED_CALL
  const take = (id: number, msLeft: number, meta: CallMeta, data: unknown, endpoint: string): void => {
    const isHttp = typeof meta === 'string' && meta.charCodeAt(0) !== 0x7b
    const sink = new OutboundSink(id, outbox, () => close(id))
    open.set(id, sink)
    const call = new Call({
      endpoint,
      method: isHttp ? meta.slice(1, meta.indexOf('\n')) : meta === 0 ? '' : (unpackHandleMeta(meta).m ?? ''),
      meta,
      data,
      upload: isHttp && data === STREAMED ? toUpload(id) : undefined,
      timeoutMs: Math.max(1, Math.abs(msLeft)),
      // Whether it may run twice its own node decides.
      idempotent: false,
      reach: 'node',
      sink,
    })
    call.guest = true
    sink.call = call
    const refusal = refuse?.(call)
    if (refusal !== undefined) return sink.fail(refusal)
    const here = queue()
    if (here !== undefined) here.submit(call)
    else sink.fail(new ServeError('ERR_NO_REPLICA', `backend ${backend} is not on this node`, { outcome: 'not-started' }))
  }
  const toUpload = (id: number): Upload => {
    const body = new StreamedBody((bytes) => outbox.add(id, AnswerKind.BODY_CREDIT, bytes))
    bodies.set(id, body)
    let reader: ReadableStreamReader<Uint8Array> | undefined
    return new Upload(
      async () => {
        reader ??= body.stream().getReader()
        const { done, value } = await reader.read()
        return done ? undefined : value
      },
      // The node that took the request in has counted its bytes already.
      { limitBytes: Number.MAX_SAFE_INTEGER },
    )
  }
  port.listen((message) => {
    const first = message[0] as number
    const id = message[1] as number
    if (first === CANCEL) return open.get(id)?.cancel()
    if (first === CREDIT) {
      for (let i = 1; i < message.length; i += 2) open.get(message[i] as number)?.addCredit(message[i + 1] as number)
      return
    }
    if (first === BODY) return bodies.get(id)?.push(message[2] as Uint8Array)
    if (first === BODY_END) {
      const envelope = message[2] as ErrorEnvelope | undefined
      return bodies.get(id)?.end(envelope === undefined ? undefined : fromErrorEnvelope(envelope))
    }
    for (let i = 0; i + slots <= message.length; i += slots) {
      const named = refuse === undefined ? '' : message[i + SLOTS_PER_CALL]
      const endpoint = typeof named === 'string' ? named : ''
      take(message[i] as number, message[i + 1] as number, message[i + 2] as CallMeta, message[i + 3], endpoint)
    }
  })
  return {
    get open() {
      return open.size
    },
    stop() {
      for (const sink of [...open.values()]) sink.cancel()
      port.close()
    },
  }
}
