import { start } from '../index.ts'
import { printLine } from './output.ts'

export interface StartCommandOptions {
  readonly name: string
  readonly port?: number
  readonly storage?: string
  readonly mesh?: true | 'lan'
  readonly json: boolean
}

/** `shoal start`: a detached instance. */
export async function startCommand({ name, port, storage, mesh, json }: StartCommandOptions): Promise<void> {
  const client = await start({
    name,
    detached: true,
    ...(port !== undefined && { http: { port } }),
    ...(storage !== undefined && { storage }),
    ...(mesh !== undefined && { mesh }),
  })
  const url = client.http?.url
  await client.close()
  const flag = name === 'default' ? '' : ` --name ${name}`
  await printLine(json ? JSON.stringify({ name, url }) : `${name} runs at ${url ?? '(no gateway)'}; stop it with: shoal shutdown${flag}`)
}
