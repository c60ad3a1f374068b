import { isServeError, type Logger, type Random, randomName, ServeError, SILENT } from '../base/index.ts'
import { encodeHttpHead, type RawBody, STREAMED } from '../request/index.ts'
import { Call, type Upload } from '../service/index.ts'
import { Answering, type AnsweringRules } from './answering.ts'
import type { Exchange } from './exchange.ts'
import { HostRule } from './host-rule.ts'
import type { ResolvedHttpOptions } from './http-options.ts'
import { isSafeMethod, whyOriginRefused } from './origin-rule.ts'
import { type Problem, toProblem } from './problem.ts'
import { type RequestHead, readHead } from './request-head.ts'
import { canonicalPath, type Route, type RouteTable } from './route-table.ts'
import { answerSystemRequest } from './system-routes.ts'

/** What stands behind a gateway. */
export interface GatewaySource {
  /** The table in force; asked for every request, swapped whole. */
  routes(): RouteTable
  /** Takes a call; its sink is told the end. A throw is answered as that error. */
  dispatch(call: Call): void
  /** For `/-/status`; plain data. */
  status(): Promise<unknown>
  isReady(): boolean
  /** Prometheus text for `/-/metrics`. */
  metrics?(): string | Promise<string>
}

/** What a gateway is made of. */
export interface GatewayInit {
  readonly source: GatewaySource
  readonly options: ResolvedHttpOptions
  /** The text of `options.adminToken`, read by whoever can. */
  readonly adminToken?: string | undefined
  readonly random: Random
  readonly log?: Logger
}

/** Larger bodies are moved to the replica; smaller ones are copied, so that the call can be given to another replica when that one dies. */
const MOVED_BODY_BYTES = 65_536

/** Where a request was sent, once that is known to be served here. */
interface Target {
  /** Scheme and authority. */
  readonly origin: string
  /** Path and query. */
  readonly rest: string
}

/** A request that is for an endpoint, if there is one at its path. */
interface Located extends Target {
  readonly head: RequestHead
  /** Canonical. */
  readonly path: string
}

/** A request whose body is awaited. */
interface AwaitedBody {
  readonly route: Route
  readonly head: RequestHead
  readonly meta: string
  /** -1 when unknown. */
  readonly bodyBytes: number
}

/** HTTP in, calls out; knows requests as {@link Exchange}s only. Bodies and headers are handed on unparsed. */
export class Gateway implements AnsweringRules {
  readonly exposeStacks: boolean
  readonly overloadStatus: number
  readonly log: Logger
  readonly #source: GatewaySource
  readonly #options: ResolvedHttpOptions
  readonly #adminToken: string | undefined
  readonly #hosts: HostRule
  readonly #idPrefix: string
  readonly #answersByStatus = new Float64Array(600)
  #requests = 0
  #isDraining = false

  constructor({ source, options, adminToken, random, log = SILENT }: GatewayInit) {
    this.exposeStacks = options.exposeStacks
    this.overloadStatus = options.overloadStatus
    this.log = log
    this.#source = source
    this.#options = options
    this.#adminToken = adminToken
    this.#hosts = new HostRule(options)
    this.#idPrefix = `${randomName(random, 10)}-`
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  /** From now on `/-/readyz` says no and every answer asks its connection to close. */
  drain(): void {
    this.#isDraining = true
  }

  count(status: number): void {
    this.#answersByStatus[status] = (this.#answersByStatus[status] ?? 0) + 1
  }

  /** Answers since the start by status. A client that went away before is counted under what it would have received. */
  answersByStatus(): ReadonlyMap<number, number> {
    const counts = new Map<number, number>()
    for (const [status, answers] of this.#answersByStatus.entries()) if (answers > 0) counts.set(status, answers)
    return counts
  }

  /** Answers one request; never throws. */
  handle(exchange: Exchange): void {
    const answering = this.#start(exchange)
    try {
      this.#route(answering)
    } catch (error) {
      answering.fail(toServeError(error))
    }
  }

  /** Answers with an error what a transport could not make a request of, or refused itself. */
  refuse(exchange: Exchange, error: ServeError): void {
    this.#start(exchange).fail(error)
  }

  /** An error as an answer of this gateway, counted, with a request id of its own; for a transport that has no exchange to answer. */
  problem(error: ServeError): Problem {
    const requestId = this.#nextId()
    const problem = toProblem(error, { requestId, exposeStacks: this.exposeStacks, overloadStatus: this.overloadStatus })
    problem.headers.push('x-serve-request-id', requestId)
    this.count(problem.status)
    return problem
  }

  /** What must not reach a middleware: a malformed head, a foreign host. Undefined when there is nothing against the request. */
  whyRefused(exchange: Exchange): ServeError | undefined {
    try {
      this.#target(exchange, this.#head(exchange))
      return undefined
    } catch (error) {
      return toServeError(error)
    }
  }

  #start(exchange: Exchange): Answering {
    return new Answering(exchange, this.#nextId(), this)
  }

  #nextId(): string {
    this.#requests += 1
    return this.#idPrefix + this.#requests.toString(36)
  }

  #route(answering: Answering): void {
    const { exchange } = answering
    const head = this.#head(exchange)
    const { origin, rest } = this.#target(exchange, head)
    if (!isSafeMethod(exchange.method)) this.#checkOrigin(exchange, origin)
    const query = rest.indexOf('?')
    const path = canonicalPath(query === -1 ? rest : rest.slice(0, query))
    if (path === undefined) throw badRequest('the path is badly encoded, or has dot segments or backslashes')
    if (path.startsWith('/-/')) this.#answerSystem(answering, path)
    else this.#call(answering, { head, origin, rest, path })
  }

  #call(answering: Answering, { head, origin, rest, path }: Located): void {
    const { exchange } = answering
    const { method } = exchange
    const route = this.#source.routes().find(path)
    if (route === undefined) {
      throw new ServeError('ERR_ROUTE_NOT_FOUND', `path ${path} not found; ${origin}/-/routes lists the routes`)
    }
    if (!route.methodSet.has(method)) {
      throw new ServeError('ERR_METHOD_NOT_ALLOWED', `${method} ${route.route}: the endpoint takes ${route.allow}`, {
        details: { allow: route.allow },
      })
    }
    if (head.callMethod !== '' && route.callMethodSet !== undefined && !route.callMethodSet.has(head.callMethod)) {
      const named = [...route.callMethodSet].join(', ')
      throw new ServeError(
        'ERR_METHOD_NOT_FOUND',
        `endpoint ${route.endpoint} has no method ${head.callMethod} for HTTP; there are: ${named}`,
      )
    }
    const meta = encodeHttpHead({
      rendered: true,
      callMethod: head.callMethod,
      httpMethod: method,
      url: origin + rest,
      requestId: answering.requestId,
      rawHeaders: head.rawHeaders,
    })
    const bodyBytes = exchange.bodyBytes ?? head.bodyBytes
    if (bodyBytes === 0) this.#dispatch(answering, route, head, meta, undefined)
    else this.#readBody(answering, { route, head, meta, bodyBytes })
  }

  #readBody(answering: Answering, { route, head, meta, bodyBytes }: AwaitedBody): void {
    const { maxBodyBytes, bufferBodyBytes } = this.#options
    if (bodyBytes > maxBodyBytes) {
      throw new ServeError('ERR_PAYLOAD_TOO_LARGE', `the body has ${bodyBytes} bytes, http.maxBodyBytes is ${maxBodyBytes}`)
    }
    const limits = { knownBytes: bodyBytes, bufferBytes: Math.min(bufferBodyBytes, maxBodyBytes), maxBytes: maxBodyBytes }
    answering.exchange.readBody(limits, (error, body, upload) => {
      if (answering.isGone) return
      if (error !== undefined) return answering.fail(error)
      try {
        this.#dispatch(answering, route, head, meta, body, upload)
      } catch (thrown) {
        answering.fail(toServeError(thrown))
      }
    })
  }

  #dispatch(answering: Answering, route: Route, head: RequestHead, meta: string, body: RawBody, upload?: Upload): void {
    const call = new Call({
      endpoint: route.endpoint,
      method: head.callMethod,
      meta,
      data: upload === undefined ? body : STREAMED,
      upload,
      ownsData: true,
      transfer: typeof body === 'object' && body.byteLength > MOVED_BODY_BYTES ? [body.buffer] : undefined,
      shardKey: head.shardKey,
      timeoutMs: head.timeoutMs,
      sink: answering,
    })
    answering.attach(call)
    this.#source.dispatch(call)
  }

  #answerSystem(answering: Answering, path: string): void {
    answerSystemRequest({ path, answering, source: this.#source, isDraining: this.#isDraining, adminToken: this.#adminToken }).catch(
      (error) => answering.fail(toServeError(error)),
    )
  }

  #head(exchange: Exchange): RequestHead {
    const { rawHeaders } = exchange
    if (rawHeaders.length > 2 * this.#options.maxHeaders) {
      throw new ServeError(
        'ERR_HEADERS_TOO_LARGE',
        `the request has ${rawHeaders.length / 2} headers, http.maxHeaders is ${this.#options.maxHeaders}`,
      )
    }
    return readHead(rawHeaders)
  }

  /** An absolute URL on the request line says where it goes as well; both it and the `Host` header must be served here then. */
  #target(exchange: Exchange, head: RequestHead): Target {
    const { target, scheme, authority } = exchange
    const host = authority ?? head.host
    if (host === undefined) throw badRequest('the request has no Host header')
    if (authority === undefined) this.#checkHost(host)
    if (target.charCodeAt(0) === 0x2f) return { origin: `${scheme}://${host}`, rest: target }
    const parts = /^https?:\/\/([^/?#]*)(.*)$/i.exec(target)
    if (parts === null) throw badRequest(`the request target ${JSON.stringify(target.slice(0, 100))} is neither a path nor an URL`)
    const named = parts[1] as string
    this.#checkHost(named)
    const rest = parts[2] as string
    return { origin: `${scheme}://${named}`, rest: rest.startsWith('/') ? rest : `/${rest}` }
  }

  #checkHost(host: string): void {
    if (this.#hosts.serves(host)) return
    throw new ServeError(
      'ERR_HOST_REFUSED',
      `host ${JSON.stringify(host.slice(0, 100))} is not served here; http.hosts lists further names`,
    )
  }

  #checkOrigin(exchange: Exchange, ownOrigin: string): void {
    const { rawHeaders, allowedOrigin } = exchange
    const why = whyOriginRefused({ rawHeaders, ownOrigin, trustedOrigins: this.#options.trustedOrigins, allowedOrigin })
    if (why === undefined) return
    throw new ServeError(
      'ERR_ORIGIN_REFUSED',
      `${why} may not send ${exchange.method} here; http.trustedOrigins or a CORS middleware allows it`,
    )
  }
}

const badRequest = (message: string): ServeError => new ServeError('ERR_BAD_REQUEST', message)

const toServeError = (error: unknown): ServeError =>
  isServeError(error) ? error : new ServeError('ERR_TASK', `the gateway failed: ${String(error)}`, { cause: error })
