import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.onnx': 'application/octet-stream',
}

export interface StaticServerOptions {
  /** Folders by the path they are served under, the longest first tried. */
  readonly folders?: Readonly<Record<string, string>>
  /** Texts by path; they go before folders. */
  readonly files?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
}

export interface StaticServer {
  /** Without a slash at the end. */
  readonly origin: string
  /** Paths asked for, in order. */
  readonly asked: string[]
  close(): Promise<void>
}

/** Serves files on loopback, on any free port, as any static server would. */
export async function serveStatic({ folders = {}, files = {}, headers = {} }: StaticServerOptions): Promise<StaticServer> {
  const asked: string[] = []
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length)
  const server: Server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname)
    asked.push(path)
    const name = path.endsWith('/') ? `${path}index.html` : path
    const prefix = prefixes.find((one) => name.startsWith(one))
    const text = files[name]
    try {
      if (text === undefined && prefix === undefined) throw new Error('no folder')
      const body = text ?? (await readFile(join(folders[prefix ?? ''] ?? '', normalize(name.slice(prefix?.length ?? 0)))))
      response.writeHead(200, { 'content-type': TYPES[extname(name)] ?? 'application/octet-stream', ...headers }).end(body)
    } catch {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('not here\n')
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    asked,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
