import { lstatSync, mkdirSync, type Stats } from 'node:fs'
import { homedir, tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { ServeError } from '../core/base/index.ts'

/** Names of instances become parts of paths, and a path of a socket has little room. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/

/** `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE` for what cannot name an instance. */
export function requireInstanceName(name: unknown): string {
  if (typeof name !== 'string') throw new ServeError('ERR_INVALID_ARG_TYPE', `instance name must be a string, got ${typeof name}`)
  if (NAME.test(name)) return name
  const message = `instance name ${JSON.stringify(name.slice(0, 40))} must be 1 to 32 letters, digits, dots, dashes and underscores, the first a letter or digit`
  throw new ServeError('ERR_INVALID_ARG_VALUE', message)
}

/** Where the instance of this name listens: a socket in a folder that only this user can enter; on Windows a named pipe. */
export function socketPathOf(name: string): string {
  requireInstanceName(name)
  if (process.platform === 'win32') return `\\\\.\\pipe\\shoal-${userInfo().username}-${name}`
  return join(socketFolder(), `${name}.sock`)
}

/** The folder of the sockets, made when it is not there. `ERR_FORBIDDEN` when others could reach into it. */
export function socketFolder(): string {
  const runtime = process.env.XDG_RUNTIME_DIR
  const folder = runtime ? join(runtime, 'shoal') : join(tmpdir(), `shoal-${process.getuid?.() ?? userInfo().username}`)
  return privateFolder(folder)
}

/** Where a detached instance keeps its log and, unless told otherwise, its state. */
export function stateFolderOf(name: string): string {
  const base = process.env.XDG_STATE_HOME || join(homedir(), '.local', 'state')
  return privateFolder(join(base, 'shoal', requireInstanceName(name)))
}

/** Makes a folder for this user alone, or checks that it is one: no link, owned by this user, closed to group and world. */
export function privateFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  if (process.platform === 'win32') return path
  const stats = lstatSync(path)
  const fault = faultOf(stats)
  if (fault !== undefined) throw new ServeError('ERR_FORBIDDEN', `folder ${path} is not used: ${fault}`)
  return path
}

function faultOf(stats: Stats): string | undefined {
  if (!stats.isDirectory()) return 'it is no folder of its own'
  if (stats.uid !== process.getuid?.()) return `it belongs to user ${stats.uid}`
  if ((stats.mode & 0o077) !== 0) return `others may enter it (mode ${(stats.mode & 0o777).toString(8)}); chmod 700 it`
  return undefined
}
