import { type Clock, isServeError, ServeError, type Turns } from '../base/index.ts'
import { Asset, type AssetData, assetUrl } from './asset.ts'
import type { CallPort } from './call-port.ts'
import type { LivingArgument } from './living-argument.ts'
import type { ReplicaCode } from './replica-code.ts'
import type { ReplicaControl, ReplicaSpec } from './replica-host.ts'
import { ReplicaRuntime, type RuntimeLimits } from './replica-runtime.ts'
import { decodeInitArgs } from './revive-init-args.ts'
import { ServedTarget, type TargetDescription } from './served-target.ts'

/** What the platform brings to a replica. */
export interface ReplicaPlatform {
  readonly clock: Clock
  readonly turns: Turns
  /** Makes a function or class of code that arrived; `inline` code never gets here. */
  load(code: ReplicaCode): Promise<unknown>
  readBytes(url: string): Promise<Uint8Array>
  /** The client that code inside the replica gets from `connect()`; made from the outbound port. */
  connect(): ReplicaClient
}

/** What code inside a replica may use of its instance. */
export interface ReplicaClient {
  getHandle(endpoint: string): unknown
}

/** What `init(context)` receives. */
export interface InitContext {
  readonly backend: string
  readonly replicaId: string
  connect(): ReplicaClient
  /** Aborts when the replica is stopped. */
  readonly signal: AbortSignal
}

export interface ReplicaPorts {
  readonly port: CallPort
  readonly startedFlags?: Uint8Array | undefined
}

/**
 * One replica from the inside: loads its code, constructs it, and serves its port. Runs wherever a host puts it; the host's entry gives the platform.
 */
export class ReplicaService implements ReplicaControl {
  readonly #platform: ReplicaPlatform
  readonly #abort = new AbortController()
  #target: ServedTarget | undefined
  #runtime: ReplicaRuntime | undefined
  #userConfig: unknown

  constructor(platform: ReplicaPlatform) {
    this.#platform = platform
  }

  /** Loads, constructs, initialises, configures; then serves. Rejects with `ERR_BACKEND_START_FAILED` and the cause. */
  async start(spec: ReplicaSpec, ports: ReplicaPorts): Promise<TargetDescription> {
    const target = await this.#construct(spec).catch((cause: unknown) => {
      throw startFailed(spec, cause)
    })
    this.#target = target
    if (spec.userConfig !== undefined) await this.reconfigure(spec.userConfig)
    this.#runtime = new ReplicaRuntime(
      {
        port: ports.port,
        target,
        limits: spec.limits,
        backend: spec.backend,
        requestIdPrefix: `${spec.replicaId}-`,
        startedFlags: ports.startedFlags,
        jsonLimits: spec.jsonLimits,
      },
      this.#platform.clock,
      this.#platform.turns,
    )
    return target.description
  }

  async configure(limits: RuntimeLimits): Promise<void> {
    this.#runtime?.configure(limits)
  }

  async reconfigure(userConfig: unknown): Promise<void> {
    const target = this.#target
    if (target === undefined) throw new ServeError('ERR_RECONFIGURE_FAILED', 'the replica has not started')
    if (!target.description.hasReconfigure) {
      throw new ServeError('ERR_INVALID_CONFIG', 'userConfig needs a class with a method reconfigure(userConfig)')
    }
    try {
      await target.reconfigure(userConfig)
      this.#userConfig = userConfig
    } catch (cause) {
      throw new ServeError('ERR_RECONFIGURE_FAILED', `reconfigure threw: ${messageOf(cause)}`, { cause })
    }
  }

  async checkHealth(): Promise<void> {
    await this.#target?.checkHealth()
  }

  async ping(): Promise<void> {}

  /** Tells the code that it ends; the host ends the thread. */
  stop(): void {
    this.#abort.abort(new ServeError('ERR_CANCELLED', 'the replica is stopped'))
    this.#runtime?.stop()
  }

  async #construct(spec: ReplicaSpec): Promise<ServedTarget> {
    const loaded = spec.code.kind === 'inline' ? spec.code.value : await this.#platform.load(spec.code)
    if (typeof loaded !== 'function')
      throw new ServeError('ERR_INVALID_ARG_TYPE', `backend ${spec.backend}: the code is no function or class`)
    if (!isClass(loaded)) {
      if (spec.initArgs.length > 0)
        throw new ServeError('ERR_INVALID_ARG_VALUE', `backend ${spec.backend}: initArgs are for classes; the code is a function`)
      return new ServedTarget(spec.backend, loaded)
    }
    const initArgs = decodeInitArgs(spec.initArgs, (argument) => this.#revive(argument))
    const { instance } = await this.#instantiate(spec, loaded as new (...args: unknown[]) => object, initArgs)
    return new ServedTarget(spec.backend, instance)
  }

  /** Whatever the user's own code throws is the cause, even an error of ours that a call of its own met. Boxed: a class may have a method `then`. */
  async #instantiate(spec: ReplicaSpec, Target: new (...args: unknown[]) => object, initArgs: unknown[]): Promise<{ instance: object }> {
    try {
      const instance = new Target(...initArgs)
      const init = (instance as { init?: unknown }).init
      if (typeof init === 'function') await init.call(instance, this.#context(spec))
      return { instance }
    } catch (cause) {
      throw new ServeError('ERR_BACKEND_START_FAILED', didNotStart(spec, cause), { cause })
    }
  }

  #context(spec: ReplicaSpec): InitContext {
    return { backend: spec.backend, replicaId: spec.replicaId, connect: () => this.#platform.connect(), signal: this.#abort.signal }
  }

  #revive(argument: LivingArgument): unknown {
    if (argument.mark === 'asset') return new Asset(assetUrl(argument.data as AssetData), this.#platform.readBytes)
    const { endpoint, options } = argument.data as { endpoint: string; options: object }
    const handle = this.#platform.connect().getHandle(endpoint) as { options(options: object): unknown }
    return handle.options(options)
  }
}

/** Not the source of a method that is named `class`. */
const CLASS = /^class(?=[\s{/])(?!\s*\()/

/** True for a class; a function that merely could be called with `new` is a function. */
export function isClass(value: unknown): boolean {
  return typeof value === 'function' && CLASS.test(Function.prototype.toString.call(value))
}

function startFailed(spec: ReplicaSpec, cause: unknown): ServeError {
  if (isServeError(cause) && cause.code !== 'ERR_TASK') return cause
  return new ServeError('ERR_BACKEND_START_FAILED', didNotStart(spec, cause), { cause })
}

const didNotStart = (spec: ReplicaSpec, cause: unknown): string =>
  `backend ${spec.backend}: replica ${spec.replicaId} did not start: ${messageOf(cause)}`

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
