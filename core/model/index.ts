/** Plain frozen data: what may be set of backends, endpoints and traffic, and the table that routers hold. */
export {
  type App,
  type AppBackend,
  type AppDescription,
  type AppEndpoint,
  defineApp,
  type ResolvedAppBackend,
  type ResolvedAppEndpoint,
} from './app.ts'
export { AUTOSCALING_DEFAULTS, type AutoscalingConfig, downscaleToZeroDelayMsOf, type ResolvedAutoscaling } from './autoscaling-config.ts'
export {
  BACKEND_DEFAULTS,
  type BackendConfig,
  concurrencyOf,
  type PublicAutoscaling,
  type PublicBackendConfig,
  type ResolvedBackendConfig,
  resolveBackendConfig,
  toPublicConfig,
} from './backend-config.ts'
export { chooseBackend, chooseByShardKey, shadowsFor } from './choose-backend.ts'
export { type EndpointOptions, type ResolvedEndpointOptions, type ResolvedExposure, resolveEndpointOptions } from './endpoint-config.ts'
export { describeValue, isRecord, requireName } from './field-rules.ts'
export { cloneFrozen } from './frozen-data.ts'
export {
  ISOLATIONS,
  type Isolation,
  type Placement,
  type ReplicaOptions,
  type ResolvedReplicaOptions,
  type ResolvedResources,
  type Resources,
  resolveReplicaOptions,
  resolveResources,
} from './replica-options.ts'
export {
  type BackendEntry,
  type EndpointEntry,
  emptyRoutingTable,
  type PublicEndpoint,
  publicEndpoint,
  type RoutingTable,
} from './routing-table.ts'
export { sameData } from './same-data.ts'
export { drawOfShardKey } from './shard-key.ts'
export { resolveShadow, resolveTraffic, withShadow, withTraffic } from './traffic-edits.ts'
export {
  type KnownNames,
  namesBackend,
  policyOf,
  requireBackend,
  type ShadowShare,
  type TrafficPolicy,
  type TrafficShare,
} from './traffic-policy.ts'
