import { type Clock, didYouMean, type ErrorCode, isServeError, type Outcome, ServeError, Topic, type Turns } from '../base/index.ts'
import type { RolloutOptions, RolloutResult, ServeEvent } from '../controller/index.ts'
import type { TicketOptions } from '../mesh/index.ts'
import {
  type App,
  type BackendConfig,
  defineApp,
  type EndpointOptions,
  type PublicBackendConfig,
  type PublicEndpoint,
  requireName,
} from '../model/index.ts'
import { encodeInitArgs, type ReplicaCode } from '../replica/index.ts'
import { flatHeaders } from '../request/index.ts'
import { OutboundCalls, ServeHandle } from '../router/index.ts'
import type { BackendOptions, BackendTarget } from './client.ts'
import { ControlChannel } from './control-channel.ts'
import { EventStream } from './event-stream.ts'
import type { Instance } from './instance.ts'
import type { InstanceLink } from './instance-link.ts'
import type { InstanceStatus } from './local-instance.ts'
import { INSTANCE_PROTOCOL, type InstanceGreeting, type WireAnswer, type WireBackend, type WireRequest } from './serve-instance.ts'
import { isCodeTarget, isModuleTarget, isWorkerTarget, requireCallable } from './targets.ts'

/** Longest wait for the first answer of an instance, in milliseconds. */
const GREETING_MS = 10_000

/** What an attached client needs of its platform. */
export interface RemotePlatform {
  readonly clock: Clock
  readonly turns: Turns
  /** As of an `InstancePlatform`. */
  callerOf(calledFrom: (...args: never[]) => unknown): string | undefined
  toPortableCode(tag: string, target: BackendTarget, caller: string | undefined): Promise<ReplicaCode>
  /** Resolves when these processes are gone. */
  whenEnded(processes: readonly number[]): Promise<void>
}

/**
 * An instance in another process. Calls take the same frames as between a replica and its host; handles read a mirror of the endpoints that the
 * instance keeps up to date. When the link breaks, everything open fails with `ERR_PEER_UNREACHABLE`, outcome `started-unknown`.
 */
export class RemoteInstance implements Instance {
  readonly gateway: { readonly url: string; readonly port: number } | undefined
  /** What the instance said of itself. */
  readonly greeting: InstanceGreeting
  readonly #link: InstanceLink
  readonly #platform: RemotePlatform
  readonly #control: ControlChannel
  readonly #calls: OutboundCalls
  readonly #events = new Topic<ServeEvent>()
  readonly #streams = new Set<EventStream<ServeEvent>>()
  readonly #mirror: Mirror
  #openBodies = 0
  #closing = false
  #isGone = false

  private constructor(link: InstanceLink, platform: RemotePlatform, parts: Connected) {
    this.#link = link
    this.#platform = platform
    this.#control = parts.control
    this.#mirror = parts.mirror
    this.greeting = parts.greeting
    this.gateway = parts.greeting.gateway
    this.#calls = new OutboundCalls(link.calls, platform.clock, platform.turns, parts.hold)
    this.#mirror.onEvent = (event) => this.#events.emit(event)
    void link.whenGone.then((reason) => this.#end(reason))
  }

  /** Greets the instance. `ERR_PROTOCOL_VERSION` when it speaks another version, `ERR_PEER_UNREACHABLE` when it does not answer. */
  static async attach(link: InstanceLink, platform: RemotePlatform): Promise<RemoteInstance> {
    const mirror = new Mirror()
    const hold = countHolds(link)
    const told = new Map<string, (value: never) => void>([
      ['endpoints', (names: readonly string[]) => mirror.set(names)],
      ['event', (event: ServeEvent) => mirror.onEvent(event)],
    ])
    const control = new ControlChannel(link.control, { requests: new Map(), told }, hold)
    void link.whenGone.then((reason) => control.end(() => unreachable(reason, 'started-unknown')))
    const stopTimer = platform.clock.after(GREETING_MS, () =>
      control.end(() => unreachable(`it did not answer within ${GREETING_MS} ms`, 'not-started')),
    )
    const greeting = (await control.request('greet', INSTANCE_PROTOCOL).finally(stopTimer)) as InstanceGreeting
    mirror.set(greeting.endpoints)
    return new RemoteInstance(link, platform, { control, mirror, greeting, hold })
  }

  async createBackend(
    tag: string,
    target: BackendTarget,
    options: BackendOptions,
    calledFrom: (...args: never[]) => unknown,
  ): Promise<void> {
    requireName('backend tag', tag)
    const { ifExists } = options
    // Where the code was written is asked of the stack, which is only there before the first await.
    const wire = this.#toWire(tag, target, options, this.#platform.callerOf(calledFrom))
    wire.catch(() => undefined)
    if (ifExists === 'keep' && (await this.#control.request('hasBackend', tag)) === true) return
    await this.#control.request('createBackend', tag, await wire, ifExists)
  }

  async updateBackendConfig(tag: string, partial: BackendConfig): Promise<void> {
    await this.#control.request('updateBackendConfig', tag, partial)
  }

  async getBackendConfig(tag: string): Promise<PublicBackendConfig> {
    return (await this.#control.request('getBackendConfig', tag)) as PublicBackendConfig
  }

  async listBackends(): Promise<Record<string, PublicBackendConfig>> {
    return (await this.#control.request('listBackends')) as Record<string, PublicBackendConfig>
  }

  async deleteBackend(tag: string): Promise<void> {
    await this.#control.request('deleteBackend', tag)
  }

  async createEndpoint(name: string, options: EndpointOptions): Promise<void> {
    await this.#control.request('createEndpoint', name, options)
  }

  async deleteEndpoint(name: string): Promise<void> {
    await this.#control.request('deleteEndpoint', name)
  }

  async listEndpoints(): Promise<Record<string, PublicEndpoint>> {
    return (await this.#control.request('listEndpoints')) as Record<string, PublicEndpoint>
  }

  rollout(endpoint: string, backend: string, options: RolloutOptions): Promise<RolloutResult> {
    return this.#control.request('rollout', endpoint, backend, options) as Promise<RolloutResult>
  }

  async setTraffic(endpoint: string, weights: Readonly<Record<string, number>>): Promise<void> {
    await this.#control.request('setTraffic', endpoint, weights)
  }

  async shadowTraffic(endpoint: string, tag: string, proportion: number): Promise<void> {
    await this.#control.request('shadowTraffic', endpoint, tag, proportion)
  }

  getHandle(endpoint: string, missingOk: boolean): ServeHandle {
    if (!missingOk && !this.#mirror.has(requireName('endpoint name', endpoint))) {
      throw new ServeError('ERR_ENDPOINT_NOT_FOUND', `there is no endpoint ${endpoint}${didYouMean(endpoint, this.#mirror.names)}`)
    }
    return new ServeHandle(endpoint, this.#calls)
  }

  async fetch(request: Request): Promise<Response> {
    const body = request.body === null ? undefined : new Uint8Array(await request.arrayBuffer())
    const id = ++this.#openBodies
    const sent: WireRequest = { id, method: request.method, url: request.url, headers: flatHeaders(request.headers), body }
    const onAbort = (): void => this.#control.tell('letGo', id)
    request.signal.addEventListener('abort', onAbort, { once: true })
    try {
      request.signal.throwIfAborted()
      const answer = (await this.#control.request('fetch', sent)) as WireAnswer
      request.signal.throwIfAborted()
      return toResponse(answer, () => this.#control.request('readBody', id) as Promise<Uint8Array | undefined>, onAbort)
    } finally {
      request.signal.removeEventListener('abort', onAbort)
    }
  }

  async createTicket(options?: TicketOptions): Promise<string> {
    return (await this.#control.request('createTicket', options)) as string
  }

  async revokeTicket(ticket: string): Promise<void> {
    await this.#control.request('revokeTicket', ticket)
  }

  async status(): Promise<InstanceStatus> {
    return (await this.#control.request('status')) as InstanceStatus
  }

  watch(): EventStream<ServeEvent> {
    const stream: EventStream<ServeEvent> = new EventStream((listener) => {
      if (this.#events.size === 0) this.#control.tell('watch', true)
      const stop = this.#events.on(listener)
      return () => {
        stop()
        this.#streams.delete(stream)
        if (this.#events.size === 0) this.#control.tell('watch', false)
      }
    })
    this.#streams.add(stream)
    return stream
  }

  async deploy(app: App, calledFrom: (...args: never[]) => unknown): Promise<void> {
    const { backends: given, endpoints } = defineApp(app)
    const caller = this.#platform.callerOf(calledFrom)
    const backends = await Promise.all(
      Object.entries(given).map(async ([tag, { target, ...options }]) => {
        return [tag, await this.#toWire(tag, target as BackendTarget, options, caller)] as const
      }),
    )
    await this.#control.request('deploy', backends, endpoints)
  }

  /** Lets go; the instance goes on. Open calls fail with `ERR_CLIENT_CLOSED`. */
  async close(): Promise<void> {
    this.#closing = true
    this.#link.close()
    this.#end('the client was closed')
  }

  /** Stops the instance, whoever started it; resolves when it has ended. */
  async shutdown(timeoutMs?: number): Promise<void> {
    if (this.#isGone) throw unreachable('the connection had broken before', 'not-started')
    try {
      await this.#control.request('shutdown', timeoutMs)
    } catch (error) {
      // The instance may go before its answer has left.
      if (!isServeError(error, 'ERR_PEER_UNREACHABLE')) throw error
    } finally {
      await this.close()
    }
    await this.#platform.whenEnded(this.greeting.processes)
  }

  async #toWire(tag: string, target: BackendTarget, options: BackendOptions, caller: string | undefined): Promise<WireBackend> {
    const { initArgs = [], config = {}, replicaOptions = {} } = options
    if (!Array.isArray(initArgs)) {
      throw new ServeError('ERR_INVALID_ARG_TYPE', `backend ${tag}: initArgs must be an array, got ${typeof initArgs}`)
    }
    if (isWorkerTarget(target) || replicaOptions.isolation === 'inline') {
      const what = isWorkerTarget(target) ? 'serve.worker()' : "isolation 'inline'"
      const message = `backend ${tag}: ${what} cannot travel to an instance in another process; use serve.module(), or start the instance in this process`
      throw new ServeError('ERR_UNSUPPORTED', message)
    }
    const encoded = encodeInitArgs(tag, initArgs)
    if (isCodeTarget(target)) return { code: target.code, initArgs: encoded, config, replicaOptions }
    if (isModuleTarget(target)) {
      return { code: { kind: 'module', url: target.url, exportName: target.exportName }, initArgs: encoded, config, replicaOptions }
    }
    requireCallable(tag, target, initArgs)
    return { code: await this.#platform.toPortableCode(tag, target, caller), initArgs: encoded, config, replicaOptions }
  }

  #end(reason: string): void {
    this.#isGone = true
    const toError = (outcome: Outcome): ServeError => (this.#closing ? closed(outcome) : unreachable(reason, outcome))
    this.#control.end(() => toError('started-unknown'))
    this.#calls.end(toError)
    for (const stream of [...this.#streams]) stream.end()
  }
}

interface Connected {
  readonly control: ControlChannel
  readonly mirror: Mirror
  readonly greeting: InstanceGreeting
  readonly hold: (isBusy: boolean) => void
}

/** The names of the endpoints, as last told. */
class Mirror {
  #names: ReadonlySet<string> = new Set()
  onEvent: (event: ServeEvent) => void = () => {}

  get names(): Iterable<string> {
    return this.#names
  }

  has(name: string): boolean {
    return this.#names.has(name)
  }

  set(names: readonly string[]): void {
    this.#names = new Set(names)
  }
}

/** Requests and calls each say when they are busy; the link is held while either is. */
function countHolds(link: InstanceLink): (isBusy: boolean) => void {
  let holds = 0
  return (isBusy) => {
    holds += isBusy ? 1 : -1
    link.hold(holds > 0)
  }
}

function toResponse({ status, headers, hasBody }: WireAnswer, read: () => Promise<Uint8Array | undefined>, letGo: () => void): Response {
  const pairs: [string, string][] = []
  for (let i = 0; i + 1 < headers.length; i += 2) pairs.push([headers[i] as string, headers[i + 1] as string])
  if (!hasBody) return new Response(null, { status, headers: pairs })
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const chunk = await read()
        if (chunk === undefined) controller.close()
        else controller.enqueue(chunk)
      } catch (error) {
        controller.error(error)
      }
    },
    cancel: letGo,
  })
  return new Response(body, { status, headers: pairs })
}

function failure(code: ErrorCode, message: string, outcome: Outcome): ServeError {
  return new ServeError(code, message, { outcome })
}
const closed = (outcome: Outcome): ServeError => failure('ERR_CLIENT_CLOSED', 'the client was closed', outcome)
const unreachable = (reason: string, outcome: Outcome): ServeError =>
  failure('ERR_PEER_UNREACHABLE', `the instance is out of reach (${reason})`, outcome)
