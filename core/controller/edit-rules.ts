/** Loaded with the first change of a config or of traffic; to create backends and endpoints needs none of it. */
export { resolveShadow, resolveTraffic, sameData, withShadow, withTraffic } from '../model/index.ts'
