import { ServeError } from '../base/index.ts'
import { asBytes } from './bytes.ts'

/** A plain object without prototype; the last value of a name wins. */
export function lastValues(pairs: Iterable<readonly [string, unknown]>): Record<string, unknown> {
  const values: Record<string, unknown> = Object.create(null)
  for (const [name, value] of pairs) values[name] = value
  return values
}

/** The arguments after the `?` of an URL; null prototype. */
export function argsOfUrl(url: string): Record<string, string> {
  const end = url.indexOf('#')
  const before = end === -1 ? url : url.slice(0, end)
  const start = before.indexOf('?')
  return start === -1 ? Object.create(null) : (lastValues(new URLSearchParams(before.slice(start + 1))) as Record<string, string>)
}

/** Says what cannot be carried by JSON, with the path to it; undefined when all can. Cycles count as what cannot. */
export function whyNotJson(value: unknown, path = 'data', above: readonly object[] = []): string | undefined {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || value === undefined) return undefined
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : `${path} is ${value}`
  if (typeof value !== 'object') return `${path} is a ${typeof value}`
  if (above.includes(value)) return `${path} is part of a cycle`
  if (above.length > 1_000) return `${path} is nested deeper than 1000 levels`
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return undefined
  if (value instanceof Map || value instanceof Set || asBytes(value) !== undefined || value instanceof Error) {
    return `${path} is a ${value.constructor.name}`
  }
  const inside = [...above, value]
  for (const [key, child] of Object.entries(value)) {
    const why = whyNotJson(child, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`, inside)
    if (why !== undefined) return why
  }
  return undefined
}

/** A form as `FormData` from plain fields; arrays give several values of one name. */
export function formDataOf(fields: Readonly<Record<string, unknown>>): FormData {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) {
    for (const one of Array.isArray(value) ? value : [value])
      form.append(name, typeof one === 'object' && one !== null ? (one as string) : String(one))
  }
  return form
}

/** Fields of a form as a plain object; refuses what has no fields. */
export function fieldsOf(data: unknown): Record<string, unknown> {
  if (typeof data === 'object' && data !== null && !Array.isArray(data) && asBytes(data) === undefined) {
    return lastValues(data instanceof Map ? (data as Map<string, unknown>) : Object.entries(data))
  }
  throw new ServeError('ERR_BAD_REQUEST', `form: the data is ${data === null ? 'null' : typeof data}, no object with fields`, {
    outcome: 'completed',
  })
}
