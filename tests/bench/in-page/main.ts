/**
 * The figures of a page: calls and streams against what is written by hand in the same page, as ratios, the median of five interleaved rounds.
 *
 *     node tests/bench/in-page/main.ts
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { findChromium } from '../../../tools/chromium.mjs'
import { installPacked } from '../../e2e/support/packed.ts'
import { resultOf } from '../../e2e/support/page-result.ts'
import { serveStatic } from '../../e2e/support/static-server.ts'

type Figures = Readonly<Record<string, number>>

interface Round {
  readonly rate: Figures
  readonly oneByOneMs: Figures
  readonly chunks: Figures
}

/** What is held against what, and the bound that Node is held to. */
const CHECKS: readonly (readonly [label: string, kind: keyof Round, ours: string, other: string, bound: string])[] = [
  ['64 in flight: rate / raw postMessage', 'rate', 'shoal', 'raw', '>= 1.6'],
  ['64 in flight: rate / comlink', 'rate', 'shoal', 'comlink', '>= 5'],
  ['one by one: p50 / raw postMessage', 'oneByOneMs', 'shoal', 'raw', '<= 1.15'],
  ['one by one: p50 / comlink', 'oneByOneMs', 'shoal', 'comlink', '<= 1'],
  ['64 streams: chunks / one message per chunk', 'chunks', 'shoal', 'messages', '>= 3'],
  ['64 streams: chunks / transferred ReadableStream', 'chunks', 'shoal', 'transferred', '>= 8'],
]

const PAGE = '<!doctype html><title>bench</title><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>'

const installed = await installPacked()
try {
  for (const isIsolated of [false, true]) await measure(isIsolated)
} finally {
  await installed.remove()
}

async function measure(isIsolated: boolean): Promise<void> {
  const server = await serveStatic({
    folders: { '/dist/': installed.dist, '/packages/': join(installed.folder, 'node_modules') },
    files: { '/index.html': PAGE, '/page.js': await readFile(new URL('page.js', import.meta.url), 'utf8') },
    headers: isIsolated ? { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' } : {},
  })
  const browser = await chromium.launch({ executablePath: findChromium() ?? '', args: ['--no-sandbox', '--disable-gpu'] })
  try {
    const { rounds } = await resultOf<{ rounds: Round[] }>(await browser.newContext(), server.origin, 120_000)
    console.log(`\n${isIsolated ? 'cross-origin isolated' : 'ordinary page'}, Chromium ${browser.version()}`)
    for (const [label, kind, ours, other, bound] of CHECKS) {
      const ratios = rounds.map((round) => (round[kind][ours] ?? Number.NaN) / (round[kind][other] ?? Number.NaN)).sort((a, b) => a - b)
      const [least, median, most] = [ratios[0], ratios[ratios.length >> 1], ratios.at(-1)].map((ratio) => (ratio ?? Number.NaN).toFixed(2))
      console.log(`  ${label.padEnd(50)} ${median} (${least}–${most})   on Node ${bound}`)
    }
    const last = rounds.at(-1)
    console.log(`  ${JSON.stringify(last, (_key, value) => (typeof value === 'number' ? Number(value.toPrecision(3)) : value))}`)
  } finally {
    await browser.close()
    await server.close()
  }
}
