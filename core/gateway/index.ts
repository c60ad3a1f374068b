/** HTTP in, calls out; platform-free. */
export { Answering, type AnsweringRules } from './answering.ts'
export type { BodyLimits, BodyReader, Exchange, GoneListener } from './exchange.ts'
export { FetchExchange, type FetchExchangeInit, gatewayFetch } from './fetch-exchange.ts'
export { Gateway, type GatewayInit, type GatewaySource } from './gateway.ts'
export { HostRule, type HostRuleOptions } from './host-rule.ts'
export {
  type HttpMiddleware,
  type HttpOptions,
  isLoopbackHost,
  type ResolvedHttpOptions,
  resolveHttpOptions,
  type SecretSource,
} from './http-options.ts'
export { type Problem, type ProblemOptions, toProblem } from './problem.ts'
export { canonicalPath, type Route, type RouteEntry, RouteTable } from './route-table.ts'
