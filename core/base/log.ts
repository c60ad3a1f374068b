/** A pino-shaped logger: fields first, then the name of the event (`noun.event`). Nothing is logged per request at `info`. */
export interface Logger {
  debug(fields: object, event: string): void
  info(fields: object, event: string): void
  warn(fields: object, event: string): void
  error(fields: object, event: string): void
}

/** Says nothing; the default inside the core. */
export const SILENT: Logger = Object.freeze({ debug() {}, info() {}, warn() {}, error() {} })
