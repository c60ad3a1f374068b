import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, renameSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { RemoteInstance } from '../core/api/index.ts'
import { fromErrorEnvelope, ServeError } from '../core/base/index.ts'
import { type DaemonOptions, type DaemonReport, PROGRAM } from './daemon-program.ts'
import { hasInstance, instanceExists } from './instance-socket.ts'
import { attachToInstance } from './instance-socket-client.ts'
import { stateFolderOf } from './instance-socket-folder.ts'

/** Longest wait for a detached instance, its stored backends included, in milliseconds. */
const START_WAIT_MS = 120_000
/** A log that is larger is put aside when the next instance of the name starts; one older is kept. */
const MAX_LOG_BYTES = 10 * 1024 * 1024

/**
 * Starts an instance that outlives this process, under a supervisor, and attaches to it once it answers. Rejects with what kept it from starting
 * (`ERR_INSTANCE_EXISTS`, `ERR_HTTP_LISTEN`, `ERR_STORAGE`); nothing is left running then.
 */
export async function startDetached(options: DaemonOptions): Promise<RemoteInstance> {
  const { name } = options
  if (await hasInstance(name)) throw instanceExists(name)
  const logFile = join(stateFolderOf(name), 'daemon.log')
  const log = openLog(logFile)
  let supervisor: ChildProcess
  try {
    supervisor = spawn(process.execPath, [PROGRAM, 'supervise', name], {
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
      windowsHide: true,
    })
  } finally {
    closeSync(log)
  }
  try {
    const { storage } = options
    supervisor.send({ ...options, storage: storage === undefined ? undefined : resolve(storage) } satisfies DaemonOptions)
    await whenReady(supervisor, logFile)
  } finally {
    if (supervisor.connected) supervisor.disconnect()
    supervisor.unref()
  }
  return attachToInstance(name)
}

function whenReady(supervisor: ChildProcess, logFile: string): Promise<void> {
  return new Promise((settle, reject) => {
    const fail = (message: string): void =>
      reject(new ServeError('ERR_PEER_UNREACHABLE', `the detached instance ${message}; see ${logFile}`))
    const timer = setTimeout(() => {
      supervisor.kill()
      fail(`did not answer within ${START_WAIT_MS} ms`)
    }, START_WAIT_MS)
    supervisor.once('error', (error) => fail(`could not be started (${error.message})`))
    supervisor.once('exit', (code, signal) => {
      clearTimeout(timer)
      fail(`ended while it started (${signal ?? `code ${code}`})`)
    })
    supervisor.once('message', (report: DaemonReport) => {
      clearTimeout(timer)
      if (report.kind === 'ready') settle()
      else reject(fromErrorEnvelope(report.error))
    })
  })
}

function openLog(path: string): number {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (size > MAX_LOG_BYTES) renameSync(path, `${path}.1`)
  return openSync(path, 'a', 0o600)
}
