import { didYouMean, ServeError } from '../base/index.ts'
import { type Member, viewOf } from '../mesh/index.ts'
import type { PublicBackendConfig, PublicEndpoint, RoutingTable } from '../model/index.ts'
import type { InstanceStatus, LocalInstance } from './local-instance.ts'
import type { ServedAnswers } from './serve-instance.ts'

/**
 * What a member hears that asks the controller and does not edit: of endpoints and backends what it needs for its roles, `userConfig` only of backends
 * that it hosts, and of nodes itself and the controller, if it is no caller. What it may not know is not there for it.
 */
export function answersFor(instance: LocalInstance, member: Member, hosted: () => ReadonlySet<string>): ServedAnswers {
  const { controller } = instance
  const view = (): RoutingTable => viewOf(controller.table, member, hosted())
  const isCaller = member.roles.includes('caller')
  /** Holds for one that is gone as well. */
  const mayCall = (endpoint: string): boolean => isCaller && member.endpoints?.includes(endpoint) !== false
  return {
    endpoints: () => [...view().endpoints.keys()],
    hasBackend: (tag) => view().backends.has(tag),
    async getBackendConfig(tag) {
      const { backends } = view()
      if (!backends.has(tag)) throw new ServeError('ERR_BACKEND_NOT_FOUND', `there is no backend ${tag}${didYouMean(tag, backends.keys())}`)
      return hostedOnly(await instance.getBackendConfig(tag), hosted().has(tag))
    },
    async listBackends() {
      const configs = picked<PublicBackendConfig>(await instance.listBackends(), view().backends)
      return Object.fromEntries(Object.entries(configs).map(([tag, config]) => [tag, hostedOnly(config, hosted().has(tag))]))
    },
    listEndpoints: async () => picked<PublicEndpoint>(await instance.listEndpoints(), view().endpoints),
    async status(): Promise<InstanceStatus> {
      const { nodes, endpoints, backends } = await instance.status()
      const { endpoints: seenEndpoints, backends: seenBackends } = view()
      const isSeen = (id: string, roles: readonly string[]): boolean => isCaller || id === member.peerId || roles.includes('controller')
      return {
        nodes: Object.fromEntries(Object.entries(nodes).filter(([id, { roles }]) => isSeen(id, roles))),
        endpoints: picked(endpoints, seenEndpoints),
        backends: picked(backends, seenBackends),
      }
    },
    sees(event) {
      const { endpoints, backends } = view()
      switch (event.kind) {
        case 'replica':
        case 'scale':
          return backends.has(event.backend)
        case 'edit':
          return event.what === 'backend' ? backends.has(event.name) : endpoints.has(event.name) || mayCall(event.name)
        case 'rollout':
          return endpoints.has(event.endpoint) || mayCall(event.endpoint)
        case 'peer':
          return isCaller || event.peerId === member.peerId
        default:
          return 'peerId' in event && event.peerId === member.peerId
      }
    },
  }
}

function picked<T>(all: Readonly<Record<string, T>>, seen: ReadonlyMap<string, unknown>): Record<string, T> {
  return Object.fromEntries(Object.entries(all).filter(([name]) => seen.has(name)))
}

function hostedOnly({ userConfig, ...config }: PublicBackendConfig, isHosted: boolean): PublicBackendConfig {
  return isHosted && userConfig !== undefined ? { ...config, userConfig } : config
}
