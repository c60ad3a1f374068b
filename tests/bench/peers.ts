import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('.', import.meta.url))
const markFile = fileURLToPath(new URL('./node_modules/.ready', import.meta.url))

/**
 * Imports a package of the benchmark's own node_modules. The name is no literal on purpose: the peers are not installed where only the
 * tests run, and the compiler would miss them there. T is the little of the package that is used.
 */
export async function peer<T>(name: string): Promise<T> {
  return (await import(name)) as T
}

/** Installs the peers listed in this folder's lockfile unless they are there. @throws when npm cannot. */
export function installPeers(): void {
  const lock = readFileSync(new URL('./package-lock.json', import.meta.url))
  const digest = createHash('sha256').update(lock).digest('hex')
  if (existsSync(markFile) && readFileSync(markFile, 'utf8') === digest) return
  process.stderr.write('installing the peers to compare with into tests/bench/node_modules, once\n')
  const args = ['ci', '--prefix', folder, '--loglevel=error', '--no-progress']
  const cli = process.env.npm_execpath
  const options = { cwd: folder, stdio: ['ignore', process.stderr, process.stderr] as ('ignore' | NodeJS.WriteStream)[] }
  const done =
    cli === undefined
      ? spawnSync('npm', args, { ...options, shell: process.platform === 'win32' })
      : spawnSync(process.execPath, [cli, ...args], options)
  if (done.status !== 0) throw new Error('npm could not install the peers of tests/bench: its message is above')
  writeFileSync(markFile, digest)
}

/** The parts of the pools that are called. */
export interface PiscinaModule {
  readonly Piscina: (new (
    options: object,
  ) => { run(task: unknown, options?: object): Promise<unknown>; destroy(): Promise<void> }) & {
    move(value: unknown): unknown
  }
}
export interface TinypoolModule {
  readonly Tinypool: new (options: object) => { run(task: unknown, options?: object): Promise<unknown>; destroy(): Promise<void> }
}
export interface PoolifierModule {
  readonly FixedThreadPool: new (
    size: number,
    file: string,
    options?: object,
  ) => { execute(data: unknown, name?: string): Promise<unknown>; destroy(): Promise<void> }
  readonly ThreadWorker: new (functions: Readonly<Record<string, (data: never) => unknown>>) => object
}
export interface WorkerpoolModule {
  pool(
    script: string,
    options: object,
  ): { exec(name: string, args: readonly unknown[]): PromiseLike<unknown>; terminate(): PromiseLike<unknown> }
  worker(functions: Readonly<Record<string, (data: never) => unknown>>): void
}
export interface ComlinkModule {
  wrap<T>(endpoint: object): T
  expose(api: object, endpoint: object): void
  transfer<T>(value: T, list: readonly object[]): T
}
export interface DataLoaderModule {
  readonly default: new (
    load: (keys: readonly number[]) => Promise<readonly number[]>,
    options: object,
  ) => { load(key: number): Promise<number> }
}
export interface FastifyModule {
  fastify(options?: object): {
    get(path: string, handler: () => unknown): void
    post(path: string, handler: (request: { body: unknown }) => unknown): void
    listen(options: object): Promise<string>
    close(): Promise<void>
  }
}
interface HonoContext {
  readonly req: { json(): Promise<unknown> }
  text(text: string): Response
  json(value: unknown): Response
}
export interface HonoModule {
  readonly Hono: new () => {
    use(middleware: unknown): void
    get(path: string, handler: (context: HonoContext) => unknown): void
    post(path: string, handler: (context: HonoContext) => unknown): void
    readonly fetch: unknown
  }
}
export interface HonoServerModule {
  serve(options: object, listening: (address: { port: number }) => void): { close(done?: () => void): void }
}
export interface MsgpackrModule {
  pack(value: unknown): Uint8Array
  unpack(bytes: Uint8Array): unknown
}
interface WebSocketLike {
  on(event: 'open', listener: () => void): void
  on(event: 'message', listener: (data: Uint8Array) => void): void
  send(data: Uint8Array): void
}
export interface WsModule {
  readonly WebSocket: new (url: string, options: object) => WebSocketLike
  readonly WebSocketServer: new (
    options: object,
  ) => {
    on(event: 'listening', listener: () => void): void
    on(event: 'connection', listener: (socket: WebSocketLike) => void): void
    address(): { readonly port: number }
  }
}
export interface MoleculerModule {
  readonly ServiceBroker: new (
    options: object,
  ) => {
    createService(schema: {
      name: string
      actions: Readonly<Record<string, (context: { readonly params: { readonly x: unknown } }) => unknown>>
    }): void
    start(): Promise<void>
    waitForServices(name: string, timeoutMs: number): Promise<unknown>
    call(action: string, params: object): Promise<unknown>
  }
}

/** The TCP transporter of moleculer with static addresses. `ports`: of the server and of the caller, with a comma between. */
export function moleculerOptions(nodeID: 'server' | 'caller', ports: string): object {
  const [server, caller] = ports.split(',')
  const urls = [`tcp://127.0.0.1:${server}/server`, `tcp://127.0.0.1:${caller}/caller`]
  const port = Number(nodeID === 'server' ? server : caller)
  return { nodeID, logger: false, transporter: { type: 'TCP', options: { udpDiscovery: false, port, urls, gossipPeriod: 0.2 } } }
}
