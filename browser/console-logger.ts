import type { Logger } from '../core/base/index.ts'

/** Logs to the console of the page: `info` and above, the fields as an object that can be unfolded. */
export const CONSOLE_LOGGER: Logger = Object.freeze({
  debug() {},
  info: (fields: object, event: string) => console.info(`shoal ${event}`, fields),
  warn: (fields: object, event: string) => console.warn(`shoal ${event}`, fields),
  error: (fields: object, event: string) => console.error(`shoal ${event}`, fields),
})
