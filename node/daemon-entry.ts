import { join } from 'node:path'
import { pino } from 'pino'
import type { LocalInstance, PeerInstance } from '../core/api/index.ts'
import { type Logger, toErrorEnvelope } from '../core/base/index.ts'
import { resolveHttpOptions } from '../core/gateway/index.ts'
import type { DaemonOptions, DaemonReport } from './daemon-program.ts'
import { FileStateStore } from './file-store.ts'
import { openInstanceSocket } from './instance-socket.ts'
import { stateFolderOf } from './instance-socket-folder.ts'
import { KEY_FILES } from './key-file.ts'
import { loadMiddlewares } from './load-middlewares.ts'
import { startLocal } from './local-start.ts'
import { nodePlatform } from './node-platform.ts'

/** Runs this process as a detached instance. Options come from its supervisor, whom it tells when it answers or what keeps it from that. */
export function serveDaemon(): void {
  if (process.send === undefined) {
    process.stderr.write('usage: instance is for the supervisor of a detached instance alone\n')
    process.exit(2)
  }
  process.once('message', (options: DaemonOptions) => void serve(options))
}

async function serve(options: DaemonOptions): Promise<void> {
  const log = pino({ name: options.name, level: 'info' }, pino.destination({ fd: 1, sync: true })) as Logger
  try {
    const instance = await startInstance(options, log)
    report({ kind: 'ready', port: instance.gateway?.port })
  } catch (error) {
    log.error({ error: error instanceof Error ? error.message : String(error) }, 'instance.start-failed')
    report({ kind: 'failed', error: toErrorEnvelope(error) }, () => process.exit(1))
  }
  process.once('disconnect', () => log.warn({}, 'supervisor.gone'))
}

async function startInstance(options: DaemonOptions, log: Logger): Promise<LocalInstance | PeerInstance> {
  const { name } = options
  const middlewares = options.middlewares === undefined ? [] : await loadMiddlewares(options.middlewares)
  const http = options.http === false ? undefined : resolveHttpOptions({ ...options.http, middlewares })
  const ownFolder = join(stateFolderOf(name), 'state')
  const storage = options.storage ?? ownFolder
  const platform = nodePlatform(log)
  const offered = options.resources === undefined ? platform : { ...platform, resources: options.resources }
  const fetchOptions = http ?? resolveHttpOptions({ middlewares })
  const instance = await startLocal({ name, http, fetchOptions, mesh: options.mesh, storage }, offered)
  /** The end that was asked for has code 0, whatever happens on the way: the supervisor would start it again else. */
  const end = async (timeoutMs: number | undefined, isOver: boolean): Promise<void> => {
    try {
      if (isOver) await instance.shutdown(timeoutMs)
      else await instance.close()
      if (isOver && options.storage === undefined) await FileStateStore.erase(ownFolder, Object.values(KEY_FILES))
    } catch (error) {
      log.error({ error: error instanceof Error ? error.message : String(error) }, 'instance.shutdown-failed')
    } finally {
      process.exit(0)
    }
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end(undefined, false))
  const processes = [process.pid, process.ppid]
  const socket = await openInstanceSocket({ instance, name, processes, shutdown: (timeoutMs) => end(timeoutMs, true) }).catch(
    async (error: unknown) => {
      await instance.shutdown(0)
      throw error
    },
  )
  instance.atEnd(() => socket.close())
  return instance
}

function report(message: DaemonReport, done: () => void = () => {}): void {
  process.send?.(message, done)
}
