import { existsSync, readdirSync, statSync } from 'node:fs'

/** What the benchmark uses of the public interface; the product's own types are not built where the benchmark is checked. */
export interface ShoalHandle {
  remote(data?: unknown, args?: Readonly<Record<string, unknown>>, transfer?: readonly object[]): Promise<unknown>
}
export interface ShoalClient {
  readonly http?: { readonly url: string }
  createBackend(tag: string, target: unknown, options?: object): Promise<void>
  createEndpoint(name: string, options: object): Promise<void>
  getHandle(name: string): ShoalHandle
  updateBackendConfig(tag: string, config: object): Promise<void>
  createTicket(options?: object): Promise<string>
  status(): Promise<{ readonly nodes: object }>
  close(): Promise<void>
}
export interface Shoal {
  start(options: object): Promise<ShoalClient>
  join(ticket: string, options?: object): Promise<ShoalClient>
}

const built = new URL('../../dist/node.js', import.meta.url)
const sources = new URL('../../node/index.ts', import.meta.url)

export type ShoalSource = 'dist' | 'sources'

/** Where Shoal is taken from: the built package, which is what users run, else the sources; undefined when what is wanted is not there. */
export function whichShoal(wanted?: ShoalSource): ShoalSource | undefined {
  if (wanted !== 'sources' && existsSync(built)) return 'dist'
  return wanted !== 'dist' && existsSync(sources) ? 'sources' : undefined
}

/** True when a source file of the product was changed after the package was built. */
export function isShoalStale(): boolean {
  const builtMs = statSync(built).mtimeMs
  return ['core', 'node'].some((room) => {
    const folder = new URL(`../../${room}/`, import.meta.url)
    return readdirSync(folder, { recursive: true, encoding: 'utf8' }).some(
      (file) => file.endsWith('.ts') && statSync(new URL(file, folder)).mtimeMs > builtMs,
    )
  })
}

/** The public interface. This process is a child of the benchmark, its fourth argument says where Shoal is from. */
export async function loadShoal(): Promise<Shoal> {
  const source = whichShoal(process.argv[5] as ShoalSource | undefined)
  return (await import((source === 'dist' ? built : sources).href)) as Shoal
}

/** A fresh instance with every default on. */
export async function startShoal(options: object = { http: false }): Promise<ShoalClient> {
  return (await loadShoal()).start(options)
}

/** One backend behind one endpoint of the same name, called through its handle. */
export async function startShoalBackend(target: unknown, config: object = {}): Promise<{ handle: ShoalHandle; stop(): Promise<void> }> {
  const client = await startShoal()
  await client.createBackend('bench', target, { config })
  await client.createEndpoint('bench', { backend: 'bench' })
  return { handle: client.getHandle('bench'), stop: () => client.close() }
}
