import type { Group, MetricName } from './contender.ts'
import { type Bound, type Check, isReached } from './goals.ts'
import type { Entry, Round } from './run.ts'
import { divide, type Spread, spread } from './statistics.ts'

/** The columns after name and n; a column that no contender of the group can fill is left out. */
interface Column {
  readonly title: string
  cell(name: string): string
}

/** One group as a Markdown table, best rate first. Ratios are taken inside a round; medians with (min-max) over the rounds. */
export function groupTable(group: Group, names: readonly string[], rounds: readonly Round[]): string {
  const values = (name: string, metric: MetricName): (number | undefined)[] => rounds.map((round) => round.get(group.id, name)?.[metric])
  const times = (name: string, metric: MetricName): (number | undefined)[] =>
    rounds.map((round) => divide(round.get(group.id, name)?.[metric], round.get(group.id, group.base)?.[metric]))
  const figureColumn = (title: string, metric: MetricName, digits: number, unit = 1): Column => ({
    title,
    cell: (name) => short(spread(values(name, metric)), digits, unit),
  })
  const rangeColumn = (title: string, pick: (name: string) => (number | undefined)[], digits: number): Column => ({
    title,
    cell: (name) => long(spread(pick(name)), digits),
  })
  const second = group.secondRateTitle
  const columns: readonly Column[] = [
    rangeColumn(group.rateTitle, (name) => values(name, 'rate'), 0),
    rangeColumn('x base', (name) => times(name, 'rate'), 2),
    ...(second === undefined
      ? []
      : [
          rangeColumn(second, (name) => values(name, 'secondRate'), 0),
          rangeColumn('x base', (name) => times(name, 'secondRate'), 2),
          rangeColumn('second / first', (name) => rounds.map((round) => secondOverFirst(round, group.id, name)), 2),
        ]),
    figureColumn('loaded p50 us', 'loadedP50', 0),
    figureColumn('loaded p99 us', 'loadedP99', 0),
    figureColumn('seq p50 us', 'sequentialP50', 1),
    figureColumn('seq p99 us', 'sequentialP99', 0),
    rangeColumn('seq p50 x base', (name) => times(name, 'sequentialP50'), 2),
    figureColumn('CPU us/call', 'cpuMicrosPerCall', 2),
    figureColumn('calls/message', 'callsPerMessage', 1),
    figureColumn('average batch', 'averageBatch', 1),
    figureColumn('dropped', 'dropped', 0),
    rangeColumn('efficiency', (name) => values(name, 'efficiency'), 2),
    rangeColumn('joined after ms', (name) => values(name, 'joinedMs'), 0),
    rangeColumn('first answer after ms', (name) => values(name, 'servedMs'), 0),
  ]
  const measured = names
    .filter((name) => rounds.some((round) => round.get(group.id, name) !== undefined))
    .sort((a, b) => (spread(values(b, 'rate'))?.median ?? 0) - (spread(values(a, 'rate'))?.median ?? 0))
  const filled = columns.filter((column) => measured.some((name) => column.cell(name) !== ''))
  const rows = measured.map((name) => [
    name === group.base ? `${name} (base)` : name,
    String(spread(values(name, 'rate'))?.count ?? 0),
    ...filled.map((column) => column.cell(name)),
  ])
  return `### ${group.title}\n\n${markdown(['contender', 'n', ...filled.map((column) => column.title)], rows)}`
}

function secondOverFirst(round: Round, group: string, name: string): number | undefined {
  return divide(round.get(group, name)?.secondRate, round.get(group, name)?.rate)
}

export interface Verdict {
  readonly check: Check
  readonly seen: Spread | undefined
  readonly first: 'reached' | 'not reached' | 'not measured' | undefined
  readonly full: 'reached' | 'not reached' | 'not measured'
}

export function judge(check: Check, rounds: readonly Round[]): Verdict {
  const seen = spread(rounds.map((round) => check.value(round)))
  const hold = (bound: Bound): Verdict['full'] =>
    seen === undefined ? 'not measured' : isReached(seen.median, bound) ? 'reached' : 'not reached'
  return { check, seen, first: check.first === undefined ? undefined : hold(check.first), full: hold(check.full) }
}

/** The goals, each figure against its first and its full bound. */
export function goalTable(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ check, seen, first, full }) => [
    check.goal,
    check.label,
    long(seen, 2),
    check.first === undefined || first === undefined ? '' : `${boundText(check.first)}: ${first}`,
    `${boundText(check.full)}: ${full}`,
  ])
  return `### Goals\n\n${markdown(['goal', 'figure', 'median (min-max)', 'first goal', 'full goal'], rows)}`
}

/** The few figures that the README shows, in plain words. */
const HEADLINES: readonly (readonly [goal: string, label: string, words: string])[] = [
  ['G1', 'rate / raw', 'calls/s by handle to one replica, against hand-written postMessage'],
  ['G1', 'rate / best pool', 'the same, against the best worker pool'],
  ['G1', 'rate / comlink', 'the same, against bare comlink'],
  ['G3', 'one by one: p50 / raw', 'latency of a lone call, against hand-written postMessage (less is better)'],
  ['G7', 'rate / best peer stack', 'POST of 1 KB JSON to a replica, against the best stack of a web server and a pool'],
  ['G8', 'rate / fastify + piscina tuned', 'GET to a replica, against fastify and piscina'],
  ['G9', 'max 32: rate / unbatched', 'dynamic batches of up to 32, against the same system unbatched'],
  ['G10', 'low load: p50 / own unbatched', 'latency that batching adds at low load (1 is none)'],
  ['G14', '2 replicas / 1', 'work for the processor, 2 replicas against 1'],
]

/** {@link HEADLINES} as a table; what was not measured is left out. */
export function headlineTable(verdicts: readonly Verdict[]): string {
  const rows = HEADLINES.flatMap(([goal, label, words]) => {
    const found = verdicts.find(({ check }) => check.goal === goal && check.label === label)
    return found?.seen === undefined ? [] : [[words, long(found.seen, 2)]]
  })
  return markdown(['what', 'ratio: median (min-max)'], rows)
}

/** One line each for the first and the full goals: a goal is reached when all its figures are. */
export function goalSummary(verdicts: readonly Verdict[]): string {
  const line = (title: string, pick: (verdict: Verdict) => Verdict['first']): string => {
    const ids = [...new Set(verdicts.filter((verdict) => pick(verdict) !== undefined).map((verdict) => verdict.check.goal))]
    const statesOf = (id: string) => verdicts.filter((verdict) => verdict.check.goal === id).map(pick)
    const reached = ids.filter((id) => statesOf(id).every((state) => state === undefined || state === 'reached'))
    const missed = ids.filter((id) => statesOf(id).includes('not reached'))
    const unknown = ids.filter((id) => !reached.includes(id) && !missed.includes(id))
    const list = (names: readonly string[]): string => (names.length === 0 ? 'none' : names.join(' '))
    return `${title}: reached ${list(reached)}; not reached ${list(missed)}; not measured ${list(unknown)}`
  }
  return `${line('First goals', (verdict) => verdict.first)}\n\n${line('Full goals', (verdict) => verdict.full)}`
}

/** The contenders of the entries, group by group. */
export function byGroup(entries: readonly Entry[]): Map<Group, string[]> {
  const groups = new Map<Group, string[]>()
  for (const { group, contender } of entries) groups.set(group, [...(groups.get(group) ?? []), contender.name])
  return groups
}

function boundText(bound: Bound): string {
  return 'atLeast' in bound ? `>= ${bound.atLeast}` : `<= ${bound.atMost}`
}

function short(seen: Spread | undefined, digits: number, unit = 1): string {
  return seen === undefined ? '' : number(seen.median / unit, digits)
}

function long(seen: Spread | undefined, digits: number): string {
  if (seen === undefined) return ''
  const median = number(seen.median, digits)
  return seen.count === 1 ? median : `${median} (${number(seen.min, digits)}-${number(seen.max, digits)})`
}

function number(value: number, digits: number): string {
  return value.toLocaleString('en-GB', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

/** Columns padded to one width, so that the table reads on a terminal as well. */
export function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, 3, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]): string => `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)].join('\n')
}
