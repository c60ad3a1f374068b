import { ERROR_FACTS, type ErrorCode, type ErrorFacts, type ErrorKind } from './error-facts.ts'

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

const SENTENCES: Readonly<Record<ErrorCode, string>> = {
  ERR_INVALID_ARG_TYPE: 'An argument has the wrong type.',
  ERR_INVALID_ARG_VALUE: 'An argument has a value that cannot be used.',
  ERR_INVALID_TRAFFIC: 'Traffic weights are negative or do not sum to 1.',
  ERR_INVALID_CONFIG: 'A configuration has an unknown key or a value out of range.',
  ERR_INVALID_ROUTE: 'A route does not start with a slash, or is reserved.',
  ERR_BACKEND_EXISTS: 'A backend of this tag exists.',
  ERR_BACKEND_NOT_FOUND: 'No backend has this tag.',
  ERR_BACKEND_IN_USE: 'An endpoint still names this backend.',
  ERR_BACKEND_NOT_PORTABLE: 'The function or class cannot travel as source.',
  ERR_BACKEND_START_FAILED: 'A replica of the backend could not be started.',
  ERR_RECONFIGURE_FAILED: 'The `reconfigure` method of a backend threw.',
  ERR_CRASH_LOOP: 'The replicas of a backend keep dying; it waits before the next start.',
  ERR_ENDPOINT_EXISTS: 'An endpoint of this name exists.',
  ERR_ENDPOINT_NOT_FOUND: 'No endpoint has this name.',
  ERR_ROUTE_EXISTS: 'Another endpoint has this route.',
  ERR_ROUTE_NOT_FOUND: 'No endpoint answers this path.',
  ERR_METHOD_NOT_FOUND: 'The backend has no method of this name.',
  ERR_METHOD_NOT_ALLOWED: 'The endpoint does not take this HTTP method.',
  ERR_INFEASIBLE: 'The resources asked for fit no node.',
  ERR_TASK: 'The code of a backend threw.',
  ERR_BATCH_RESULT: 'A batch handler did not return one result per request.',
  ERR_BAD_RESPONSE: 'A backend answered with something that is no valid HTTP response.',
  ERR_BACK_PRESSURE: 'The queue of the backend is full, or too long for the deadline.',
  ERR_TIMEOUT: 'The deadline of the call passed.',
  ERR_CANCELLED: 'The caller cancelled the call.',
  ERR_REPLICA_DIED: 'The replica ended while the call was in it.',
  ERR_NO_REPLICA: 'No replica of the backend is ready.',
  ERR_POISON: 'This request has ended replicas before and is refused.',
  ERR_OUT_OF_REACH: 'No replica lies within the reach of the call.',
  ERR_NOT_SERIALIZABLE: 'A value cannot travel to another thread or peer.',
  ERR_NOT_JSON: 'A body is no JSON, or a value cannot be carried by JSON.',
  ERR_BODY_STREAMED: 'The body is streamed in; only its asynchronous readers work.',
  ERR_PAYLOAD_TOO_LARGE: 'A body or message is larger than its limit.',
  ERR_BAD_REQUEST: 'The HTTP request is malformed.',
  ERR_REQUEST_TIMEOUT: 'The HTTP request did not arrive in time.',
  ERR_HOST_REFUSED: 'The Host of the request is not served here.',
  ERR_HEADERS_TOO_LARGE: 'The request has too many or too large headers.',
  ERR_ORIGIN_REFUSED: 'A page of another origin may not send this request.',
  ERR_CLIENT_CLOSED: 'The client was closed.',
  ERR_CLIENT_NOT_SERIALIZABLE: 'A client cannot travel; use connect() or a handle.',
  ERR_INSTANCE_EXISTS: 'A detached instance of this name runs.',
  ERR_NO_INSTANCE: 'There is no instance to attach to.',
  ERR_HTTP_LISTEN: 'The gateway could not listen on its address.',
  ERR_STORAGE: 'The control state could not be read or written.',
  ERR_NO_CONTROLLER: 'No controller is connected; calls go on, edits wait.',
  ERR_PEER_UNREACHABLE: 'A peer cannot be reached.',
  ERR_PROTOCOL_VERSION: 'The peer speaks another version of the protocol.',
  ERR_TICKET_INVALID: 'The ticket is not valid here.',
  ERR_TICKET_EXPIRED: 'The ticket has expired.',
  ERR_TICKET_USED: 'The ticket was used up.',
  ERR_BUNDLE_MISMATCH: 'A code bundle does not have the digest it is listed under.',
  ERR_FORBIDDEN: 'The caller lacks the right to do this.',
  ERR_UNSUPPORTED: 'This is not available here, or not built yet.',
}

/** Every code Shoal throws, answers with or puts on the wire. The reference page is generated from this table. */
export const ERROR_TABLE: Readonly<Record<ErrorCode, ErrorEntry>> = /* @__PURE__ */ makeTable()

function makeTable(): Readonly<Record<ErrorCode, ErrorEntry>> {
  const table: Partial<Record<ErrorCode, ErrorEntry>> = {}
  for (const code of Object.keys(ERROR_FACTS) as ErrorCode[]) {
    const [httpStatus, retryable, kind]: ErrorFacts = ERROR_FACTS[code]
    const entry = { sentence: SENTENCES[code], httpStatus, retryable }
    table[code] = Object.freeze(kind === undefined ? entry : { ...entry, kind })
  }
  return Object.freeze(table) as Readonly<Record<ErrorCode, ErrorEntry>>
}
