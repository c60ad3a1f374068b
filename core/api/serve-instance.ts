import { isServeError, ServeError, type Stop, type Turns } from '../base/index.ts'
import type { Controller, RolloutOptions, ServeEvent } from '../controller/index.ts'
import type { TicketOptions } from '../mesh/index.ts'
import type { App, BackendConfig, EndpointOptions, ReplicaOptions, ResolvedAppEndpoint, RoutingTable } from '../model/index.ts'
import type { ReplicaCode } from '../replica/index.ts'
import { flatHeaders } from '../request/index.ts'
import { type CallTarget, serveOutbound } from '../router/index.ts'
import type { BackendOptions, BackendTarget } from './client.ts'
import { ControlChannel } from './control-channel.ts'
import type { Instance } from './instance.ts'
import type { InstanceLink } from './instance-link.ts'
import type { LocalInstance } from './local-instance.ts'
import { codeTarget } from './targets.ts'

/** Grows when the requests below change in a way that an older side cannot take. */
export const INSTANCE_PROTOCOL = 1

/** Bodies of answers that one client may leave half read. */
const MAX_OPEN_BODIES = 1_000

/** What an instance says first. */
export interface InstanceGreeting {
  readonly protocol: number
  readonly gateway: { readonly url: string; readonly port: number } | undefined
  readonly endpoints: readonly string[]
  /** Processes that end with the instance. */
  readonly processes: readonly number[]
}

/** A backend on its way: everything is plain data. */
export interface WireBackend {
  readonly code: ReplicaCode
  /** As encoded by `encodeInitArgs`. */
  readonly initArgs: readonly unknown[]
  readonly config: BackendConfig
  readonly replicaOptions: ReplicaOptions
}

/** A Fetch `Request` on its way. */
export interface WireRequest {
  /** Chosen by the client; names the body of the answer. */
  readonly id: number
  readonly method: string
  readonly url: string
  readonly headers: readonly string[]
  readonly body: Uint8Array | undefined
}

export interface WireAnswer {
  readonly status: number
  readonly headers: readonly string[]
  readonly hasBody: boolean
}

/** What a client is served from: an instance of this process, or a peer's view of one. */
export interface ServedInstance extends Instance {
  readonly controller: { readonly router: CallTarget; readonly table: RoutingTable; hasBackend(tag: string): boolean | Promise<boolean> }
  onEvent(listener: (event: ServeEvent) => void): Stop
  /** Where endpoints come and go without events of this process. */
  onTable?(listener: () => void): Stop
}

export interface ServeInstanceInit {
  readonly instance: ServedInstance
  readonly link: InstanceLink
  /** Processes that end with the instance. */
  readonly processes: readonly number[]
  /** Stops the instance and whatever was built around it. */
  readonly shutdown: (timeoutMs: number | undefined) => Promise<void>
  /** Asked before each request; throws `ERR_FORBIDDEN`. @default everything is allowed */
  readonly allow?: (method: string) => void
  /** For a client that may know but a part. @default what the instance says */
  readonly answers?: ServedAnswers | undefined
}

/** What a client hears of an instance. */
export interface ServedAnswers
  extends Pick<LocalInstance, 'getBackendConfig' | 'listBackends' | 'listEndpoints' | 'status'>,
    Pick<Controller, 'hasBackend'> {
  /** Names of endpoints. */
  endpoints(): readonly string[]
  /** Whether an event is for this client. */
  sees(event: ServeEvent): boolean
}

/** The instance's end of a link: serves one attached client until it is gone; what it left open is cancelled then. */
export function serveInstance(init: ServeInstanceInit, turns: Turns): void {
  const { instance, link, processes, shutdown, allow = () => {}, answers } = init
  const { router } = instance.controller
  const names = (): readonly string[] => answers?.endpoints() ?? [...instance.controller.table.endpoints.keys()]
  const asked = answers ?? instance
  const stopCalls = serveOutbound(link.calls, router, turns)
  const bodies = new Bodies(instance)
  let isWatching = false
  const requests = new Map<string, (...args: never[]) => unknown>(
    Object.entries({
      greet: (protocol: number): InstanceGreeting => {
        if (protocol !== INSTANCE_PROTOCOL) {
          const message = `the instance speaks version ${INSTANCE_PROTOCOL} of the protocol, the client version ${protocol}; use the same release of the package`
          throw new ServeError('ERR_PROTOCOL_VERSION', message)
        }
        const { gateway } = instance
        const shown = gateway === undefined ? undefined : { url: gateway.url, port: gateway.port }
        return { protocol: INSTANCE_PROTOCOL, gateway: shown, endpoints: names(), processes }
      },
      hasBackend: (tag: string) => (answers ?? instance.controller).hasBackend(tag),
      createBackend: (tag: string, { code, ...options }: WireBackend, ifExists: BackendOptions['ifExists']) =>
        instance.createBackend(tag, toTarget(code), { ...options, ...(ifExists !== undefined && { ifExists }) }, serveInstance as never),
      updateBackendConfig: (tag: string, partial: BackendConfig) => instance.updateBackendConfig(tag, partial),
      getBackendConfig: (tag: string) => asked.getBackendConfig(tag),
      listBackends: () => asked.listBackends(),
      deleteBackend: (tag: string) => instance.deleteBackend(tag),
      createEndpoint: (name: string, options: EndpointOptions) => instance.createEndpoint(name, options),
      deleteEndpoint: (name: string) => instance.deleteEndpoint(name),
      listEndpoints: () => asked.listEndpoints(),
      rollout: (endpoint: string, backend: string, options: RolloutOptions) => instance.rollout(endpoint, backend, options),
      setTraffic: (endpoint: string, weights: Readonly<Record<string, number>>) => instance.setTraffic(endpoint, weights),
      shadowTraffic: (endpoint: string, tag: string, proportion: number) => instance.shadowTraffic(endpoint, tag, proportion),
      deploy: (backends: readonly (readonly [string, WireBackend])[], endpoints: Readonly<Record<string, ResolvedAppEndpoint>>) =>
        instance.deploy(toApp(backends, endpoints), serveInstance as never),
      createTicket: (options?: TicketOptions) => instance.createTicket(options),
      revokeTicket: (ticket: string) => instance.revokeTicket(ticket),
      status: () => asked.status(),
      fetch: (request: WireRequest) => bodies.fetch(request),
      readBody: (id: number) => bodies.read(id),
      shutdown: (timeoutMs?: number) => shutdown(timeoutMs),
    }).map(([method, work]) => {
      const allowed = (...args: never[]): unknown => {
        allow(method)
        return (work as (...args: never[]) => unknown)(...args)
      }
      return [method, allowed]
    }),
  )
  const told = new Map<string, (value: never) => void>([
    ['letGo', (id: number) => bodies.letGo(id)],
    [
      'watch',
      (on: boolean) => {
        isWatching = on
      },
    ],
  ])
  const control = new ControlChannel(link.control, { requests, told })
  const stopEvents = instance.onEvent((event) => {
    // Told before the edit is acknowledged: whoever has waited for it finds the endpoint.
    if (event.kind === 'edit' && event.what === 'endpoint') control.tell('endpoints', names())
    if (isWatching && answers?.sees(event) !== false) control.tell('event', event)
  })
  const stopNames = instance.onTable?.(() => control.tell('endpoints', names()))
  void link.whenGone.then(() => {
    stopEvents()
    stopNames?.()
    control.end(() => new ServeError('ERR_PEER_UNREACHABLE', 'the client is gone'))
    stopCalls()
    bodies.close()
  })
}

/** The part of a stream's reader that is used; platforms type the rest of it differently. */
interface BodyReader {
  read(): Promise<{ readonly done: boolean; readonly value: Uint8Array | undefined }>
  cancel(reason?: unknown): Promise<void>
}

interface OpenBody {
  readonly abort: AbortController
  reader?: BodyReader
}

/** Answers to `fetch` whose bodies the client takes piece by piece. */
class Bodies {
  readonly #instance: ServedInstance
  readonly #open = new Map<number, OpenBody>()

  constructor(instance: ServedInstance) {
    this.#instance = instance
  }

  async fetch({ id, method, url, headers, body }: WireRequest): Promise<WireAnswer> {
    if (this.#open.size >= MAX_OPEN_BODIES) {
      throw new ServeError(
        'ERR_BACK_PRESSURE',
        `${MAX_OPEN_BODIES} answers are half read by this client; read or cancel their bodies first`,
      )
    }
    const open: OpenBody = { abort: new AbortController() }
    this.#open.set(id, open)
    try {
      const init: RequestInit = { method, headers: pairsOf(headers), signal: open.abort.signal }
      if (body !== undefined) init.body = body as never
      const response = await this.#instance.fetch(new Request(url, init))
      if (response.body === null) this.#open.delete(id)
      else open.reader = response.body.getReader() as BodyReader
      return { status: response.status, headers: flatHeaders(response.headers), hasBody: response.body !== null }
    } catch (error) {
      this.#open.delete(id)
      throw error
    }
  }

  async read(id: number): Promise<Uint8Array | undefined> {
    const reader = this.#open.get(id)?.reader
    if (reader === undefined) return undefined
    try {
      const { done, value } = await reader.read()
      if (done) this.#open.delete(id)
      return done ? undefined : value
    } catch (error) {
      this.#open.delete(id)
      throw isServeError(error)
        ? error
        : new ServeError('ERR_CANCELLED', 'the answer broke off', { cause: error, outcome: 'started-unknown' })
    }
  }

  letGo(id: number): void {
    const open = this.#open.get(id)
    this.#open.delete(id)
    open?.abort.abort(new ServeError('ERR_CANCELLED', 'the client let go', { outcome: 'started-unknown' }))
    void open?.reader?.cancel().catch(() => undefined)
  }

  close(): void {
    for (const id of [...this.#open.keys()]) this.letGo(id)
  }
}

/** Only code that is data: a client cannot bring functions of this process. */
function toTarget(code: ReplicaCode): BackendTarget {
  if (code?.kind === 'source' || code?.kind === 'module') return codeTarget(code)
  throw new ServeError('ERR_UNSUPPORTED', `code of kind ${String(code?.kind)} cannot come from another process`)
}

function toApp(backends: readonly (readonly [string, WireBackend])[], endpoints: App['endpoints']): App {
  const entries = backends.map(([tag, { code, ...rest }]) => [tag, { target: toTarget(code), ...rest }] as const)
  return { backends: Object.fromEntries(entries), endpoints }
}

function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([flat[i] as string, flat[i + 1] as string])
  return pairs
}
