/** All of the gateway that an instance needs, in one place: it is loaded when there is something to answer over HTTP. */
import type { Controller } from '../controller/index.ts'
import { Gateway, type GatewaySource, gatewayFetch, RouteTable } from '../gateway/index.ts'
import type { GateCounts, MeshCounts } from '../mesh/index.ts'
import type { RoutingTable } from '../model/index.ts'
import type { CallTarget } from '../router/index.ts'
import type { FetchGateway, InstanceOptions, InstancePlatform, InstanceStatus, OpenGateway } from './local-instance.ts'
import { prometheusText } from './metrics.ts'

/** What a gateway asks of its instance. */
export interface GatewayBacking {
  readonly controller: Pick<Controller, 'table' | 'queues' | 'backendStatus' | 'endpointStatus'> & { readonly router: CallTarget }
  status(): Promise<InstanceStatus>
  isReady(): boolean
  /** The gateway that listens, if there is one; for metrics. */
  gateway(): OpenGateway | undefined
  /** For metrics. */
  readonly mesh?: { readonly gateCounts?: GateCounts; readonly counts: MeshCounts } | undefined
}

/** An instance as gateways see it; its table of routes is made anew only when the routing table has changed. */
export function gatewaySourceOf({ controller, status, isReady, gateway, mesh }: GatewayBacking): GatewaySource {
  let routes = new RouteTable([])
  return {
    routes() {
      const { table } = controller
      if (routes.version !== table.version) routes = routesOf(table)
      return routes
    },
    dispatch: (call) => controller.router.dispatch(call),
    status,
    isReady,
    metrics: () =>
      prometheusText({
        queues: controller.queues,
        backends: controller.backendStatus,
        endpoints: controller.endpointStatus,
        answersByStatus: gateway()?.gateway?.answersByStatus() ?? new Map(),
        gate: mesh?.gateCounts,
        mesh: mesh?.counts,
      }),
  }
}

/** The gateway of an instance without a socket. */
export async function openDirectGateway(
  source: GatewaySource,
  fetchOptions: InstanceOptions['fetchOptions'],
  { random, log, mountMiddlewares }: InstancePlatform,
): Promise<FetchGateway> {
  const options = typeof fetchOptions === 'function' ? await fetchOptions() : fetchOptions
  const gateway = new Gateway({ source, options, random, log })
  if (options.middlewares.length > 0 && mountMiddlewares !== undefined) return mountMiddlewares(options.middlewares, gateway)
  return (request, isLocal) => gatewayFetch(gateway, request, isLocal)
}

function routesOf(table: RoutingTable): RouteTable {
  const entries = []
  for (const { name, route, methods, callMethods } of table.endpoints.values()) {
    if (route !== null) entries.push({ route, endpoint: name, methods, callMethods })
  }
  return new RouteTable(entries, table.version)
}
