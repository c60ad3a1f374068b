import type { BackendTarget, InstancePlatform } from '../core/api/index.ts'
import type { Logger } from '../core/base/index.ts'
import type { ReplicaCode, ReplicaHost } from '../core/replica/index.ts'
import { callerUrl } from './caller-url.ts'
import { realClock, realTurns } from './clock.ts'
import { readBytes } from './read-bytes.ts'
import { WebWorkerHost, type WebWorkerHostOptions } from './web-worker-host.ts'

/** Everything an instance needs of a page. */
export function browserPlatform(log: Logger, options: WebWorkerHostOptions = {}): InstancePlatform {
  return {
    runtime: 'browser',
    clock: realClock,
    turns: realTurns,
    random: Math.random,
    log,
    hosts: new Map<string, ReplicaHost>([['thread', threadHost(options)]]),
    resources: { cpu: navigator.hardwareConcurrency, gpu: 'gpu' in navigator ? 1 : 0, memoryBytes: memoryBytes() },
    readBytes,
    callerOf: callerUrl,
    toPortableCode,
    loadModule: async (url, exportName) => (await import('./load-code.ts')).loadModule(url, exportName),
    mountMiddlewares: async (middlewares, gateway) => {
      const { mountMiddlewares } = await import('../core/adapters/hono/mount.ts')
      return mountMiddlewares(middlewares, gateway, realClock).fetch
    },
  }
}

/** What tabs share comes in a chunk of its own, loaded with the first backend that asks for it. */
function threadHost(options: WebWorkerHostOptions): ReplicaHost {
  const own = new WebWorkerHost(options)
  let shared: Promise<ReplicaHost> | undefined
  const openShared = async (): Promise<ReplicaHost> => {
    const { SharedReplicaHost } = await import('./shared-replica-host.ts')
    return new SharedReplicaHost(new WebWorkerHost({ ...options, sharedMemory: false }))
  }
  return {
    name: 'thread',
    async start(spec, signal) {
      if (spec.shared !== true) return own.start(spec, signal)
      shared ??= openShared()
      return (await shared).start(spec, signal)
    },
  }
}

/** A function or class as source; the parser is a chunk of its own, loaded with the first one. Relative addresses count from `caller`. */
export async function toPortableCode(tag: string, target: BackendTarget, caller: string | undefined): Promise<ReplicaCode> {
  const { portableCodeOf } = await import('./portable-code.ts')
  return portableCodeOf(tag, target, caller ?? document.baseURI)
}

/** What the browser admits: at most 8 GiB, and some say nothing; then what most machines have. */
function memoryBytes(): number {
  return ((navigator as { readonly deviceMemory?: number }).deviceMemory ?? 4) * 2 ** 30
}
