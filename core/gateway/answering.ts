import { isServeError, type Logger, ServeError } from '../base/index.ts'
import { AnswerKind, findHeader, type StreamAnswer } from '../request/index.ts'
import type { Call, CallSink } from '../service/index.ts'
import { checkedHeaders, isBodyless, toWholeAnswer } from './answer.ts'
import type { Exchange, GoneListener } from './exchange.ts'
import { type Problem, toProblem } from './problem.ts'
import { AS_GIVEN, EVENTS, type StreamForm, streamForm, toEvent } from './stream-form.ts'

/** What the answers of one gateway have in common. */
export interface AnsweringRules {
  readonly exposeStacks: boolean
  readonly overloadStatus: number
  readonly log: Logger
  /** True while the gateway drains: every answer then asks its connection to close. */
  readonly isDraining: boolean
  /** Told the status of every answer once. */
  count(status: number): void
}

/** One request being answered: the sink of its call, and the one who hears that its client is gone. */
export class Answering implements CallSink, GoneListener {
  readonly exchange: Exchange
  readonly requestId: string
  readonly #rules: AnsweringRules
  readonly #isHead: boolean
  #call: Call | undefined
  #stream: StreamAnswer | undefined
  #isGone = false
  #isOpen = false

  constructor(exchange: Exchange, requestId: string, rules: AnsweringRules) {
    this.exchange = exchange
    this.requestId = requestId
    this.#rules = rules
    this.#isHead = exchange.method === 'HEAD'
    exchange.onGone(this)
  }

  get isGone(): boolean {
    return this.#isGone
  }

  /** Names the call to cancel when the client goes. */
  attach(call: Call): void {
    this.#call = call
  }

  gone(): void {
    this.#isGone = true
    if (this.#stream !== undefined) this.#stream.cancel()
    else this.#call?.cancel(new ServeError('ERR_CANCELLED', 'the client went away'))
  }

  answer(kind: number, value: unknown): void {
    if (kind === AnswerKind.STREAM) {
      void this.#relay(value as StreamAnswer)
      return
    }
    try {
      const { status, headers, body } = toWholeAnswer(kind, value, this.#isHead)
      this.respond(status, headers, body)
    } catch (error) {
      this.fail(error)
    }
  }

  fail(error: unknown): void {
    const { status, headers, body } = this.#problem(error)
    this.respond(status, headers, body)
  }

  /** A whole answer of the gateway itself or of a handler. */
  respond(status: number, headers: string[], body: string | Uint8Array | undefined): void {
    this.#rules.count(status)
    if (this.#isGone) return
    this.exchange.respond(status, this.#withOwn(headers), body)
  }

  #withOwn(headers: string[]): string[] {
    headers.push('x-serve-request-id', this.requestId)
    if (this.#rules.isDraining) headers.push('connection', 'close')
    return headers
  }

  #problem(error: unknown): Problem {
    const known = isServeError(error)
      ? error
      : new ServeError('ERR_BAD_RESPONSE', `the answer cannot be sent: ${String(error)}`, { cause: error })
    if (known.code === 'ERR_BAD_RESPONSE')
      this.#rules.log.warn({ requestId: this.requestId, detail: known.message }, 'gateway.bad_response')
    const { exposeStacks, overloadStatus } = this.#rules
    return toProblem(known, { requestId: this.requestId, exposeStacks, overloadStatus })
  }

  /**
   * Parts as they come; all that came together leave as one write, and the next are asked for when the client has caught up. The head waits for the
   * first part, so that a producer that fails at once is answered with its error, unless a `Response` gave the head.
   */
  async #relay(stream: StreamAnswer): Promise<void> {
    this.#stream = stream
    if (this.#isGone) return stream.cancel()
    let form: StreamForm | undefined
    try {
      if (stream.head !== undefined) {
        form = AS_GIVEN
        if (!this.#open(stream.head[0], checkedHeaders(...stream.head))) return
      }
      for (;;) {
        const chunks = await stream.read()
        if (this.#isGone) return stream.cancel()
        if (form === undefined) {
          form = streamForm(findHeader(this.exchange.rawHeaders, 'accept'), chunks?.[0])
          if (chunks === undefined && form !== EVENTS) return this.respond(200, [], undefined)
          const first = chunks === undefined ? undefined : form.encode(chunks)
          const caching = form === EVENTS ? ['cache-control', 'no-cache'] : []
          if (!this.#open(200, ['content-type', form.contentType, ...caching])) return
          if (first !== undefined) await this.exchange.write(first)
        } else if (chunks !== undefined) {
          const pause = this.exchange.write(form.encode(chunks))
          if (pause !== undefined) await pause
        }
        if (chunks === undefined) return this.exchange.end()
      }
    } catch (error) {
      stream.cancel()
      this.#break(error, form)
    }
  }

  /** False when nothing may follow: the stream is let go. */
  #open(status: number, headers: string[]): boolean {
    if (this.#isHead || isBodyless(status)) {
      this.#stream?.cancel()
      this.respond(status, headers, undefined)
      return false
    }
    this.#rules.count(status)
    this.#isOpen = true
    this.exchange.open(status, this.#withOwn(headers))
    return true
  }

  /** An error before the first part is an answer; after it the answer is broken off, and a consumer of events is told why. */
  #break(error: unknown, form: StreamForm | undefined): void {
    if (this.#isGone) return
    if (this.#isOpen) {
      if (form === EVENTS) void this.exchange.write(toEvent(this.#problem(error).body, 'error'))
      this.exchange.abort()
    } else {
      this.fail(error)
    }
  }
}
