import { type Context, Hono, type MiddlewareHandler } from 'hono'
import type { HTTPResponseError } from 'hono/types'
import { type Clock, ServeError } from '../../base/index.ts'
import { FetchExchange, type Gateway, type HttpMiddleware } from '../../gateway/index.ts'

/** The part of Node's `ServerResponse` that is needed to break an answer off. */
interface Outgoing {
  readonly headersSent: boolean
  readonly destroyed: boolean
  readonly writableFinished: boolean
  on(event: 'close', listener: () => void): unknown
  readonly socket: { destroySoon(): void } | null
}

/** What `@hono/node-server` hands over beside the request; only what is read of it. */
interface NodeBindings {
  readonly outgoing: Outgoing
  readonly incoming: {
    readonly rawHeaders: readonly string[]
    readonly url?: string | undefined
    readonly socket: { readonly remoteAddress?: string | undefined }
  }
}

interface Bindings {
  /** The request as it entered; a middleware may have put another in its place. */
  readonly entered: Request
  readonly raw?: { readonly headers: readonly string[]; readonly target: string }
  readonly isLocal: boolean
  readonly outgoing?: Outgoing
  /** Gives the answer its moment to go. */
  readonly release?: Release
}

/** Runs what sends an answer, now or soon. */
type Release = (send: () => void) => void

/** A gateway behind middlewares. */
export interface MountedGateway {
  /** Without a socket. `isLocal` opens what is kept for callers on this machine. */
  fetch(request: Request, isLocal?: boolean): Promise<Response>
  /** For the listener of `@hono/node-server`. */
  fetchFromNode(request: Request, bindings: NodeBindings): Response | Promise<Response>
  /** What a middleware threw, or what is wrong with a request that could not be made; as an answer. */
  failed(error: unknown): Response
}

/**
 * Puts Hono middlewares in front of a gateway, the first outermost. They see every request, system routes, unknown paths and preflights included;
 * the gateway's own check of origins runs inside them, for a CORS middleware may have allowed the origin.
 * @param onRequest is told of each request from a socket, and gives what its answer is released by
 */
export function mountMiddlewares(
  middlewares: readonly HttpMiddleware[],
  gateway: Gateway,
  clock: Clock,
  onRequest: () => Release = () => (send) => send(),
): MountedGateway {
  const app = new Hono<{ Bindings: Bindings }>()
  for (const middleware of middlewares) app.use('*', middleware as unknown as MiddlewareHandler)
  const failed = (error: unknown): Response => problemResponse(error, gateway)
  app.onError((error) => ('getResponse' in error ? (error as HTTPResponseError).getResponse() : failed(error)))
  app.all('*', (context) => answerInside(context, gateway, clock))
  return {
    fetch: async (request, isLocal = false) => app.fetch(request, { entered: request, isLocal }),
    failed,
    fetchFromNode: (request, { incoming, outgoing }) =>
      app.fetch(request, {
        outgoing,
        entered: request,
        raw: { headers: incoming.rawHeaders, target: incoming.url ?? '' },
        isLocal: isLoopbackAddress(incoming.socket.remoteAddress),
        release: onRequest(),
      }),
  }
}

/** The last handler: the gateway answers the request as the middlewares left it. */
function answerInside(context: Context<{ Bindings: Bindings }>, gateway: Gateway, clock: Clock): Promise<Response> {
  const { entered, raw, isLocal, outgoing, release } = context.env
  const request = context.req.raw
  const isUntouched = request === entered
  // Without a length the body is counted as it comes, unless a middleware has read it already.
  const isInMemory = Object.keys(context.req.bodyCache).length > 0
  const isWhole = isInMemory || context.req.header('content-length') !== undefined
  return new Promise((resolve) =>
    gateway.handle(
      new FetchExchange(request, {
        resolve: release === undefined ? resolve : (response) => release(() => resolve(response)),
        isLocal,
        ...(isUntouched && raw !== undefined && { raw }),
        ...(outgoing !== undefined && {
          breakOff: () => breakOff(outgoing, clock),
          whenGone: (gone: () => void) => whenGone(outgoing, gone),
        }),
        isInMemory,
        ...(isWhole && { readWhole: async () => new Uint8Array(await context.req.arrayBuffer()) }),
        allowedOrigin: context.res.headers.get('access-control-allow-origin') ?? undefined,
        toResponse: (status, headers, body) => mergedResponse(context, { status, headers, body }),
      }),
    ),
  )
}

interface Answer {
  readonly status: number
  readonly headers: readonly string[]
  readonly body: string | Uint8Array | ReadableStream | null
}

/**
 * Adds the answer's headers to those that middlewares have set so far, and makes Hono forget the response it holds: given one, it would build the
 * answer anew from the held body, as a stream, which costs a multiple of the whole request.
 */
function mergedResponse(context: Context, { status, headers, body }: Answer): Response {
  const merged = context.res.headers
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string
    const lowerCase = name.toLowerCase()
    if (lowerCase === 'set-cookie' || lowerCase === 'vary') merged.append(name, headers[i + 1] as string)
    else merged.set(name, headers[i + 1] as string)
  }
  context.res = undefined
  context.finalized = false
  return new Response(body as BodyInit | null, { status, headers: merged })
}

/** Cheaper than the signal of the request, which would have to be made. */
function whenGone(outgoing: Outgoing, gone: () => void): void {
  outgoing.on('close', () => {
    if (!outgoing.writableFinished) gone()
  })
}

/** What Node's adapter has taken it writes in the same turn, or, where it reads ahead, together with the head. */
function breakOff(outgoing: Outgoing, clock: Clock): void {
  clock.after(1, () => {
    if (outgoing.headersSent) outgoing.socket?.destroySoon()
    else if (!outgoing.destroyed) breakOff(outgoing, clock)
  })
}

function problemResponse(error: unknown, gateway: Gateway): Response {
  const isRequest = error instanceof Error && error.name === 'RequestError'
  const known = isRequest
    ? new ServeError('ERR_BAD_REQUEST', `the request is malformed: ${error.message}`, { cause: error })
    : new ServeError('ERR_TASK', `a middleware threw: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  const { status, headers, body } = gateway.problem(known)
  return new Response(body, { status, headers: pairsOf(headers) })
}

function pairsOf(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] as string, flat[2 * i + 1] as string])
}

function isLoopbackAddress(address: string | undefined): boolean {
  return address !== undefined && (address === '::1' || /^(?:::ffff:)?127\./.test(address))
}
