import { SILENT } from '../../core/base/index.ts'
import { type BackendSpec, Controller, ResourceLedger, type ServeEvent } from '../../core/controller/index.ts'
import {
  type BackendConfig,
  type EndpointOptions,
  resolveBackendConfig,
  resolveReplicaOptions,
  resolveResources,
} from '../../core/model/index.ts'
import { InProcessHost } from '../../core/replica/index.ts'
import { JSON_LIMITS } from '../../core/request/index.ts'
import { ServeHandle } from '../../core/router/index.ts'
import { FakeClock, settle, testTurns } from './fake-clock.ts'
import { MortalHost } from './mortal-host.ts'
import { seededRandom } from './seeded-random.ts'

/** A whole system in this thread under a fake clock: controller, router, and inline replicas that die on command. */
export class Deployment {
  readonly clock = new FakeClock()
  readonly turns = testTurns()
  readonly random = seededRandom(1)
  readonly events: ServeEvent[] = []
  readonly host: MortalHost
  readonly controller: Controller

  constructor() {
    const inline = new InProcessHost(
      {
        readBytes: async (url) => new TextEncoder().encode(url),
        connect: () => ({ getHandle: (endpoint: string) => this.handle(endpoint) }),
      },
      this.clock,
      this.turns,
    )
    this.host = new MortalHost(inline)
    this.controller = new Controller({
      hosts: new Map([['inline', this.host]]),
      jsonLimits: JSON_LIMITS,
      ledger: new ResourceLedger(resolveResources({ cpu: 4 })),
      clock: this.clock,
      turns: this.turns,
      random: this.random,
      log: SILENT,
      onEvent: (event) => this.events.push(event),
    })
  }

  /** The spec of an inline backend. */
  spec(tag: string, target: unknown, config: BackendConfig = {}, initArgs: readonly unknown[] = []): BackendSpec {
    return {
      tag,
      code: { kind: 'inline', value: target },
      initArgs,
      config: resolveBackendConfig(config),
      replicaOptions: resolveReplicaOptions({ isolation: 'inline' }, ['inline']),
    }
  }

  backend(tag: string, target: unknown, config: BackendConfig = {}, initArgs: readonly unknown[] = []): Promise<void> {
    return this.controller.createBackend(this.spec(tag, target, config, initArgs))
  }

  endpoint(name: string, backend: string, options: Omit<EndpointOptions, 'backend'> = {}): Promise<void> {
    return this.controller.createEndpoint(name, { backend, ...options })
  }

  /** A backend and an endpoint of one name; its handle. */
  async serve(name: string, target: unknown, config: BackendConfig = {}, initArgs: readonly unknown[] = []): Promise<ServeHandle> {
    await this.backend(name, target, config, initArgs)
    await this.endpoint(name, name)
    return this.handle(name)
  }

  handle(endpoint: string): ServeHandle {
    return new ServeHandle(endpoint, this.controller.router)
  }

  queue(tag: string) {
    const queue = this.controller.queues.get(tag)
    if (queue === undefined) throw new Error(`no backend ${tag}`)
    return queue
  }

  status(tag: string) {
    const status = this.controller.backendStatus[tag]
    if (status === undefined) throw new Error(`no backend ${tag}`)
    return status
  }

  /** Lets everything happen that needs no time. */
  settle(): Promise<void> {
    return settle(12)
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms)
    await this.settle()
  }
}
