/** What the reference page, the gateway and the retry rules know about a code. */
export interface ErrorEntry {
  /** One sentence: what happened. */
  readonly sentence: string
  /** The status the gateway answers with. */
  readonly httpStatus: number
  /** True when the same call may succeed if it is sent again a little later. */
  readonly retryable: boolean
  /** The JavaScript class whose name an error of this code carries beside its code; plain errors have none. */
  readonly kind?: 'TypeError' | 'RangeError'
}

const entry = (httpStatus: number, retryable: boolean, sentence: string, kind?: 'TypeError' | 'RangeError'): ErrorEntry =>
  Object.freeze(kind === undefined ? { sentence, httpStatus, retryable } : { sentence, httpStatus, retryable, kind })

/** Every code Shoal throws, answers with or puts on the wire. The reference page is generated from this table. */
export const ERROR_TABLE = Object.freeze({
  ERR_INVALID_ARG_TYPE: entry(400, false, 'An argument has the wrong type.', 'TypeError'),
  ERR_INVALID_ARG_VALUE: entry(400, false, 'An argument has a value that cannot be used.', 'RangeError'),
  ERR_INVALID_TRAFFIC: entry(400, false, 'Traffic weights are negative or do not sum to 1.', 'RangeError'),
  ERR_INVALID_CONFIG: entry(400, false, 'A configuration has an unknown key or a value out of range.', 'TypeError'),
  ERR_INVALID_ROUTE: entry(400, false, 'A route does not start with a slash, or is reserved.', 'TypeError'),
  ERR_BACKEND_EXISTS: entry(409, false, 'A backend of this tag exists.'),
  ERR_BACKEND_NOT_FOUND: entry(404, false, 'No backend has this tag.'),
  ERR_BACKEND_IN_USE: entry(409, false, 'An endpoint still names this backend.'),
  ERR_BACKEND_NOT_PORTABLE: entry(400, false, 'The function or class cannot travel as source.'),
  ERR_BACKEND_START_FAILED: entry(500, false, 'A replica of the backend could not be started.'),
  ERR_RECONFIGURE_FAILED: entry(500, false, 'The `reconfigure` method of a backend threw.'),
  ERR_CRASH_LOOP: entry(503, true, 'The replicas of a backend keep dying; it waits before the next start.'),
  ERR_ENDPOINT_EXISTS: entry(409, false, 'An endpoint of this name exists.'),
  ERR_ENDPOINT_NOT_FOUND: entry(404, false, 'No endpoint has this name.'),
  ERR_ROUTE_EXISTS: entry(409, false, 'Another endpoint has this route.'),
  ERR_ROUTE_NOT_FOUND: entry(404, false, 'No endpoint answers this path.'),
  ERR_METHOD_NOT_FOUND: entry(404, false, 'The backend has no method of this name.'),
  ERR_METHOD_NOT_ALLOWED: entry(405, false, 'The endpoint does not take this HTTP method.'),
  ERR_INFEASIBLE: entry(503, false, 'The resources asked for fit no node.'),
  ERR_TASK: entry(500, false, 'The code of a backend threw.'),
  ERR_BATCH_RESULT: entry(500, false, 'A batch handler did not return one result per request.'),
  ERR_BAD_RESPONSE: entry(502, false, 'A backend answered with something that is no valid HTTP response.'),
  ERR_BACK_PRESSURE: entry(503, true, 'The queue of the backend is full, or too long for the deadline.'),
  ERR_TIMEOUT: entry(504, true, 'The deadline of the call passed.'),
  ERR_CANCELLED: entry(499, false, 'The caller cancelled the call.'),
  ERR_REPLICA_DIED: entry(502, true, 'The replica ended while the call was in it.'),
  ERR_NO_REPLICA: entry(503, true, 'No replica of the backend is ready.'),
  ERR_POISON: entry(422, false, 'This request has ended replicas before and is refused.'),
  ERR_OUT_OF_REACH: entry(503, false, 'No replica lies within the reach of the call.'),
  ERR_NOT_SERIALIZABLE: entry(500, false, 'A value cannot travel to another thread or peer.', 'TypeError'),
  ERR_NOT_JSON: entry(400, false, 'A body is no JSON, or a value cannot be carried by JSON.', 'TypeError'),
  ERR_BODY_STREAMED: entry(500, false, 'The body is streamed in; only its asynchronous readers work.'),
  ERR_PAYLOAD_TOO_LARGE: entry(413, false, 'A body or message is larger than its limit.'),
  ERR_BAD_REQUEST: entry(400, false, 'The HTTP request is malformed.'),
  ERR_REQUEST_TIMEOUT: entry(408, true, 'The HTTP request did not arrive in time.'),
  ERR_HOST_REFUSED: entry(421, false, 'The Host of the request is not served here.'),
  ERR_HEADERS_TOO_LARGE: entry(431, false, 'The request has too many or too large headers.'),
  ERR_ORIGIN_REFUSED: entry(403, false, 'A page of another origin may not send this request.'),
  ERR_CLIENT_CLOSED: entry(503, false, 'The client was closed.'),
  ERR_CLIENT_NOT_SERIALIZABLE: entry(500, false, 'A client cannot travel; use connect() or a handle.', 'TypeError'),
  ERR_INSTANCE_EXISTS: entry(409, false, 'A detached instance of this name runs.'),
  ERR_NO_INSTANCE: entry(503, false, 'There is no instance to attach to.'),
  ERR_HTTP_LISTEN: entry(500, false, 'The gateway could not listen on its address.'),
  ERR_STORAGE: entry(500, true, 'The control state could not be read or written.'),
  ERR_NO_CONTROLLER: entry(503, true, 'No controller is connected; calls go on, edits wait.'),
  ERR_PEER_UNREACHABLE: entry(502, true, 'A peer cannot be reached.'),
  ERR_PROTOCOL_VERSION: entry(400, false, 'The peer speaks another version of the protocol.'),
  ERR_TICKET_INVALID: entry(401, false, 'The ticket is not valid here.'),
  ERR_TICKET_EXPIRED: entry(401, false, 'The ticket has expired.'),
  ERR_TICKET_USED: entry(401, false, 'The ticket was used up.'),
  ERR_BUNDLE_MISMATCH: entry(500, false, 'A code bundle does not have the digest it is listed under.'),
  ERR_FORBIDDEN: entry(403, false, 'The caller lacks the right to do this.'),
  ERR_UNSUPPORTED: entry(501, false, 'This is not available here, or not built yet.'),
})

/** A code of {@link ERROR_TABLE}. */
export type ErrorCode = keyof typeof ERROR_TABLE
