/** The runtime of replicas beside their callers; loaded with the first backend that wants one. */
import { ServeError } from '../base/index.ts'
import { InProcessHost, type InProcessHostOptions, type ReplicaHost } from '../replica/index.ts'
import type { InstancePlatform } from './local-instance.ts'

/** @param connect gives code in a replica its way to the instance. */
export function openInlineHost(platform: InstancePlatform, connect: InProcessHostOptions['connect']): ReplicaHost {
  const { clock, turns, readBytes, loadModule } = platform
  const load: InProcessHostOptions['load'] = async (code) => {
    if (code.kind === 'module') return loadModule(code.url, code.exportName)
    throw new ServeError('ERR_UNSUPPORTED', "isolation 'inline' serves functions, classes and modules only")
  }
  return new InProcessHost({ load, readBytes, connect }, clock, turns)
}
