import { ServeError } from '../base/index.ts'
import type { EndpointEntry } from '../model/index.ts'
import type { CallPort } from '../replica/index.ts'
import { SLOTS_PER_CALL } from '../request/index.ts'
import type { CallTarget, Router } from '../router/index.ts'
import type { Call } from '../service/index.ts'

type LimitedCall = Pick<Call, 'endpoint' | 'method'>

/**
 * Calls of a node whose ticket names endpoints. What it may not do is refused here, as the other side would: there it counts against the node. What it
 * does not know of is missing, as ever.
 */
export function limitedTarget(router: Router, peerId: string, endpoints: readonly string[]): CallTarget {
  return {
    dispatch(call) {
      const entry = router.table.endpoints.get(call.endpoint)
      const refusal = entry === undefined ? undefined : (notGranted(call, peerId, endpoints) ?? notCallable(call, entry))
      if (refusal === undefined) router.dispatch(call)
      else call.sink.fail(refusal)
    },
  }
}

/** Sends each call with the name of its endpoint, by which the other side judges it. */
export function withNames(port: CallPort, endpointOf: (id: number) => string | undefined): CallPort {
  return {
    post(message, transfer) {
      // Signals are for calls that were named.
      if ((message[0] as number) < 0) return port.post(message)
      const named: unknown[] = []
      for (let i = 0; i < message.length; i += SLOTS_PER_CALL) {
        named.push(...message.slice(i, i + SLOTS_PER_CALL), endpointOf(message[i] as number))
      }
      port.post(named, transfer)
    },
    listen: (listener) => port.listen(listener),
    close: () => port.close(),
  }
}

/** The refusal of a call to an endpoint that the ticket does not name; no table explains such a call. */
export function notGranted({ endpoint }: LimitedCall, peerId: string, endpoints: readonly string[]): ServeError | undefined {
  if (endpoints.includes(endpoint)) return undefined
  return forbidden(`the ticket of peer ${peerId} is for the endpoints ${listed(endpoints)}, not for endpoint ${endpoint}`)
}

/** The refusal of a call that the endpoint, as a table has it, does not lead to the backend, or not by this method. */
export function notLed(call: LimitedCall, backend: string, entry: EndpointEntry | undefined): ServeError | undefined {
  if (entry !== undefined && leadsTo(entry, backend)) return notCallable(call, entry)
  return forbidden(`endpoint ${call.endpoint} does not lead to backend ${backend}`)
}

function notCallable({ endpoint, method }: LimitedCall, { callMethods }: EndpointEntry): ServeError | undefined {
  if (callMethods === undefined || method === '' || callMethods.includes(method)) return undefined
  return forbidden(`endpoint ${endpoint}: method ${String(method)} is not among its callMethods (${listed(callMethods)})`)
}

/** Whether calls or copies of them go there; a backend of weight 0 gets none. */
function leadsTo({ policy: { entries, shadows } }: EndpointEntry, backend: string): boolean {
  return entries.some((entry) => entry.backend === backend && entry.weight > 0) || shadows.some((shadow) => shadow.backend === backend)
}

const listed = (names: readonly string[]): string => names.join(', ') || 'none'

const forbidden = (why: string): ServeError => new ServeError('ERR_FORBIDDEN', why, { outcome: 'not-started' })
