/** Given to Node by `--import`: `shoal` and its doors lead to the sources, so that an example of the docs runs as a user would write it. */
import { registerHooks } from 'node:module'

const DOORS = {
  shoal: 'node/index.ts',
  'shoal/node': 'node/index.ts',
  'shoal/browser': 'browser/index.ts',
  'shoal/core': 'core/index.ts',
  'shoal/replica': 'node/replica.ts',
}

registerHooks({
  resolve(specifier, context, nextResolve) {
    if (!Object.hasOwn(DOORS, specifier)) return nextResolve(specifier, context)
    return { url: new URL(`../../${DOORS[specifier]}`, import.meta.url).href, shortCircuit: true }
  },
})
