import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { pino } from 'pino'
import type { Client } from '../../core/api/index.ts'
import { type Logger, ServeError } from '../../core/base/index.ts'
import { type App, defineApp } from '../../core/model/index.ts'
import { connect, start } from '../index.ts'
import { dim, printLine } from './output.ts'
import { whenAskedToStop } from './stop-signals.ts'

export interface RunCommandOptions {
  readonly name: string
  readonly port?: number
  readonly storage?: string
  readonly mesh?: true | 'lan'
  readonly json: boolean
}

/** `shoal run`: an instance in this process with the app of a file, until a signal drains it. Gives the exit code. */
export async function runCommand(file: string, { name, port, storage, mesh, json }: RunCommandOptions): Promise<number> {
  const whenAsked = whenAskedToStop()
  const app = await loadApp(file)
  const client = await start({
    name,
    ...(port !== undefined && { http: { port } }),
    ...(storage !== undefined && { storage }),
    ...(mesh !== undefined && { mesh }),
    logger: pino({ name: 'shoal', level: 'warn' }, pino.destination({ fd: 2, sync: true })) as Logger,
  })
  const whenOver = Promise.race([whenAsked, whenEnded(client)])
  try {
    const ready = deployApp(client, app)
    // A signal while it starts ends the wait as well.
    await Promise.race([ready, whenOver])
    ready.catch(() => undefined)
    await announce(client, { name, json })
    await whenOver
    if (!json && process.stdout.isTTY) await printLine(dim('finishing what is under way; the same again stops at once'))
    return 0
  } finally {
    await client.shutdown()
  }
}

/** `shoal deploy`: the app of a file on an instance that runs. */
export async function deployCommand(file: string, { name, json }: RunCommandOptions): Promise<void> {
  const app = await loadApp(file)
  const client = await connect({ name })
  try {
    await deployApp(client, app)
    const { backends, endpoints } = await client.status()
    const names = { backends: Object.keys(backends), endpoints: Object.keys(endpoints) }
    await printLine(
      json ? JSON.stringify(names) : `deployed: backends ${names.backends.join(', ')}; endpoints ${names.endpoints.join(', ')}`,
    )
  } finally {
    await client.close()
  }
}

type LoadedApp = App | ((client: Client) => unknown)

/** The default export of a file: a function of a client, or what `defineApp` gives. */
async function loadApp(file: string): Promise<LoadedApp> {
  const url = pathToFileURL(resolve(file)).href
  const module = (await import(url)) as { readonly default?: unknown }
  const app = module.default
  if (typeof app === 'function') return app as LoadedApp
  if (typeof app === 'object' && app !== null && 'backends' in app) return defineApp(app as App)
  throw new ServeError(
    'ERR_INVALID_ARG_TYPE',
    `${file} must have a default export: a function of a client, or defineApp({ backends, endpoints })`,
  )
}

async function deployApp(client: Client, app: LoadedApp): Promise<void> {
  if (typeof app === 'function') await app(client)
  else await client.deploy(app)
}

async function announce(client: Client, { name, json }: { readonly name: string; readonly json: boolean }): Promise<void> {
  const endpoints = await client.listEndpoints()
  const url = client.http?.url
  if (json) return printLine(JSON.stringify({ name, url, pid: process.pid, endpoints }))
  const lines = Object.entries(endpoints).map(([endpoint, { route, methods }]) =>
    route === null ? `  ${endpoint}  by handle` : `  ${endpoint}  ${methods.join(' ')} ${url ?? ''}${route}`,
  )
  await printLine([`serving ${name}${url === undefined ? '' : ` at ${url}`}`, ...lines].join('\n'))
}

/** Settles when the instance was stopped by another process. */
async function whenEnded(client: Client): Promise<void> {
  for await (const _event of client.watch());
}
