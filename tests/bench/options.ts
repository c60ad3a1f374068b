import { parseArgs } from 'node:util'
import { GOAL_IDS, type GoalId, type Pace } from './contender.ts'

export interface BenchOptions {
  readonly goals: ReadonlySet<GoalId>
  readonly rounds: number
  readonly quick: boolean
  readonly json: boolean
  readonly write: boolean
  /** Parts of names; a contender runs when its name holds one of them. Empty: all run. */
  readonly only: readonly string[]
  readonly shoal: 'dist' | 'sources' | undefined
  readonly load: 'wrk' | 'autocannon' | undefined
}

export const USAGE = `usage: node tests/bench/main.ts [G1 G3 ...] [options]
  --rounds N       rounds, each with every contender once in random order (default 5; 1 with --quick)
  --quick          short phases, one round: a look, no figure to publish
  --only a,b       only contenders whose name contains one of these
  --shoal FROM     dist or sources (default: dist when it was built, else sources)
  --load TOOL      wrk or autocannon (default: wrk when it is on the PATH)
  --json           everything measured, as JSON on stdout
  --write          put the tables into docs/performance.md as well
goals: ${GOAL_IDS.join(' ')}`

/** @throws TypeError with the usage when an argument is unknown or out of range. */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      only: { type: 'string' },
      shoal: { type: 'string' },
      load: { type: 'string' },
    },
  })
  const goals = new Set<GoalId>()
  for (const name of positionals) {
    const goal = GOAL_IDS.find((id) => id === name.toUpperCase())
    if (goal === undefined) throw new TypeError(`unknown goal ${name}`)
    goals.add(goal)
  }
  const rounds = values.rounds === undefined ? (values.quick ? 1 : 5) : Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) throw new TypeError(`--rounds ${values.rounds} is not a whole number of 1 or more`)
  const { shoal, load } = values
  if (shoal !== undefined && shoal !== 'dist' && shoal !== 'sources') throw new TypeError(`--shoal ${shoal} is neither dist nor sources`)
  if (load !== undefined && load !== 'wrk' && load !== 'autocannon') throw new TypeError(`--load ${load} is neither wrk nor autocannon`)
  return {
    goals: goals.size === 0 ? new Set(GOAL_IDS) : goals,
    rounds,
    quick: values.quick,
    json: values.json,
    write: values.write,
    only: values.only === undefined ? [] : values.only.split(',').filter((part) => part !== ''),
    shoal,
    load,
  }
}

/** The default pace keeps five rounds of everything under twelve minutes, the quick one a single round under two. */
export function resolvePace(quick: boolean, burnTurns: number): Pace {
  return quick
    ? { warmMs: 150, sequentialMs: 200, loadedMs: 300, openLoopMs: 500, httpSeconds: 1, httpSequentialMs: 100, burnTurns }
    : { warmMs: 300, sequentialMs: 400, loadedMs: 700, openLoopMs: 1_500, httpSeconds: 2, httpSequentialMs: 300, burnTurns }
}
