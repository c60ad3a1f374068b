import type { BackendStatus } from '../controller/index.ts'
import type { GateCounts, MeshCounts } from '../mesh/index.ts'
import type { BackendQueue, EndpointCounters } from '../router/index.ts'
import { cumulativeCounts } from '../service/index.ts'

/** Bounds of the latency histogram in milliseconds. */
const BOUNDS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000]

/** Every metric there is: name, kind, what it counts. The reference page is made of this table. */
export const METRICS = Object.freeze({
  shoal_backend_calls_received_total: ['counter', 'Calls that reached the queue of a backend: admitted and rejected ones.'],
  shoal_backend_calls_admitted_total: ['counter', 'Calls that found a slot or a place in the queue.'],
  shoal_backend_calls_rejected_total: ['counter', 'Calls refused with ERR_BACK_PRESSURE.'],
  shoal_backend_calls_succeeded_total: ['counter', 'Admitted calls that were answered; streams count when they have ended.'],
  shoal_backend_calls_failed_total: ['counter', 'Admitted calls that ended in an error, deadlines included.'],
  shoal_backend_calls_cancelled_total: ['counter', 'Admitted calls that their callers let go of.'],
  shoal_backend_calls_retried_total: ['counter', 'Times a call was given to another replica after the first one died.'],
  shoal_backend_calls_queued: ['gauge', 'Calls that wait for a slot at this moment.'],
  shoal_backend_calls_ongoing: ['gauge', 'Calls that hold a slot at this moment.'],
  shoal_backend_replicas_wanted: ['gauge', 'Replicas that should be there.'],
  shoal_backend_replicas_ready: ['gauge', 'Replicas that take calls.'],
  shoal_backend_call_duration_ms: ['histogram', 'From admission to the end of a call, in milliseconds.'],
  shoal_endpoint_requests_total: ['counter', 'Requests of an endpoint, by HTTP and by handle.'],
  shoal_endpoint_requests_yielded_total: ['counter', 'Requests that went to another backend because the one drawn had no replica ready.'],
  shoal_endpoint_shadows_sent_total: ['counter', 'Copies of requests sent to shadows.'],
  shoal_endpoint_shadows_dropped_total: ['counter', 'Copies dropped because the shadow had no room.'],
  shoal_endpoint_shadows_failed_total: ['counter', 'Copies that ended in an error.'],
  shoal_http_answers_total: ['counter', 'Answers of the gateway by status.'],
  shoal_mesh_peers: ['gauge', 'Other nodes that this one is connected to.'],
  shoal_mesh_peers_turned_away_total: ['counter', 'Peers turned away because there were mesh.maxPeers already.'],
  shoal_mesh_links_idle_total: [
    'counter',
    'Connections to other peers that were closed because they carried nothing for long, or made room for one that was wanted.',
  ],
  shoal_mesh_relayed_open: ['gauge', 'Connections between other peers that this node passes on at this moment.'],
  shoal_mesh_relayed_held_bytes: ['gauge', 'Bytes of them that were taken from one side and wait for the other.'],
  shoal_mesh_relayed_bytes_total: ['counter', 'Bytes passed on between other peers.'],
  shoal_mesh_relayed_refused_total: ['counter', 'Connections that this node would not pass on: too many, or no way there.'],
  shoal_mesh_admissions_refused_total: ['counter', 'Connections that were not let in, by the code that they were told.'],
  shoal_mesh_admissions_waiting: ['gauge', 'Connections that are not let in yet at this moment.'],
  shoal_mesh_admissions_displaced_total: ['counter', 'Connections that said nothing and were ended to make room for others.'],
  shoal_mesh_bans_total: ['counter', 'Times a peer or an address was shut out for a while.'],
  shoal_mesh_requests_forbidden_total: ['counter', 'Requests and calls of peers that their tickets do not allow.'],
} as const satisfies Record<string, readonly [kind: 'counter' | 'gauge' | 'histogram', help: string]>)

type MetricName = keyof typeof METRICS

/** What is read when somebody asks; nothing is computed per call. */
export interface MetricSource {
  readonly queues: ReadonlyMap<string, BackendQueue>
  readonly backends: Readonly<Record<string, BackendStatus>>
  readonly endpoints: Readonly<Record<string, EndpointCounters>>
  readonly answersByStatus: ReadonlyMap<number, number>
  /** Of a node in a mesh. */
  readonly mesh?: MeshCounts | undefined
  /** Of an instance that takes connections of peers. */
  readonly gate?: GateCounts | undefined
}

/** All metrics in the text format of Prometheus, version 0.0.4. */
export function prometheusText(source: MetricSource): string {
  const samples = new Map<MetricName, string[]>()
  const add = (name: MetricName, labels: Record<string, string | number>, value: number, suffix = ''): void => {
    const text = `${name}${suffix}{${labelText(labels)}} ${value}`
    const lines = samples.get(name)
    if (lines === undefined) samples.set(name, [text])
    else lines.push(text)
  }
  for (const [backend, queue] of source.queues) addBackend(backend, queue, source.backends[backend], add)
  for (const [endpoint, counters] of Object.entries(source.endpoints)) {
    add('shoal_endpoint_requests_total', { endpoint }, counters.received)
    add('shoal_endpoint_requests_yielded_total', { endpoint }, counters.yielded)
    add('shoal_endpoint_shadows_sent_total', { endpoint }, counters.shadowed)
    add('shoal_endpoint_shadows_dropped_total', { endpoint }, counters.shadowsDropped)
    add('shoal_endpoint_shadows_failed_total', { endpoint }, counters.shadowsFailed)
  }
  for (const [status, answers] of source.answersByStatus) add('shoal_http_answers_total', { status }, answers)
  if (source.mesh !== undefined) addMesh(source.mesh, add)
  if (source.gate !== undefined) addGate(source.gate, add)
  return [...samples]
    .map(([name, lines]) => `# HELP ${name} ${METRICS[name][1]}\n# TYPE ${name} ${METRICS[name][0]}\n${lines.join('\n')}\n`)
    .join('')
}

type Add = (name: MetricName, labels: Record<string, string | number>, value: number, suffix?: string) => void

function addBackend(backend: string, queue: BackendQueue, status: BackendStatus | undefined, add: Add): void {
  const { received, admitted, rejected, succeeded, failed, cancelled, retried } = queue.counters
  add('shoal_backend_calls_received_total', { backend }, received)
  add('shoal_backend_calls_admitted_total', { backend }, admitted)
  add('shoal_backend_calls_rejected_total', { backend }, rejected)
  add('shoal_backend_calls_succeeded_total', { backend }, succeeded)
  add('shoal_backend_calls_failed_total', { backend }, failed)
  add('shoal_backend_calls_cancelled_total', { backend }, cancelled)
  add('shoal_backend_calls_retried_total', { backend }, retried)
  add('shoal_backend_calls_queued', { backend }, queue.queued)
  add('shoal_backend_calls_ongoing', { backend }, queue.ongoing)
  add('shoal_backend_replicas_wanted', { backend }, status?.wanted ?? 0)
  add('shoal_backend_replicas_ready', { backend }, queue.ready)
  const counts = cumulativeCounts(queue.latency.snapshot(), BOUNDS_MS)
  BOUNDS_MS.forEach((bound, index) => add('shoal_backend_call_duration_ms', { backend, le: bound }, counts[index] ?? 0, '_bucket'))
  add('shoal_backend_call_duration_ms', { backend, le: '+Inf' }, queue.latency.count, '_bucket')
  add('shoal_backend_call_duration_ms', { backend }, queue.latency.sumMs, '_sum')
  add('shoal_backend_call_duration_ms', { backend }, queue.latency.count, '_count')
}

function addMesh({ peers, turnedAway, closedIdle, relayed: { open, heldBytes, passedBytes, refused } }: MeshCounts, add: Add): void {
  add('shoal_mesh_peers', {}, peers)
  add('shoal_mesh_peers_turned_away_total', {}, turnedAway)
  add('shoal_mesh_links_idle_total', {}, closedIdle)
  add('shoal_mesh_relayed_open', {}, open)
  add('shoal_mesh_relayed_held_bytes', {}, heldBytes)
  add('shoal_mesh_relayed_bytes_total', {}, passedBytes)
  add('shoal_mesh_relayed_refused_total', {}, refused)
}

function addGate({ waiting, displaced, refused, bans, forbidden }: GateCounts, add: Add): void {
  for (const [code, count] of refused) add('shoal_mesh_admissions_refused_total', { code }, count)
  add('shoal_mesh_admissions_waiting', {}, waiting)
  add('shoal_mesh_admissions_displaced_total', {}, displaced)
  add('shoal_mesh_bans_total', {}, bans)
  add('shoal_mesh_requests_forbidden_total', {}, forbidden)
}

function labelText(labels: Record<string, string | number>): string {
  return Object.entries(labels)
    .map(
      ([name, value]) => `${name}="${String(value).replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`))}"`,
    )
    .join(',')
}
