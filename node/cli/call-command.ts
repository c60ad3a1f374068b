import { text } from 'node:stream/consumers'
import { ServeError } from '../../core/base/index.ts'
import { attachToInstance } from '../instance-socket-client.ts'
import { print, printLine } from './output.ts'

export interface CallCommandOptions {
  readonly name: string
  readonly url?: string
  readonly method?: string
  readonly timeoutMs?: number
  readonly json: boolean
}

/** `shoal call`: sends one call and prints what comes, part by part. */
export async function callCommand(endpoint: string, given: string | undefined, options: CallCommandOptions): Promise<void> {
  const raw = given === '-' ? await text(process.stdin) : given
  if (options.url !== undefined) return callByRoute(options.url, endpoint, raw, options)
  const instance = await attachToInstance(options.name)
  try {
    const { method, timeoutMs } = options
    const handle = instance.getHandle(endpoint, false).options({
      ...(method !== undefined && { methodName: method }),
      ...(timeoutMs !== undefined && { timeoutMs }),
    })
    const result = await handle.remote(raw === undefined ? undefined : toData(raw))
    if (result instanceof Response) await printBody(result)
    else if (isAsyncIterable(result)) for await (const part of result) await printValue(part, options.json)
    else await printValue(result, options.json)
  } finally {
    await instance.close()
  }
}

/** JSON where it is some, else the text itself. */
function toData(raw: string): unknown {
  try {
    return JSON.parse(raw) as unknown
  } catch {
    return raw
  }
}

async function callByRoute(
  url: string,
  endpoint: string,
  raw: string | undefined,
  { method, timeoutMs }: CallCommandOptions,
): Promise<void> {
  const base = url.replace(/\/+$/, '')
  const listing = (await (await fetch(`${base}/-/routes`)).json()) as Record<string, readonly [string, readonly string[]]>
  const found = Object.entries(listing).find(([, [name]]) => name === endpoint)
  if (found === undefined)
    throw new ServeError('ERR_ENDPOINT_NOT_FOUND', `no route of ${base} leads to endpoint ${endpoint}; see ${base}/-/routes`)
  const [route, [, methods]] = found
  const verb = raw !== undefined && methods.includes('POST') ? 'POST' : (methods[0] ?? 'GET')
  const isJson = raw !== undefined && typeof toData(raw) !== 'string'
  const response = await fetch(base + route.replace(/\/\*$/, '/'), {
    method: verb,
    headers: {
      ...(raw !== undefined && { 'content-type': isJson ? 'application/json' : 'text/plain' }),
      ...(method !== undefined && { 'x-serve-call-method': method }),
      ...(timeoutMs !== undefined && { 'x-serve-timeout-ms': String(timeoutMs) }),
    },
    ...(raw !== undefined && verb !== 'GET' && verb !== 'HEAD' && { body: raw }),
  })
  if (!response.ok) throw await toError(response)
  await printBody(response)
}

/** What the gateway says of a failure, with its own code. */
async function toError(response: Response): Promise<Error> {
  const body = await response.text()
  try {
    const { code, detail, title } = JSON.parse(body) as { readonly code?: string; readonly detail?: string; readonly title?: string }
    return Object.assign(new Error(detail ?? title ?? body), { code })
  } catch {
    return new Error(`the gateway answered with status ${response.status}: ${body.slice(0, 200)}`)
  }
}

async function printBody(response: Response): Promise<void> {
  let last = 0x0a
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    await print(chunk)
    last = chunk.at(-1) ?? last
  }
  if (last !== 0x0a && process.stdout.isTTY) await print('\n')
}

/** Text as it is, bytes as they are, anything else as JSON: indented for people, one line for programs. */
async function printValue(value: unknown, asJson: boolean): Promise<void> {
  if (asJson) return printLine(toJson(value, 0))
  if (value === undefined) return
  if (value instanceof Uint8Array) return print(value)
  await printLine(typeof value === 'string' ? value : toJson(value, process.stdout.isTTY ? 2 : 0))
}

/** JSON has no Map, Set, bigint or bytes: they are shown as what comes nearest. */
function toJson(value: unknown, indent: number): string {
  const replace = (_key: string, part: unknown): unknown => {
    if (part instanceof Map) return [...part]
    if (part instanceof Set) return [...part]
    if (ArrayBuffer.isView(part)) return [...(part as Uint8Array)]
    if (part instanceof Error) return { name: part.name, message: part.message }
    return typeof part === 'bigint' ? String(part) : part
  }
  return JSON.stringify(value, replace, indent) ?? 'null'
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
