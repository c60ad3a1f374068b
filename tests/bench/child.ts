/**
 * One contender's process: `child.ts <group> <contender> <pace as JSON> <where Shoal is from>`, started with an IPC channel. Messages
 * to the parent: `done` with the metrics, `listening` with a URL, `usage`, or `failed`; from the parent, to a server: `usage` and `stop`.
 */
import type { Metrics, Pace } from './contender.ts'
import { groups } from './groups.ts'

export type FromChild =
  | { readonly kind: 'done'; readonly metrics: Metrics }
  | { readonly kind: 'listening'; readonly url: string }
  | { readonly kind: 'usage'; readonly cpuMicros: number }
  | { readonly kind: 'failed'; readonly message: string }
export type ToChild = { readonly kind: 'usage' } | { readonly kind: 'stop' }

/** Sends and, after the last message, ends: nothing that a contender left open may keep the process. */
function tell(message: FromChild, last: boolean): void {
  process.send?.(message, undefined, undefined, () => {
    if (last) process.exit(message.kind === 'failed' ? 1 : 0)
  })
}

function fail(error: unknown): void {
  tell({ kind: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }, true)
}

async function run(groupId: string | undefined, name: string | undefined, pace: Pace): Promise<void> {
  const contender = groups.find((group) => group.id === groupId)?.contenders.find((one) => one.name === name)
  if (contender === undefined) throw new Error(`no contender ${name} in group ${groupId}`)
  if (contender.kind === 'local') return tell({ kind: 'done', metrics: await contender.measure(pace) }, true)
  const server = await contender.serve()
  process.on('message', (message: ToChild) => {
    if (message.kind === 'stop') {
      Promise.resolve(server.stop()).then(() => process.exit(0), fail)
      return
    }
    const { user, system } = process.cpuUsage()
    tell({ kind: 'usage', cpuMicros: user + system }, false)
  })
  tell({ kind: 'listening', url: server.url }, false)
}

process.on('uncaughtException', fail)
process.on('disconnect', () => process.exit(1))
run(process.argv[2], process.argv[3], JSON.parse(process.argv[4] ?? '{}') as Pace).catch(fail)
