/** The benchmark: `npm run bench`. Compares Shoal with hand-written code and with its peers, in ratios inside one interleaved run. */

import { availableParallelism, loadavg } from 'node:os'
import { isShoal } from './contender.ts'
import { faqTable } from './faq.ts'
import { checks } from './goals.ts'
import { groups } from './groups.ts'
import { chooseLoadGenerator } from './load-generator.ts'
import { type BenchOptions, readOptions, resolvePace, USAGE } from './options.ts'
import { installPeers } from './peers.ts'
import { Processes } from './processes.ts'
import { type Entry, type Round, runRounds } from './run.ts'
import { isShoalStale, whichShoal } from './shoal.ts'
import { byGroup, goalSummary, goalTable, groupTable, headlineTable, judge } from './table.ts'
import { calibrateBurn } from './workload.ts'
import { writeBlock } from './write-block.ts'

const readme = new URL('../../README.md', import.meta.url)
const MESH_GOALS: ReadonlySet<string> = new Set(['G12', 'G13', 'SCALE-OUT'])
const page = new URL('../../docs/performance.md', import.meta.url)

async function main(options: BenchOptions): Promise<void> {
  installPeers()
  const processes = new Processes()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      processes.killAll()
      process.exit(signal === 'SIGINT' ? 130 : 143)
    })
  }
  const shoal = whichShoal(options.shoal)
  const entries = chooseEntries(options, shoal !== undefined)
  if (entries.length === 0) throw new TypeError('no contender is left to run')
  const load = chooseLoadGenerator(options.load, processes)
  const loadBefore = loadavg()
  const started = performance.now()
  const total = entries.length * options.rounds
  const roundsText = `${options.rounds} ${options.rounds === 1 ? 'round' : 'rounds'}`
  const sourceText = shoal ?? 'nowhere: not built and no sources, left out'
  say(
    `${entries.length} contenders, ${roundsText}; Shoal from ${sourceText}; HTTP load by ${load.name}; load average ${average(loadBefore)}`,
  )
  if (shoal === 'dist' && isShoalStale()) say('dist is older than the sources: build first, or say --shoal sources')
  const rounds = await runRounds(entries, {
    rounds: options.rounds,
    pace: resolvePace(options.quick, calibrateBurn()),
    shoal: shoal ?? '',
    load,
    processes,
    onEntry: ({ group, contender }, round, position) => {
      progress(`round ${round}/${options.rounds}  ${(round - 1) * entries.length + position + 1}/${total}  ${group.id}  ${contender.name}`)
    },
    onFailure: ({ group, contender }, round, error) => {
      progress('')
      say(`FAILED round ${round}, ${group.id}, ${contender.name}: ${error instanceof Error ? error.message : String(error)}`)
      process.exitCode = 1
    },
  })
  progress('')
  const minutes = ((performance.now() - started) / 60_000).toFixed(1)
  const conditions = [
    `${availableParallelism()} cores, Node ${process.versions.node}, ${process.platform} ${process.arch}`,
    new Date().toISOString().slice(0, 10),
    `load average ${average(loadBefore)} before, ${average(loadavg())} after`,
    `HTTP load by ${load.name}`,
    `Shoal from ${shoal ?? 'nowhere'}`,
    `${roundsText}${options.quick ? ' of --quick: a look, no figure to publish' : ''}, ${minutes} minutes`,
  ].join('; ')
  if (options.json) process.stdout.write(`${toJson(conditions, entries, rounds)}\n`)
  const text = report(conditions, options, entries, rounds)
  if (options.write) {
    // What runs between processes is measured by itself: it keeps the machine busy in another way.
    const isMesh = [...options.goals].every((goal) => MESH_GOALS.has(goal))
    writeBlock(page, isMesh ? 'bench-mesh' : 'bench', text)
    if (!isMesh) writeBlock(readme, 'bench', headlines(options, rounds))
    say(isMesh ? 'the mesh in docs/performance.md written' : 'docs/performance.md and the figures of README.md written')
  }
  if (!options.json) process.stdout.write(`${text}\n`)
}

function chooseEntries(options: BenchOptions, hasShoal: boolean): Entry[] {
  return groups.flatMap((group) =>
    group.contenders
      .filter((contender) => contender.goals.some((goal) => options.goals.has(goal)))
      .filter((contender) => hasShoal || !isShoal(contender))
      .filter((contender) => options.only.length === 0 || options.only.some((part) => contender.name.includes(part)))
      .map((contender) => ({ group, contender })),
  )
}

function report(conditions: string, options: BenchOptions, entries: readonly Entry[], rounds: readonly Round[]): string {
  const verdicts = checks.filter((check) => options.goals.has(check.goal)).map((check) => judge(check, rounds))
  const tables = [...byGroup(entries)].map(([group, names]) => groupTable(group, names, rounds))
  const intro = [
    'Each contender runs in a fresh process, once a round, in random order.',
    'Only ratios count: they are taken inside a round, then the median with (min-max).',
  ].join(' ')
  const parts = [`${conditions}.`, intro, ...tables, faqTable(rounds), goalTable(verdicts), goalSummary(verdicts)]
  return parts.filter((part) => part !== '').join('\n\n')
}

function headlines(options: BenchOptions, rounds: readonly Round[]): string {
  return headlineTable(checks.filter((check) => options.goals.has(check.goal)).map((check) => judge(check, rounds)))
}

function toJson(conditions: string, entries: readonly Entry[], rounds: readonly Round[]): string {
  const contenders = entries.map(({ group, contender }) => ({
    group: group.id,
    contender: contender.name,
    rounds: rounds.map((round) => round.get(group.id, contender.name) ?? null),
  }))
  const goals = checks
    .map((check) => judge(check, rounds))
    .filter(({ seen }) => seen !== undefined)
    .map(({ check, seen, first, full }) => ({ goal: check.goal, figure: check.label, ...seen, first, full }))
  return JSON.stringify({ conditions, contenders, goals }, null, 2)
}

function average(load: readonly number[]): string {
  return (load[0] ?? 0).toFixed(2)
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** One line that is written over on a terminal; nothing elsewhere. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[2K${text}`)
}

try {
  await main(readOptions(process.argv.slice(2)))
} catch (error) {
  const isUsage = error instanceof TypeError
  say(isUsage ? `${error.message}\n${USAGE}` : error instanceof Error ? (error.stack ?? error.message) : String(error))
  process.exitCode = isUsage ? 2 : 1
}
