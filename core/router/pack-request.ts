import { encodeHttpHead, flatHeaders } from '../request/index.ts'

/** A Request passed to `remote()` reaches the handler as a Request: its head as text, its body as bytes. */
export async function packRequest(request: Request, callMethod: string): Promise<{ meta: string; body: Uint8Array | undefined }> {
  const body = request.body === null ? undefined : new Uint8Array(await request.arrayBuffer())
  const meta = encodeHttpHead({
    rendered: false,
    callMethod,
    httpMethod: request.method,
    url: request.url,
    requestId: (request as { readonly id?: string }).id ?? '',
    rawHeaders: flatHeaders(request.headers),
  })
  return { meta, body }
}
