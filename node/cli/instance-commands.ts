import { setTimeout as delay } from 'node:timers/promises'
import type { InstanceStatus } from '../../core/api/index.ts'
import { ServeError } from '../../core/base/index.ts'
import { attachToInstance } from '../instance-socket-client.ts'
import { printLine } from './output.ts'
import { viewStatus } from './status-view.ts'
import { whenAskedToStop } from './stop-signals.ts'

/** How often a status that is watched is asked for, in milliseconds. */
const WATCH_MS = 1_000

export interface InstanceCommandOptions {
  readonly name: string
  readonly json: boolean
}

/** `shoal shutdown`: drains and ends an instance. */
export async function shutdownCommand({ name, json, timeoutMs }: InstanceCommandOptions & { readonly timeoutMs?: number }): Promise<void> {
  const instance = await attachToInstance(name)
  await instance.shutdown(timeoutMs)
  await printLine(json ? JSON.stringify({ name, stopped: true }) : `${name} is stopped`)
}

/** `shoal status`: once, or again and again until a signal. */
export async function statusCommand(options: InstanceCommandOptions & { readonly url?: string; readonly watch: boolean }): Promise<void> {
  const source = options.url === undefined ? await sourceOfInstance(options.name) : sourceOfUrl(options.url)
  try {
    await show(await source.status(), source.url, options)
    if (!options.watch) return
    let asked = false
    const whenAsked = whenAskedToStop().then(() => {
      asked = true
    })
    while (!asked) {
      await Promise.race([delay(WATCH_MS), whenAsked])
      if (!asked) await show(await source.status(), source.url, options)
    }
  } finally {
    await source.close()
  }
}

interface StatusSource {
  readonly url: string | undefined
  status(): Promise<InstanceStatus>
  close(): Promise<void>
}

async function sourceOfInstance(name: string): Promise<StatusSource> {
  const instance = await attachToInstance(name)
  return { url: instance.gateway?.url, status: () => instance.status(), close: () => instance.close() }
}

function sourceOfUrl(given: string): StatusSource {
  const url = given.replace(/\/+$/, '')
  return {
    url,
    async status() {
      // Callers beyond loopback need the token of the gateway; arguments of a process are seen by all, so it comes by the environment.
      const token = process.env.SHOAL_ADMIN_TOKEN
      const headers = token === undefined ? undefined : { authorization: `Bearer ${token}` }
      const response = await fetch(`${url}/-/status`, { ...(headers !== undefined && { headers }) }).catch((cause: unknown) => {
        throw new ServeError('ERR_PEER_UNREACHABLE', `${url} does not answer`, { cause })
      })
      if (response.ok) return (await response.json()) as InstanceStatus
      throw new ServeError(
        response.status === 403 ? 'ERR_FORBIDDEN' : 'ERR_PEER_UNREACHABLE',
        `${url}/-/status answered ${response.status}`,
      )
    },
    async close() {},
  }
}

async function show(
  status: InstanceStatus,
  url: string | undefined,
  { json, watch }: { readonly json: boolean; readonly watch: boolean },
): Promise<void> {
  if (json) return printLine(JSON.stringify(status))
  const clear = watch && process.stdout.isTTY ? '\u001b[H\u001b[2J' : ''
  await printLine(clear + viewStatus(status, url))
}
