/** The scenarios, numbered as the goals they measure. */
export const GOAL_IDS = ['G1', 'G2', 'G3', 'G4', 'G5', 'G6', 'G7', 'G8', 'G9', 'G10', 'G11', 'G12', 'G13', 'G14', 'SCALE-OUT'] as const
export type GoalId = (typeof GOAL_IDS)[number]

/** How long each phase of a measurement lasts. Fixed for a whole run, so contenders are measured alike. */
export interface Pace {
  readonly warmMs: number
  readonly sequentialMs: number
  readonly loadedMs: number
  readonly openLoopMs: number
  /** Whole seconds of HTTP load at 64 connections, as wrk counts them. */
  readonly httpSeconds: number
  /** HTTP requests one by one, from the benchmark's own process over one connection. */
  readonly httpSequentialMs: number
  /** Turns of `burn` that take 5 ms on one idle core here. */
  readonly burnTurns: number
}

/** What one contender did in one round. Rates are per second, latencies in microseconds. A figure it cannot tell is left out. */
export interface Metrics {
  readonly rate?: number
  readonly loadedP50?: number
  readonly loadedP99?: number
  readonly sequentialP50?: number
  readonly sequentialP99?: number
  readonly cpuMicrosPerCall?: number
  readonly callsPerMessage?: number
  readonly averageBatch?: number
  readonly dropped?: number
  /** Rate of the second, larger setting: 1 MB after 64 KB, two replicas after one. */
  readonly secondRate?: number
  /** Gain over one process, as a share of what the cores allow. */
  readonly efficiency?: number
  /** From the call of `join` until it resolved and until a replica of the joiner answered, in milliseconds. */
  readonly joinedMs?: number
  readonly servedMs?: number
}
export type MetricName = keyof Metrics

/** A running contender: one call in, its answer out. */
export interface Running<In = unknown, Out = unknown> {
  call(input: In): Promise<Out>
  stop(): Promise<unknown> | unknown
}

export interface LocalContender {
  readonly kind: 'local'
  readonly name: string
  /** The goals that need it; it runs when one of them is asked for. */
  readonly goals: readonly GoalId[]
  /** Starts it, checks its answers, measures, stops it. Called once, in a process of its own. */
  measure(pace: Pace): Promise<Metrics>
}

export interface HttpContender {
  readonly kind: 'http'
  readonly name: string
  readonly goals: readonly GoalId[]
  /** Opens the server; the parent process puts the load on it. */
  serve(): Promise<{ url: string; stop(): Promise<unknown> | unknown }>
}

export type Contender = LocalContender | HttpContender

/** What is sent to every HTTP contender of a group, and what must come back. */
export interface HttpProbe {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: string
  /** Compared with the answer after both were parsed as JSON where that works, so key order and spacing are free. */
  readonly expected: string
}

/** Contenders that do the same work and may be compared. */
export interface Group {
  readonly id: string
  readonly title: string
  /** The contender that is 1.0x. */
  readonly base: string
  /** Heads of the table's columns of `rate` and `secondRate`. */
  readonly rateTitle: string
  readonly secondRateTitle?: string
  readonly contenders: readonly Contender[]
  readonly probe?: HttpProbe
}

/** True when the contender's name says that it is Shoal itself, the one that may not exist yet. */
export function isShoal(contender: { readonly name: string }): boolean {
  return contender.name.startsWith('shoal')
}
