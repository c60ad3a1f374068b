import { chmodSync, closeSync, openSync, rmSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type ServedInstance, serveInstance } from '../core/api/index.ts'
import { ServeError } from '../core/base/index.ts'
import { realTurns } from './clock.ts'
import { socketPathOf } from './instance-socket-folder.ts'
import { SocketLink } from './instance-socket-link.ts'

/** Attached clients of one instance. */
const MAX_CLIENTS = 1_000
/** How long a socket file may take to answer before its process counts as gone, in milliseconds. */
const PROBE_MS = 2_000
/** Someone else sets up a socket of the same name; that takes moments, unless it died meanwhile. */
const LOCK_WAIT_MS = 5_000

export interface InstanceSocketInit {
  readonly instance: ServedInstance
  readonly name: string
  /** Processes that end with the instance, told to its clients; they wait for these ends. @default none */
  readonly processes?: readonly number[]
  /** Stops the instance and whatever was built around it. */
  readonly shutdown: (timeoutMs: number | undefined) => Promise<void>
}

/** A socket by which other processes of this user reach an instance. */
export interface InstanceSocket {
  readonly path: string
  /** Lets go of all clients and removes the socket. */
  close(): Promise<void>
}

/** Opens the socket of a name. A file that a dead process has left is replaced; where an instance answers: `ERR_INSTANCE_EXISTS`. */
export async function openInstanceSocket({ instance, name, processes = [], shutdown }: InstanceSocketInit): Promise<InstanceSocket> {
  const path = socketPathOf(name)
  const open = new Set<SocketLink>()
  const server = createServer((socket) => {
    const link = new SocketLink(socket, 'instance')
    open.add(link)
    void link.whenGone.then(() => open.delete(link))
    serveInstance({ instance, link, processes, shutdown }, realTurns)
  })
  server.maxConnections = MAX_CLIENTS
  await withLock(path, async () => {
    if (await answers(path)) throw instanceExists(name)
    if (process.platform !== 'win32') rmSync(path, { force: true })
    await listen(server, path, name)
  })
  return {
    path,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const link of open) link.close()
      await closed
    },
  }
}

/** Whether an instance of this name answers now. */
export function hasInstance(name: string): Promise<boolean> {
  return answers(socketPathOf(name))
}

/** Opens a link to the instance of a name. `ERR_NO_INSTANCE` says how to start one. */
export async function connectToSocket(name: string): Promise<SocketLink> {
  const path = socketPathOf(name)
  try {
    return new SocketLink(await dial(path), 'client')
  } catch (cause) {
    const option = name === 'default' ? '' : ` --name ${name}`
    const message = `there is no instance ${name} to attach to; start one with: shoal start${option}, or serve.start({ detached: true })`
    throw new ServeError('ERR_NO_INSTANCE', message, { cause })
  }
}

export function instanceExists(name: string): ServeError {
  return new ServeError(
    'ERR_INSTANCE_EXISTS',
    `an instance ${name} runs already; connect({ name }) attaches to it, another name starts one beside it`,
  )
}

function listen(server: Server, path: string, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException): void =>
      reject(
        cause.code === 'EADDRINUSE'
          ? instanceExists(name)
          : new ServeError('ERR_STORAGE', `socket ${path} cannot be opened: ${cause.message}`, { cause }),
      )
    server.once('error', onError)
    server.listen(path, () => {
      server.off('error', onError)
      if (process.platform !== 'win32') chmodSync(path, 0o600)
      resolve()
    })
  })
}

function dial(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

/** True when something accepts at the path. A socket that nobody listens on refuses at once. */
async function answers(path: string): Promise<boolean> {
  const attempt = dial(path)
  try {
    const socket = await Promise.race([attempt, delay(PROBE_MS, undefined, { ref: false })])
    socket?.destroy()
    // A process that is too busy to accept is there all the same.
    return true
  } catch {
    return false
  }
}

/** One process at a time looks, removes and listens; otherwise the second one could remove the fresh socket of the first. */
async function withLock(path: string, work: () => Promise<void>): Promise<void> {
  if (process.platform === 'win32') return work()
  const lock = `${path}.lock`
  const stopAtMs = performance.now() + LOCK_WAIT_MS
  for (;;) {
    try {
      closeSync(openSync(lock, 'wx', 0o600))
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      if (performance.now() > stopAtMs) unlinkSync(lock)
      else await delay(20)
    }
  }
  try {
    await work()
  } finally {
    rmSync(lock, { force: true })
  }
}
