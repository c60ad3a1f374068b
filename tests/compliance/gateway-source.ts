import type { ServeError } from '../../core/base/index.ts'
import { type GatewaySource, type RouteEntry, RouteTable } from '../../core/gateway/index.ts'
import { decodeHttpHead, type HttpHead, type ResponseHead, type StreamAnswer } from '../../core/request/index.ts'
import type { Call } from '../../core/service/index.ts'

/** What a fake endpoint does with a call. */
export type FakeHandler = (call: Call, head: HttpHead) => void

/** Stands behind a gateway in tests: settles every call by a table of handlers, and remembers what it was given. */
export class FakeSource implements GatewaySource {
  readonly calls: Call[] = []
  readonly cancelled: ServeError[] = []
  isUp = true
  readonly #handlers = new Map<string, FakeHandler>()
  readonly #entries: RouteEntry[] = []
  #table = new RouteTable([])
  #wakeUps: (() => void)[] = []

  /** Adds an endpoint named like its route. */
  serve(route: string, handler: FakeHandler, entry: Partial<RouteEntry> = {}): this {
    this.#entries.push({ route, endpoint: route, methods: ['GET', 'POST'], ...entry })
    this.#handlers.set(route, handler)
    this.#table = new RouteTable(this.#entries)
    return this
  }

  routes(): RouteTable {
    return this.#table
  }

  dispatch(call: Call): void {
    this.calls.push(call)
    call.owner = {
      cancel: (_, error) => {
        this.cancelled.push(error)
        this.#wake()
      },
    }
    this.#handlers.get(call.endpoint)?.(call, decodeHttpHead(call.meta as string))
    this.#wake()
  }

  async status(): Promise<unknown> {
    return { nodes: {} }
  }

  isReady(): boolean {
    return this.isUp
  }

  metrics(): string {
    return 'up 1\n'
  }

  /** Resolves once the condition holds; asked again after every call and cancel. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#wakeUps.push(resolve))
  }

  #wake(): void {
    for (const wakeUp of this.#wakeUps.splice(0)) wakeUp()
  }
}

/** A stream of given parts: every inner list is what one read finds. An error in it breaks the stream there; 'hang' never comes. */
export class FakeStream implements StreamAnswer {
  readonly head: ResponseHead | undefined
  readonly #reads: (readonly unknown[] | Error | 'hang')[]
  readonly whenCancelled: Promise<void>
  #cancelled: () => void = () => undefined

  constructor(reads: readonly (readonly unknown[] | Error | 'hang')[], head?: ResponseHead) {
    this.head = head
    this.#reads = [...reads]
    this.whenCancelled = new Promise((resolve) => {
      this.#cancelled = resolve
    })
  }

  async read(): Promise<readonly unknown[] | undefined> {
    const next = this.#reads.shift()
    if (next === 'hang') return new Promise(() => undefined)
    if (next instanceof Error) throw next
    return next
  }

  cancel(): void {
    this.#cancelled()
  }
}
