import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { FromChild, ToChild } from './child.ts'
import type { Contender, Group, HttpProbe, Metrics, Pace } from './contender.ts'
import { checkAndWarm, type LoadGenerator } from './load-generator.ts'
import { timesOf } from './measure.ts'
import type { Processes } from './processes.ts'

const childFile = fileURLToPath(new URL('./child.ts', import.meta.url))
/** Longest that one contender may take; the slowest needs some ten seconds. */
const CONTENDER_TIMEOUT_MS = 60_000

export interface Entry {
  readonly group: Group
  readonly contender: Contender
}

/** What every entry did in one round; an entry that failed is missing. */
export class Round {
  readonly #metrics = new Map<string, Metrics>()

  set(group: string, contender: string, metrics: Metrics): void {
    this.#metrics.set(`${group}|${contender}`, metrics)
  }

  get(group: string, contender: string): Metrics | undefined {
    return this.#metrics.get(`${group}|${contender}`)
  }
}

export interface RunOptions {
  readonly rounds: number
  readonly pace: Pace
  readonly shoal: string
  readonly load: LoadGenerator
  readonly processes: Processes
  onEntry(entry: Entry, round: number, position: number): void
  onFailure(entry: Entry, round: number, error: unknown): void
}

/** Runs every entry once a round, in random order, each in a fresh process. A contender that fails is reported and the run goes on. */
export async function runRounds(entries: readonly Entry[], options: RunOptions): Promise<Round[]> {
  const rounds: Round[] = []
  for (let number = 1; number <= options.rounds; number++) {
    const round = new Round()
    for (const [position, entry] of shuffle(entries).entries()) {
      options.onEntry(entry, number, position)
      try {
        round.set(entry.group.id, entry.contender.name, await runEntry(entry, options))
      } catch (error) {
        options.onFailure(entry, number, error)
      }
    }
    rounds.push(round)
  }
  return rounds
}

async function runEntry({ group, contender }: Entry, options: RunOptions): Promise<Metrics> {
  const { pace, load, processes } = options
  const args = [group.id, contender.name, JSON.stringify(pace), options.shoal]
  const child = processes.add(fork(childFile, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] }))
  let complaint = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    complaint = (complaint + String(chunk)).slice(-2_000)
  })
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const deadline = setTimeout(() => {
    complaint += `it was ended because it took more than ${CONTENDER_TIMEOUT_MS} ms`
    child.kill('SIGKILL')
  }, CONTENDER_TIMEOUT_MS)
  try {
    const first = await nextMessage(child)
    if (first.kind === 'done') return first.metrics
    if (first.kind !== 'listening' || group.probe === undefined) throw new Error(`unexpected message ${first.kind}`)
    return await loadServer(child, first.url, group.probe, pace, load)
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}${complaint === '' ? '' : `\n${complaint}`}`)
  } finally {
    await Promise.race([exited, new Promise((resolve) => setTimeout(resolve, 2_000).unref())])
    if (child.exitCode === null) child.kill('SIGKILL')
    await exited
    clearTimeout(deadline)
  }
}

async function loadServer(child: ChildProcess, url: string, probe: HttpProbe, pace: Pace, load: LoadGenerator): Promise<Metrics> {
  try {
    const sequential = await checkAndWarm(url, probe, pace.warmMs * 1.5, pace.httpSequentialMs)
    const before = await usage(child)
    const loaded = await load.run(url, probe, 64, pace.httpSeconds)
    const cpuMicros = (await usage(child)) - before
    return { ...timesOf(loaded, sequential), cpuMicrosPerCall: cpuMicros / loaded.requests }
  } finally {
    if (child.connected) child.send({ kind: 'stop' } satisfies ToChild)
  }
}

/** CPU time of all threads of the child so far, in microseconds. */
async function usage(child: ChildProcess): Promise<number> {
  const answer = nextMessage(child)
  child.send({ kind: 'usage' } satisfies ToChild)
  const message = await answer
  if (message.kind !== 'usage') throw new Error(`unexpected message ${message.kind}`)
  return message.cpuMicros
}

/** The child's next message; rejects when that is a failure or when the child ends without one. */
function nextMessage(child: ChildProcess): Promise<FromChild> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void): void => {
      child.off('message', onMessage)
      child.off('exit', onExit)
      action()
    }
    const onMessage = (message: FromChild): void =>
      settle(() => (message.kind === 'failed' ? reject(new Error(message.message)) : resolve(message)))
    const onExit = (code: number | null, signal: string | null): void =>
      settle(() => reject(new Error(`the contender ended with ${signal ?? code} before it was done`)))
    child.on('message', onMessage)
    child.on('exit', onExit)
  })
}

function shuffle<T>(list: readonly T[]): T[] {
  return list
    .map((value) => ({ value, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ value }) => value)
}
