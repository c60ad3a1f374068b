import type { Round } from './run.ts'
import { spread } from './statistics.ts'

/** What the FAQ of Ray Serve says of itself, to read beside; no run made these. */
const CLAIMS = 'Ray Serve (its FAQ): overhead of often 1-2 ms; about 3,000-4,000 requests/s on one machine with few cores.'

interface Row {
  readonly what: string
  readonly group: string
  readonly contender: string
}

const ROWS: readonly Row[] = [
  { what: 'by handle, no-op in a replica', group: 'calls/noop', contender: 'shoal' },
  { what: 'by HTTP, GET, no-op in a replica', group: 'http/get', contender: 'shoal -> replica' },
  { what: 'by HTTP, POST of 1 KB JSON, echo in a replica', group: 'http/post', contender: 'shoal -> replica' },
]

/** A call from its start to its answer at light load, and the throughput, beside the ancestor's own claims. '' when nothing was measured. */
export function faqTable(rounds: readonly Round[]): string {
  const rows = ROWS.map(({ what, group, contender }) => {
    const of = (metric: 'sequentialP50' | 'sequentialP99' | 'rate'): number | undefined =>
      spread(rounds.map((round) => round.get(group, contender)?.[metric]))?.median
    const [p50, p99, rate] = [of('sequentialP50'), of('sequentialP99'), of('rate')]
    return rate === undefined
      ? undefined
      : `| ${what} | ${milliseconds(p50)} | ${milliseconds(p99)} | ${Math.round(rate).toLocaleString('en')} |`
  }).filter((row) => row !== undefined)
  if (rows.length === 0) return ''
  return [
    '### Beside the claims of the FAQ',
    CLAIMS,
    ['| call | p50 ms, one at a time | p99 ms | calls/s, 64 in flight |', '|---|---|---|---|', ...rows].join('\n'),
  ].join('\n\n')
}

const milliseconds = (us: number | undefined): string => (us === undefined ? '' : (us / 1_000).toFixed(3))
