import { nearestName, ServeError } from '../base/index.ts'

/** What one field of an options object may hold. */
export interface FieldRule {
  /** Ends the sentence "must be ...", with the range. */
  readonly expected: string
  readonly accepts: (value: unknown) => boolean
}

/** One rule for every field of `T`; a field without a rule is unknown. */
export type FieldRules<T> = { readonly [K in keyof T]-?: FieldRule }

/** The fields that were given: one that is `undefined` was not. */
export type GivenFields<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> }

/** Longest delay a platform timer takes, in milliseconds: some 24.8 days. */
export const MAX_DELAY_MS = 2_147_483_647

/** Integer of `min` or more, up to the largest one that a number holds exactly. */
export function integerFrom(min: number): FieldRule {
  return { expected: `an integer of ${min} or more`, accepts: (value) => Number.isSafeInteger(value) && (value as number) >= min }
}

/** Finite number of `min` or more. */
export function numberFrom(min: number): FieldRule {
  return { expected: `a finite number of ${min} or more`, accepts: (value) => Number.isFinite(value) && (value as number) >= min }
}

/** Finite number above 0. */
export const POSITIVE: FieldRule = Object.freeze({
  expected: 'a finite number above 0',
  accepts: (value: unknown) => Number.isFinite(value) && (value as number) > 0,
})

/** Milliseconds from 0 to {@link MAX_DELAY_MS}. */
export const DELAY_MS: FieldRule = Object.freeze({
  expected: `milliseconds from 0 to ${MAX_DELAY_MS}`,
  accepts: (value: unknown) => typeof value === 'number' && value >= 0 && value <= MAX_DELAY_MS,
})

/** Milliseconds above 0, up to {@link MAX_DELAY_MS}. */
export const PERIOD_MS: FieldRule = Object.freeze({
  expected: `milliseconds above 0, up to ${MAX_DELAY_MS}`,
  accepts: (value: unknown) => typeof value === 'number' && value > 0 && value <= MAX_DELAY_MS,
})

export const BOOLEAN: FieldRule = Object.freeze({ expected: 'true or false', accepts: (value: unknown) => typeof value === 'boolean' })

export const ANYTHING: FieldRule = Object.freeze({ expected: 'a value', accepts: () => true })

/** An object that stands for named values, see {@link isRecord}. */
export const RECORD: FieldRule = Object.freeze({ expected: 'a plain object', accepts: isRecord })

export function oneOf(names: readonly string[]): FieldRule {
  return { expected: `one of ${names.map((name) => `"${name}"`).join(', ')}`, accepts: (value) => names.includes(value as string) }
}

/** The rule, or `null` to take a value away that was given before. */
export function orNull(rule: FieldRule): FieldRule {
  return { expected: `${rule.expected}, or null for none`, accepts: (value) => value === null || rule.accepts(value) }
}

/** True for an object literal of any realm, or one without a prototype: no array, no Map, no instance of a class. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf'))
}

/**
 * Reads an options object once, against its rules. A value `undefined` counts as not given. `subject` names the object in messages; `path` is
 * put before the names of its fields (`autoscaling.`). Throws `ERR_INVALID_ARG_TYPE` when it is no plain object, `ERR_INVALID_CONFIG` for an
 * unknown key (with the nearest known one) or a value that its rule refuses.
 */
export function readFields<T extends object>(subject: string, given: unknown, rules: FieldRules<T>, path = ''): GivenFields<T> {
  if (given === undefined) return {}
  if (!isRecord(given)) {
    const name = path === '' ? subject : `${subject}: ${path.slice(0, -1)}`
    throw new ServeError('ERR_INVALID_ARG_TYPE', `${name} must be a plain object, got ${describeValue(given)}`)
  }
  const fields: Record<string, unknown> = {}
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(rules, key)) throw unknownField(subject, path, key, Object.keys(rules))
    const value = given[key]
    if (value === undefined) continue
    const rule = rules[key as keyof T]
    if (!rule.accepts(value)) throw invalidField(subject, path + key, value, rule.expected)
    fields[key] = value
  }
  // The rules have seen every value.
  return fields as GivenFields<T>
}

/** Reads an object whose keys the user chooses; each value must pass the rule. The copy is frozen. */
export function readRecord<V>(subject: string, path: string, given: unknown, rule: FieldRule): Readonly<Record<string, V>> {
  if (given === undefined) return Object.freeze({})
  if (!isRecord(given)) throw invalidField(subject, path, given, RECORD.expected)
  const entries: [string, V][] = []
  for (const key of Object.keys(given)) {
    if (key === '__proto__') throw invalidField(subject, path, key, 'an object without the key "__proto__"')
    const value = given[key]
    if (value === undefined) continue
    if (!rule.accepts(value)) throw invalidField(subject, `${path}.${key}`, value, rule.expected)
    entries.push([key, value as V])
  }
  return Object.freeze(Object.fromEntries(entries))
}

export function invalidField(subject: string, field: string, value: unknown, expected: string): ServeError {
  const plain = value === null || typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string'
  return new ServeError('ERR_INVALID_CONFIG', `${subject}: ${field} must be ${expected}, got ${describeValue(value)}`, {
    details: { field, value: plain ? value : describeValue(value), expected },
  })
}

function unknownField(subject: string, path: string, key: string, known: readonly string[]): ServeError {
  const nearest = nearestName(key, known)
  const hint = nearest === undefined ? `known are ${known.join(', ')}` : `did you mean ${path}${nearest}?`
  return new ServeError('ERR_INVALID_CONFIG', `${subject}: unknown key ${path}${key}; ${hint}`, {
    details: { field: path + key, ...(nearest !== undefined && { nearest: path + nearest }) },
  })
}

/** Non-empty string that names an endpoint, a backend or a method, else `ERR_INVALID_ARG_TYPE`. `what` begins the message. */
export function requireName(what: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  throw new ServeError('ERR_INVALID_ARG_TYPE', `${what} must be a non-empty string, got ${describeValue(value)}`)
}

/** A value in a message: short, and never failing. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return value.length > 60 ? `${JSON.stringify(value.slice(0, 60))}...` : JSON.stringify(value)
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return 'an array'
  return isRecord(value) ? 'an object' : `an instance of ${className(value)}`
}

function className(value: object): string {
  try {
    const name: unknown = value.constructor?.name
    return typeof name === 'string' && name !== '' ? name : 'a class'
  } catch {
    return 'a class'
  }
}
