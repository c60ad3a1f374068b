import type { RolloutOptions, RolloutResult, ServeEvent } from '../controller/index.ts'
import type { TicketOptions } from '../mesh/index.ts'
import type { App, BackendConfig, EndpointOptions, PublicBackendConfig, PublicEndpoint } from '../model/index.ts'
import type { ServeHandle } from '../router/index.ts'
import type { BackendOptions, BackendTarget } from './client.ts'
import type { EventStream } from './event-stream.ts'
import type { InstanceStatus } from './local-instance.ts'

/** What a client talks to: the instance of this process, or one that it reaches through a channel. */
export interface Instance {
  /** The gateway that listens, if there is one. */
  readonly gateway: { readonly url: string; readonly port: number } | undefined
  /** `calledFrom` is the public function that the user called: its caller is the deploying file. */
  createBackend(tag: string, target: BackendTarget, options: BackendOptions, calledFrom: (...args: never[]) => unknown): Promise<void>
  updateBackendConfig(tag: string, partial: BackendConfig): Promise<void>
  getBackendConfig(tag: string): Promise<PublicBackendConfig>
  listBackends(): Promise<Record<string, PublicBackendConfig>>
  deleteBackend(tag: string): Promise<void>
  createEndpoint(name: string, options: EndpointOptions): Promise<void>
  deleteEndpoint(name: string): Promise<void>
  listEndpoints(): Promise<Record<string, PublicEndpoint>>
  setTraffic(endpoint: string, weights: Readonly<Record<string, number>>): Promise<void>
  shadowTraffic(endpoint: string, tag: string, proportion: number): Promise<void>
  rollout(endpoint: string, backend: string, options: RolloutOptions): Promise<RolloutResult>
  /** Reads the routing table that is here; throws `ERR_ENDPOINT_NOT_FOUND`. */
  getHandle(endpoint: string, missingOk: boolean): ServeHandle
  fetch(request: Request): Promise<Response>
  status(): Promise<InstanceStatus>
  watch(): EventStream<ServeEvent>
  createTicket(options?: TicketOptions): Promise<string>
  revokeTicket(ticket: string): Promise<void>
  deploy(app: App, calledFrom: (...args: never[]) => unknown): Promise<void>
  /** Lets go: an own instance stops, an attached one is left to itself. */
  close(): Promise<void>
  /** Stops the instance. */
  shutdown(timeoutMs?: number): Promise<void>
}
