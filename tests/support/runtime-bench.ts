import { type CallPort, createPortPair, ReplicaRuntime, type RuntimeLimits, ServedTarget } from '../../core/replica/index.ts'
import { AnswerKind, CANCEL, CREDIT, encodeHttpHead, JSON_LIMITS } from '../../core/request/index.ts'
import { FakeClock } from './fake-clock.ts'
import { ManualTurns } from './manual-turns.ts'

export interface Frame {
  readonly id: number
  readonly kind: number
  // biome-ignore lint/suspicious/noExplicitAny: whatever user code answered
  readonly value: any
}

export const LIMITS: RuntimeLimits = { maxConcurrentQueries: 100, maxBatchSize: 1, batchWaitTimeoutMs: 0 }

/** A runtime on a bench: the test plays its host, message by message. */
export class RuntimeBench {
  readonly clock = new FakeClock()
  readonly turns = new ManualTurns()
  readonly flags = new Uint8Array(512)
  readonly runtime: ReplicaRuntime
  /** Messages as they came from the replica, their running means cut off. */
  readonly messages: Frame[][] = []
  readonly #port: CallPort
  /** What lies in the port until somebody polls; only with `polls`. */
  readonly #unread: (readonly unknown[])[] = []

  constructor(self: unknown, limits: Partial<RuntimeLimits> = {}, options: { readonly polls?: boolean; readonly shared?: boolean } = {}) {
    const [outer, inner] = createPortPair(this.turns)
    this.#port = outer
    outer.listen((message) => {
      const frames: Frame[] = []
      for (let i = 1; i < message.length; i += 3)
        frames.push({ id: message[i] as number, kind: message[i + 1] as number, value: message[i + 2] })
      this.messages.push(frames)
    })
    const port: CallPort = options.polls ? { ...bound(inner), poll: () => this.#unread.shift() } : inner
    this.runtime = new ReplicaRuntime(
      {
        port,
        target: new ServedTarget('b', self),
        limits: { ...LIMITS, ...limits },
        backend: 'b',
        requestIdPrefix: 'b#1-',
        startedFlags: options.shared === false ? undefined : this.flags,
        jsonLimits: JSON_LIMITS,
      },
      this.clock,
      this.turns,
    )
  }

  /** All frames so far. */
  get frames(): Frame[] {
    return this.messages.flat()
  }

  of(id: number): Frame[] {
    return this.frames.filter((frame) => frame.id === id)
  }

  /** Sends calls in one message; each `[id, data, method?, msLeft?]`. */
  send(...calls: readonly (readonly [id: number, data?: unknown, method?: string | undefined, msLeft?: number])[]): void {
    this.#port.post(frameOf(calls))
    this.turns.run()
  }

  /** Leaves calls in the port, where only a poll finds them. */
  leave(...calls: readonly (readonly [id: number, data?: unknown, method?: string])[]): void {
    this.#unread.push(frameOf(calls))
  }

  /** A call that came over HTTP. */
  sendHttp(id: number, rawHeaders: readonly string[], body: unknown, callMethod = ''): void {
    const head = { rendered: true, callMethod, httpMethod: 'POST', url: 'http://h/p?a=1', requestId: `r${id}`, rawHeaders }
    this.#port.post([id, 1_000, encodeHttpHead(head), body])
    this.turns.run()
  }

  cancel(id: number): void {
    this.#port.post([CANCEL, id])
    this.turns.run()
  }

  credit(id: number, chunks: number): void {
    this.credits([id, chunks])
  }

  /** Credit for several streams in one message. */
  credits(...credits: readonly (readonly [id: number, chunks: number])[]): void {
    this.#port.post([CREDIT, ...credits.flat()])
    this.turns.run()
  }

  /** Lets promise jobs and turns run until nothing moves. */
  async settle(): Promise<void> {
    for (let i = 0; i < 40; i++) {
      this.turns.run()
      await Promise.resolve()
    }
    await this.clock.advance(0)
    this.turns.run()
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms)
    await this.settle()
  }
}

function frameOf(calls: readonly (readonly [id: number, data?: unknown, method?: string | undefined, msLeft?: number])[]): unknown[] {
  return calls.flatMap(([id, data, method, msLeft = 1_000]) => [id, msLeft, method === undefined ? 0 : JSON.stringify({ m: method }), data])
}

function bound(port: CallPort): CallPort {
  return {
    post: (message, transfer) => port.post(message, transfer),
    listen: (listener) => port.listen(listener),
    close: () => port.close(),
  }
}

/** Handlers that the test settles: each call waits in `waiting` until it is resolved or rejected. */
export function gate() {
  const waiting: {
    readonly request: { readonly data: unknown; readonly signal: AbortSignal }
    resolve(value: unknown): void
    reject(error: unknown): void
  }[] = []
  const handler = (request: never): Promise<unknown> =>
    new Promise((resolve, reject) => {
      waiting.push({ request, resolve, reject })
    })
  return { waiting, handler }
}

export { AnswerKind }
