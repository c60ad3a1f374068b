import { readFile } from 'node:fs/promises'

/** The page loads from its own server and from nowhere else; the icon is written into it. */
const CONTENT_SECURITY_POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; connect-src 'self'"

/** Every file there is to get, by path; all are text. A path from outside is only ever looked up here, so it can name no other file. */
const FILES: Readonly<Record<string, { readonly file: string; readonly type: string }>> = Object.freeze({
  '/': { file: 'page/index.html', type: 'text/html; charset=utf-8' },
  '/page/digits.css': { file: 'page/digits.css', type: 'text/css; charset=utf-8' },
  '/page/digits.js': { file: 'page/digits.js', type: 'text/javascript; charset=utf-8' },
  '/test-images': { file: 'data/test.json', type: 'application/json' },
})

/** Answers the demo's page and the held-out test images, from memory. */
export class Page {
  #contents = new Map<string, string>()

  /** Reads all files; rejects when one is missing. */
  async init(): Promise<void> {
    for (const [path, { file }] of Object.entries(FILES)) {
      this.#contents.set(path, await readFile(new URL(file, import.meta.url), 'utf8'))
    }
  }

  call(request: { readonly url: string }): Response {
    const { pathname } = new URL(request.url)
    const content = this.#contents.get(pathname)
    const type = Object.hasOwn(FILES, pathname) ? FILES[pathname]?.type : undefined
    if (content === undefined || type === undefined) return new Response('there is no such file here\n', { status: 404 })
    return new Response(content, {
      headers: {
        'content-type': type,
        'cache-control': 'no-cache',
        'content-security-policy': CONTENT_SECURITY_POLICY,
        'x-content-type-options': 'nosniff',
      },
    })
  }
}
