/** How large a JSON text a replica is willing to parse. */
export interface JsonLimits {
  /** Deepest nesting of arrays and objects. @default 64 */
  readonly maxDepth: number
  /** Most values, keys not counted. @default 100_000 */
  readonly maxValues: number
}

export const JSON_LIMITS: JsonLimits = Object.freeze({ maxDepth: 64, maxValues: 100_000 })
