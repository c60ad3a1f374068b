import { ERROR_KINDS, type ErrorCode, type ErrorKind } from './error-kinds.ts'

/** What the reference page, the gateway and the retry rules know about a code. */
export interface ErrorEntry {
  /** One sentence: what happened. */
  readonly sentence: string
  /** The status the gateway answers with. */
  readonly httpStatus: number
  /** True when the same call may succeed if it is sent again a little later. */
  readonly retryable: boolean
  /** The JavaScript class whose name an error of this code carries beside its code; plain errors have none. */
  readonly kind?: ErrorKind
}

type Row = readonly [httpStatus: number, retryable: boolean, sentence: string]

const ROWS: Readonly<Record<ErrorCode, Row>> = {
  ERR_INVALID_ARG_TYPE: [400, false, 'An argument has the wrong type.'],
  ERR_INVALID_ARG_VALUE: [400, false, 'An argument has a value that cannot be used.'],
  ERR_INVALID_TRAFFIC: [400, false, 'Traffic weights are negative or do not sum to 1.'],
  ERR_INVALID_CONFIG: [400, false, 'A configuration has an unknown key or a value out of range.'],
  ERR_INVALID_ROUTE: [400, false, 'A route does not start with a slash, or is reserved.'],
  ERR_BACKEND_EXISTS: [409, false, 'A backend of this tag exists.'],
  ERR_BACKEND_NOT_FOUND: [404, false, 'No backend has this tag.'],
  ERR_BACKEND_IN_USE: [409, false, 'An endpoint still names this backend.'],
  ERR_BACKEND_NOT_PORTABLE: [400, false, 'The function or class cannot travel as source.'],
  ERR_BACKEND_START_FAILED: [500, false, 'A replica of the backend could not be started.'],
  ERR_RECONFIGURE_FAILED: [500, false, 'The `reconfigure` method of a backend threw.'],
  ERR_CRASH_LOOP: [503, true, 'The replicas of a backend keep dying; it waits before the next start.'],
  ERR_ENDPOINT_EXISTS: [409, false, 'An endpoint of this name exists.'],
  ERR_ENDPOINT_NOT_FOUND: [404, false, 'No endpoint has this name.'],
  ERR_ROUTE_EXISTS: [409, false, 'Another endpoint has this route.'],
  ERR_ROUTE_NOT_FOUND: [404, false, 'No endpoint answers this path.'],
  ERR_METHOD_NOT_FOUND: [404, false, 'The backend has no method of this name.'],
  ERR_METHOD_NOT_ALLOWED: [405, false, 'The endpoint does not take this HTTP method.'],
  ERR_INFEASIBLE: [503, false, 'The resources asked for fit no node.'],
  ERR_TASK: [500, false, 'The code of a backend threw.'],
  ERR_BATCH_RESULT: [500, false, 'A batch handler did not return one result per request.'],
  ERR_BAD_RESPONSE: [502, false, 'A backend answered with something that is no valid HTTP response.'],
  ERR_BACK_PRESSURE: [503, true, 'The queue of the backend is full, or too long for the deadline.'],
  ERR_TIMEOUT: [504, true, 'The deadline of the call passed.'],
  ERR_CANCELLED: [499, false, 'The caller cancelled the call.'],
  ERR_REPLICA_DIED: [502, true, 'The replica ended while the call was in it.'],
  ERR_NO_REPLICA: [503, true, 'No replica of the backend is ready.'],
  ERR_POISON: [422, false, 'This request has ended replicas before and is refused.'],
  ERR_OUT_OF_REACH: [503, false, 'No replica lies within the reach of the call.'],
  ERR_NOT_SERIALIZABLE: [500, false, 'A value cannot travel to another thread or peer.'],
  ERR_NOT_JSON: [400, false, 'A body is no JSON, or a value cannot be carried by JSON.'],
  ERR_BODY_STREAMED: [500, false, 'The body is streamed in; only its asynchronous readers work.'],
  ERR_PAYLOAD_TOO_LARGE: [413, false, 'A body or message is larger than its limit.'],
  ERR_BAD_REQUEST: [400, false, 'The HTTP request is malformed.'],
  ERR_REQUEST_TIMEOUT: [408, true, 'The HTTP request did not arrive in time.'],
  ERR_HOST_REFUSED: [421, false, 'The Host of the request is not served here.'],
  ERR_HEADERS_TOO_LARGE: [431, false, 'The request has too many or too large headers.'],
  ERR_ORIGIN_REFUSED: [403, false, 'A page of another origin may not send this request.'],
  ERR_CLIENT_CLOSED: [503, false, 'The client was closed.'],
  ERR_CLIENT_NOT_SERIALIZABLE: [500, false, 'A client cannot travel; use connect() or a handle.'],
  ERR_INSTANCE_EXISTS: [409, false, 'A detached instance of this name runs.'],
  ERR_NO_INSTANCE: [503, false, 'There is no instance to attach to.'],
  ERR_HTTP_LISTEN: [500, false, 'The gateway could not listen on its address.'],
  ERR_STORAGE: [500, true, 'The control state could not be read or written.'],
  ERR_NO_CONTROLLER: [503, true, 'No controller is connected; calls go on, edits wait.'],
  ERR_PEER_UNREACHABLE: [502, true, 'A peer cannot be reached.'],
  ERR_PROTOCOL_VERSION: [400, false, 'The peer speaks another version of the protocol.'],
  ERR_TICKET_INVALID: [401, false, 'The ticket is not valid here.'],
  ERR_TICKET_EXPIRED: [401, false, 'The ticket has expired.'],
  ERR_TICKET_USED: [401, false, 'The ticket was used up.'],
  ERR_BUNDLE_MISMATCH: [500, false, 'A code bundle does not have the digest it is listed under.'],
  ERR_FORBIDDEN: [403, false, 'The caller lacks the right to do this.'],
  ERR_UNSUPPORTED: [501, false, 'This is not available here, or not built yet.'],
}

/** Every code Shoal throws, answers with or puts on the wire. The reference page is generated from this table. */
export const ERROR_TABLE: Readonly<Record<ErrorCode, ErrorEntry>> = /* @__PURE__ */ makeTable()

function makeTable(): Readonly<Record<ErrorCode, ErrorEntry>> {
  const table: Partial<Record<ErrorCode, ErrorEntry>> = {}
  for (const code of Object.keys(ERROR_KINDS) as ErrorCode[]) {
    const [httpStatus, retryable, sentence] = ROWS[code]
    const kind = ERROR_KINDS[code]
    const entry = { sentence, httpStatus, retryable }
    table[code] = Object.freeze(kind === 'Error' ? entry : { ...entry, kind })
  }
  return Object.freeze(table) as Readonly<Record<ErrorCode, ErrorEntry>>
}
