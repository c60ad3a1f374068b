/**
 * `npm test`: every check of the house, one after the other; a failure does not keep the later ones from running.
 *
 *     npm test                                        everything
 *     npm test -- --only types,node                   some steps: types, lint, node, browser, package
 *     npm test -- --only node --grep "a full batch"   the tests whose names match
 *     npm run test:long                               soaks, heavy faults, and every property with many more seeds
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs, stripVTControlCharacters } from 'node:util'
import { ensureChromium } from '../tools/chromium.mjs'

/** A step that takes longer hangs: it is ended and counts as failed. A slow machine needs several times what an idle one does. */
const STEP_LIMIT_MS = 3_600_000
/** What `engines` of package.json asks for; older ones cannot run TypeScript. */
const OLDEST_NODE = [22, 18]

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)

const STEPS = {
  types: () => outcome(run('typescript', 'tsc', ['-b', '.', 'tools'])),
  lint: () => outcome(run('@biomejs/biome', 'biome', ['check', '--max-diagnostics=100', '--diagnostic-level=warn'])),
  node: () => testOnNode([]),
  browser: testInBrowser,
  package: checkPackage,
}

/** The steps of the long set; each takes minutes. */
const LONG_STEPS = {
  soak: () => testOnNode(['--timeout', '600000'], ['tests/long/**/*.node.ts']),
  seeds: () => testOnNode(['--timeout', '600000', '--require', './tests/support/many-runs.ts']),
}

const { values } = parseArgs({ options: { only: { type: 'string' }, grep: { type: 'string' }, long: { type: 'boolean' } } })
const steps = values.long ? LONG_STEPS : STEPS
process.exitCode = await main(values.only?.split(',') ?? Object.keys(steps))

/** Runs the steps and prints the closing lines. @returns the exit code */
async function main(names) {
  const unknown = names.filter((name) => !Object.hasOwn(steps, name))
  if (unknown.length > 0) return refuse(`no step is called ${unknown.join(', ')}; there are ${Object.keys(steps).join(', ')}`)
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
    return refuse(`Node ${process.versions.node} is too old to run TypeScript: start this by npm test, which brings a newer one`)
  }
  const startedAtMs = performance.now()
  const results = []
  for (const name of names) {
    process.stdout.write(`\n── ${name}\n`)
    const stepStartedAtMs = performance.now()
    const result = await steps[name]()
    results.push({ name, seconds: seconds(stepStartedAtMs), ...result })
  }
  return close(results, seconds(startedAtMs))
}

function close(results, totalSeconds) {
  const total = { passed: 0, failed: 0, skipped: 0 }
  process.stdout.write('\n')
  for (const { name, seconds, state, reason, counts } of results) {
    for (const key of Object.keys(total)) total[key] += counts?.[key] ?? 0
    const details =
      state === 'SKIPPED'
        ? `: ${reason}`
        : ` (${seconds} s)${counts === undefined ? '' : ` ${countLine(counts)}`}${reason ? ` ${reason}` : ''}`
    process.stdout.write(`${name} ${state}${details}\n`)
  }
  const countsTests = results.some(({ counts }) => counts !== undefined)
  const noneRan = countsTests && total.passed + total.failed === 0
  const failed = noneRan || total.failed > 0 || results.some(({ state }) => state === 'FAILED')
  if (noneRan) process.stdout.write('no test ran\n')
  process.stdout.write(`${failed ? 'FAILED' : 'PASSED'} on Node ${process.versions.node} in ${totalSeconds} s\n`)
  process.stdout.write(`${countLine(total)}\n`)
  return failed ? 1 : 0
}

function testOnNode(more, files = ['--ignore', 'tests/bench/**', '--ignore', 'tests/long/**', 'tests/**/*.spec.ts', 'tests/**/*.node.ts']) {
  const options = ['--config', '.mocharc.json', '--reporter', './tools/mocha-reporter.mjs', ...more]
  const grep = values.grep === undefined ? [] : ['--grep', values.grep]
  const onlyIsForbidden = process.env.CI ? ['--forbid-only'] : []
  return counted((env) => run('mocha', 'mocha', [...options, ...grep, ...onlyIsForbidden, ...files], env))
}

async function testInBrowser() {
  const chromium = await ensureChromium()
  if (chromium === undefined) return { state: 'SKIPPED', reason: 'no Chromium here: install one, or set CHROME_PATH' }
  const grep = values.grep === undefined ? {} : { TEST_GREP: values.grep }
  return counted((env) => run('@web/test-runner', 'wtr', [], { ...env, ...grep, CHROME_PATH: chromium }, { plain: true }))
}

async function checkPackage() {
  const missing = ['core/index.ts', 'node/index.ts'].filter((file) => !existsSync(join(root, file)))
  if (missing.length > 0) return { state: 'SKIPPED', reason: `${missing.join(', ')} not written yet` }
  return outcome(spawned([join(root, 'tools', 'check-package.mjs')]))
}

/** Runs a test runner that leaves its counts in the file it is told of; one that broke down before it could is one failure. */
async function counted(start) {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-tests-'))
  const file = join(folder, 'counts.json')
  try {
    const succeeded = await start({ TEST_COUNTS: file })
    if (!existsSync(file)) return { state: 'FAILED', reason: 'broke down', counts: { passed: 0, failed: 1, skipped: 0 } }
    const counts = JSON.parse(readFileSync(file, 'utf8'))
    // With a grep, wtr takes the tests left out for failed ones and exits so; the counts are right.
    const ok = counts.failed === 0 && (succeeded || values.grep !== undefined)
    return { state: ok ? 'ok' : 'FAILED', counts, ...(ok || counts.failed > 0 ? {} : { reason: 'exited with an error' }) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function outcome(succeeded) {
  return { state: (await succeeded) ? 'ok' : 'FAILED' }
}

/** Runs a program of a package by its file, which needs no shell on any platform. */
function run(packageName, program, args, env = {}, options = {}) {
  const manifest = join(root, 'node_modules', packageName, 'package.json')
  return spawned([join(dirname(manifest), require(manifest).bin[program]), ...args], env, options)
}

/** @param options `plain`: the program moves the cursor even where there is none; in a pipe its output is stripped to its lines */
function spawned(args, env = {}, { plain = false } = {}) {
  const isStripped = plain && !process.stdout.isTTY
  return new Promise((resolve) => {
    const stdio = ['inherit', isStripped ? 'pipe' : 'inherit', 'inherit']
    const child = spawn(process.execPath, args, { cwd: root, stdio, env: { ...process.env, ...env } })
    if (isStripped) {
      createInterface({ input: child.stdout }).on('line', (line) => {
        const text = stripVTControlCharacters(line).trimEnd()
        if (text !== '') process.stdout.write(`${text}\n`)
      })
    }
    const limit = setTimeout(() => {
      process.stdout.write(`ended after ${STEP_LIMIT_MS / 1000} s\n`)
      child.kill('SIGKILL')
    }, STEP_LIMIT_MS)
    const settle = (succeeded) => {
      clearTimeout(limit)
      resolve(succeeded)
    }
    child.once('error', (error) => {
      process.stdout.write(`${error.message}\n`)
      settle(false)
    })
    child.once('close', (code) => settle(code === 0))
  })
}

function countLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

function seconds(startedAtMs) {
  return ((performance.now() - startedAtMs) / 1000).toFixed(1)
}

function refuse(message) {
  process.stderr.write(`${message}\n`)
  return 2
}
