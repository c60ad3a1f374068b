import type { GoalId, MetricName } from './contender.ts'
import type { Round } from './run.ts'
import { divide } from './statistics.ts'

export type Bound = { readonly atLeast: number } | { readonly atMost: number }

/** One figure of a goal. `value` is taken in each round; the median over the rounds is held against the bounds. */
export interface Check {
  readonly goal: GoalId
  readonly label: string
  value(round: Round): number | undefined
  /** What the skeleton has to reach; absent where only the full goal counts. */
  readonly first?: Bound
  readonly full: Bound
}

const atLeast = (bound: number): Bound => ({ atLeast: bound })
const atMost = (bound: number): Bound => ({ atMost: bound })

/** True when the median keeps the bound. */
export function isReached(median: number, bound: Bound): boolean {
  return 'atLeast' in bound ? median >= bound.atLeast : median <= bound.atMost
}

type Value = Check['value']

/** A metric of one contender against the same of another, or against the best of several. */
function ratio(group: string, ours: string, others: readonly string[], metric: MetricName = 'rate'): Value {
  return (round) => {
    const values = others.map((name) => round.get(group, name)?.[metric]).filter((value) => value !== undefined)
    return values.length === 0 ? undefined : divide(round.get(group, ours)?.[metric], Math.max(...values))
  }
}

function figure(group: string, ours: string, metric: MetricName, unit = 1): Value {
  return (round) => divide(round.get(group, ours)?.[metric], unit)
}

const pools = ['piscina tuned', 'piscina', 'poolifier', 'tinypool tuned', 'workerpool']
const poolsOfTwo = ['piscina tuned /2', 'poolifier /2']
const objectPools = ['piscina tuned', 'poolifier', 'tinypool tuned']
const peerStacks = ['fastify -> piscina tuned', 'fastify -> tinypool tuned', 'hono -> comlink']
const postBase = 'node:http -> postMessage(object)'

const noop = 'calls/noop'
const object = 'calls/object'
const buffer = 'calls/buffer'
const get = 'http/get'
const post = 'http/post'
const closed = 'batching/closed'
const open = 'batching/open'
const between = 'mesh'

/** Throughput of the batching model, items a second. */
const modelRate = (size: number): number => (size * 1_000) / (2 + 0.05 * size)
const perModel = (size: number): Value => figure(closed, `shoal max ${size}`, 'rate', modelRate(size))
const perUnbatched = (size: number): Value => ratio(closed, `shoal max ${size}`, ['shoal unbatched'])

/** Every figure that the goals name, in their order. A miss is told by the columns calls/message, batch and CPU of the tables. */
export const checks: readonly Check[] = [
  { goal: 'G1', label: 'rate / raw', value: ratio(noop, 'shoal', ['raw']), first: atLeast(1), full: atLeast(1.6) },
  { goal: 'G1', label: 'rate / best pool', value: ratio(noop, 'shoal', pools), first: atLeast(2), full: atLeast(3.5) },
  { goal: 'G1', label: 'rate / comlink', value: ratio(noop, 'shoal', ['comlink']), full: atLeast(5) },
  { goal: 'G2', label: '2 replicas: rate / raw, 1 worker', value: ratio(noop, 'shoal /2', ['raw']), full: atLeast(1.6) },
  { goal: 'G2', label: '2 replicas: rate / raw, 2 workers', value: ratio(noop, 'shoal /2', ['raw /2']), full: atLeast(2.4) },
  { goal: 'G2', label: '2 replicas: rate / best pool of 2', value: ratio(noop, 'shoal /2', poolsOfTwo), full: atLeast(3.5) },
  { goal: 'G2', label: '2 replicas: rate / own with 1', value: ratio(noop, 'shoal /2', ['shoal']), full: atLeast(0.85) },
  { goal: 'G2', label: '2 replicas: calls per message', value: figure(noop, 'shoal /2', 'callsPerMessage'), full: atLeast(16) },
  {
    goal: 'G3',
    label: 'one by one: p50 / raw',
    value: ratio(noop, 'shoal', ['raw'], 'sequentialP50'),
    first: atMost(1.5),
    full: atMost(1.15),
  },
  { goal: 'G3', label: 'one by one: p99 / raw', value: ratio(noop, 'shoal', ['raw'], 'sequentialP99'), full: atMost(1.5) },
  { goal: 'G3', label: 'one by one: p50 / comlink', value: ratio(noop, 'shoal', ['comlink'], 'sequentialP50'), full: atMost(1) },
  { goal: 'G3', label: 'one by one: p50 / piscina', value: ratio(noop, 'shoal', ['piscina'], 'sequentialP50'), full: atMost(1) },
  { goal: 'G4', label: '1 KB object: rate / raw', value: ratio(object, 'shoal', ['raw']), full: atLeast(0.95) },
  { goal: 'G4', label: '1 KB object: rate / best pool', value: ratio(object, 'shoal', objectPools), full: atLeast(1.15) },
  { goal: 'G4', label: '1 KB object: rate / comlink', value: ratio(object, 'shoal', ['comlink']), full: atLeast(1.3) },
  { goal: 'G5', label: '64 KB moved: rate / raw', value: ratio(buffer, 'shoal', ['raw']), full: atLeast(0.8) },
  { goal: 'G5', label: '1 MB moved: rate / raw', value: ratio(buffer, 'shoal', ['raw'], 'secondRate'), full: atLeast(0.8) },
  { goal: 'G5', label: '64 KB moved: rate / piscina', value: ratio(buffer, 'shoal', ['piscina move']), full: atLeast(2.3) },
  {
    goal: 'G5',
    label: '1 MB moved: rate / piscina',
    value: ratio(buffer, 'shoal', ['piscina move'], 'secondRate'),
    full: atLeast(2.3),
  },
  { goal: 'G5', label: '64 KB moved: rate / piscina tuned', value: ratio(buffer, 'shoal', ['piscina move tuned']), full: atLeast(2.3) },
  {
    goal: 'G5',
    label: '1 MB moved: rate / piscina tuned',
    value: ratio(buffer, 'shoal', ['piscina move tuned'], 'secondRate'),
    full: atLeast(2.3),
  },
  {
    goal: 'G5',
    label: 'time of 1 MB / of 64 KB',
    value: (round) => divide(round.get(buffer, 'shoal')?.rate, round.get(buffer, 'shoal')?.secondRate),
    full: atMost(1.2),
  },
  { goal: 'G6', label: 'rate / node:http', value: ratio(get, 'shoal inline', ['node:http']), full: atLeast(0.9) },
  { goal: 'G6', label: 'rate / fastify', value: ratio(get, 'shoal inline', ['fastify']), full: atLeast(1) },
  { goal: 'G6', label: 'stock cors(): rate / node:http', value: ratio(get, 'shoal inline, cors()', ['node:http']), full: atLeast(0.45) },
  { goal: 'G7', label: 'rate / node:http + postMessage(object)', value: ratio(post, 'shoal -> replica', [postBase]), full: atLeast(1.7) },
  {
    goal: 'G7',
    label: 'rate / best peer stack',
    value: ratio(post, 'shoal -> replica', peerStacks),
    first: atLeast(1.3),
    full: atLeast(2),
  },
  { goal: 'G7', label: 'rate / fastify in-process', value: ratio(post, 'shoal -> replica', ['fastify']), full: atLeast(1.15) },
  { goal: 'G7', label: 'stock cors(): rate / base', value: ratio(post, 'shoal -> replica, cors()', [postBase]), full: atLeast(1) },
  {
    goal: 'G7',
    label: 'CPU / fastify + piscina tuned',
    value: ratio(post, 'shoal -> replica', ['fastify -> piscina tuned'], 'cpuMicrosPerCall'),
    full: atMost(0.6),
  },
  {
    goal: 'G8',
    label: 'rate / fastify + piscina tuned',
    value: ratio(get, 'shoal -> replica', ['fastify -> piscina tuned']),
    first: atLeast(1),
    full: atLeast(1.3),
  },
  { goal: 'G8', label: 'rate / hono + comlink', value: ratio(get, 'shoal -> replica', ['hono -> comlink']), full: atLeast(1.8) },
  { goal: 'G8', label: 'rate / fastify in-process', value: ratio(get, 'shoal -> replica', ['fastify']), full: atLeast(0.65) },
  {
    goal: 'G8',
    label: 'CPU / fastify + piscina tuned',
    value: ratio(get, 'shoal -> replica', ['fastify -> piscina tuned'], 'cpuMicrosPerCall'),
    full: atMost(0.65),
  },
  { goal: 'G9', label: 'max 8: rate / unbatched', value: perUnbatched(8), first: atLeast(6.4), full: atLeast(6.4) },
  { goal: 'G9', label: 'max 32: rate / unbatched', value: perUnbatched(32), first: atLeast(17), full: atLeast(17) },
  { goal: 'G9', label: 'max 64: rate / unbatched', value: perUnbatched(64), first: atLeast(22), full: atLeast(22) },
  { goal: 'G9', label: 'max 8: rate / model', value: perModel(8), first: atLeast(0.94), full: atLeast(0.94) },
  { goal: 'G9', label: 'max 32: rate / model', value: perModel(32), first: atLeast(0.94), full: atLeast(0.94) },
  { goal: 'G9', label: 'max 64: rate / model', value: perModel(64), first: atLeast(0.88), full: atLeast(0.88) },
  { goal: 'G9', label: 'max 8: average batch / 8', value: figure(closed, 'shoal max 8', 'averageBatch', 8), full: atLeast(0.95) },
  { goal: 'G9', label: 'max 32: average batch / 32', value: figure(closed, 'shoal max 32', 'averageBatch', 32), full: atLeast(0.95) },
  {
    goal: 'G10',
    label: 'low load: p50 / piscina unbatched',
    value: ratio(closed, 'shoal max 32', ['piscina unbatched'], 'sequentialP50'),
    first: atMost(1.15),
    full: atMost(1.1),
  },
  {
    goal: 'G10',
    label: 'low load: p50 / own unbatched',
    value: ratio(closed, 'shoal max 32', ['shoal unbatched'], 'sequentialP50'),
    first: atMost(1.15),
    full: atMost(1.1),
  },
  { goal: 'G11', label: 'answered / 4,000 a second', value: figure(open, 'shoal', 'rate', 4_000), full: atLeast(0.97) },
  { goal: 'G11', label: 'p50, ms', value: figure(open, 'shoal', 'loadedP50', 1_000), full: atMost(5.5) },
  { goal: 'G11', label: 'p99, ms', value: figure(open, 'shoal', 'loadedP99', 1_000), full: atMost(14) },
  { goal: 'G12', label: 'mesh: rate / moleculer TCP', value: ratio(between, 'shoal inline', ['moleculer TCP']), full: atLeast(1.15) },
  { goal: 'G12', label: 'mesh: rate / ws + msgpackr', value: ratio(between, 'shoal inline', ['ws + msgpackr']), full: atLeast(0.85) },
  {
    goal: 'G12',
    label: 'mesh: rate / libp2p, one send per frame',
    value: ratio(between, 'shoal inline', ['libp2p, one send per frame']),
    full: atLeast(3.3),
  },
  {
    goal: 'G12',
    label: 'mesh: rate / libp2p, one stream per call',
    value: ratio(between, 'shoal inline', ['libp2p, one stream per call']),
    full: atLeast(25),
  },
  {
    goal: 'G13',
    label: 'mesh, one by one: p50 / moleculer TCP',
    value: ratio(between, 'shoal inline', ['moleculer TCP'], 'sequentialP50'),
    full: atMost(1.4),
  },
  {
    goal: 'G14',
    label: '2 replicas / 1',
    value: (round) => divide(round.get('cpu', 'shoal')?.secondRate, round.get('cpu', 'shoal')?.rate),
    first: atLeast(1.88),
    full: atLeast(1.92),
  },
  {
    goal: 'G14',
    label: '2 replicas / 2 free threads',
    value: ratio('cpu', 'shoal', ['free-running threads'], 'secondRate'),
    full: atLeast(0.96),
  },
]
