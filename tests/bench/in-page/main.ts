/**
 * The figures of a page: calls and streams against what is written by hand in the same page, as ratios, the median of five interleaved rounds.
 *
 *     node tests/bench/in-page/main.ts [--write]
 *
 * `--write` puts them into docs/concepts/in-the-browser.md.
 */
import { readFile } from 'node:fs/promises'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { findChromium } from '../../../tools/chromium.mjs'
import { installPacked } from '../../e2e/support/packed.ts'
import { resultOf } from '../../e2e/support/page-result.ts'
import { serveStatic } from '../../e2e/support/static-server.ts'
import { markdown } from '../table.ts'
import { writeBlock } from '../write-block.ts'

type Figures = Readonly<Record<string, number | null>>

interface Round {
  readonly rate: Figures
  readonly oneByOneMs: Figures
  /** Null where the clock is too coarse. */
  readonly oneByOneP99Ms: Figures
  readonly chunks: Figures
}

/** What is held against what, and the bound that Node is held to. */
const CHECKS: readonly (readonly [label: string, kind: keyof Round, ours: string, other: string, bound: string])[] = [
  ['64 in flight: rate / raw postMessage', 'rate', 'shoal', 'raw', '>= 1.6'],
  ['64 in flight: rate / comlink', 'rate', 'shoal', 'comlink', '>= 5'],
  ['one by one: p50 / raw postMessage', 'oneByOneMs', 'shoal', 'raw', '<= 1.15'],
  ['one by one: p50 / comlink', 'oneByOneMs', 'shoal', 'comlink', '<= 1'],
  ['one by one: p99 / raw postMessage', 'oneByOneP99Ms', 'shoal', 'raw', '<= 1.5'],
  ['64 streams: chunks / one message per chunk', 'chunks', 'shoal', 'messages', '>= 3'],
  ['64 streams: chunks / transferred ReadableStream', 'chunks', 'shoal', 'transferred', '>= 8'],
]

const PAGE = '<!doctype html><title>bench</title><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>'

const loadBefore = loadavg()[0] ?? 0
const installed = await installPacked()
try {
  const pages = [await measure(false), await measure(true)]
  const conditions = [
    `${availableParallelism()} cores`,
    `Chromium ${pages[0]?.version}`,
    new Date().toISOString().slice(0, 10),
    `load average ${loadBefore.toFixed(2)} before`,
  ].join(', ')
  const rows = CHECKS.map((check) => [check[0], ...pages.map(({ rounds }) => ratioOf(check, rounds)), check[4]])
  const head = ['', 'ordinary page', 'cross-origin isolated', 'goal']
  const text = `${conditions}; median of five rounds (least–most).\n\n${markdown(head, rows)}`
  console.log(text)
  for (const { rounds } of pages) {
    console.log(JSON.stringify(rounds.at(-1), (_key, value) => (typeof value === 'number' ? Number(value.toPrecision(3)) : value)))
  }
  if (process.argv.includes('--write')) writeBlock(new URL('../../../docs/concepts/in-the-browser.md', import.meta.url), 'in-page', text)
} finally {
  await installed.remove()
}

function ratioOf([, kind, ours, other]: (typeof CHECKS)[number], rounds: readonly Round[]): string {
  const ratios = rounds.map((round) => (round[kind][ours] ?? Number.NaN) / (round[kind][other] ?? Number.NaN)).sort((a, b) => a - b)
  if (ratios.some(Number.isNaN)) return 'clock too coarse'
  const [least, median, most] = [ratios[0], ratios[ratios.length >> 1], ratios.at(-1)].map((ratio) => (ratio ?? Number.NaN).toFixed(2))
  return `${median} (${least}–${most})`
}

async function measure(isIsolated: boolean): Promise<{ readonly version: string; readonly rounds: readonly Round[] }> {
  const server = await serveStatic({
    folders: { '/dist/': installed.dist, '/packages/': join(installed.folder, 'node_modules') },
    files: { '/index.html': PAGE, '/page.js': await readFile(new URL('page.js', import.meta.url), 'utf8') },
    headers: isIsolated ? { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' } : {},
  })
  const browser = await chromium.launch({ executablePath: findChromium() ?? '', args: ['--no-sandbox', '--disable-gpu'] })
  try {
    const { rounds } = await resultOf<{ rounds: Round[] }>(await browser.newContext(), server.origin, 120_000)
    return { version: browser.version(), rounds }
  } finally {
    await browser.close()
    await server.close()
  }
}
