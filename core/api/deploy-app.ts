import type { AppSpec, BackendSpec } from '../controller/index.ts'
import {
  type App,
  defineApp,
  policyOf,
  type ResolvedAppBackend,
  resolveShadow,
  resolveTraffic,
  withShadow,
  withTraffic,
} from '../model/index.ts'

/** Checks a whole app, then makes of it what the controller can put in place. */
export async function toAppSpec(app: App, toSpec: (tag: string, backend: ResolvedAppBackend) => Promise<BackendSpec>): Promise<AppSpec> {
  const { backends, endpoints } = defineApp(app)
  const known = new Set(Object.keys(backends))
  return {
    backends: await Promise.all(Object.entries(backends).map(([tag, backend]) => toSpec(tag, backend))),
    endpoints: Object.entries(endpoints).map(([name, { traffic, shadows, ...exposure }]) => {
      const policy = Object.entries(shadows).reduce(
        (before, [tag, proportion]) => withShadow(before, resolveShadow(name, tag, proportion, known)),
        withTraffic(policyOf(''), resolveTraffic(name, traffic, known)),
      )
      return Object.freeze({ name, ...exposure, policy })
    }),
  }
}
