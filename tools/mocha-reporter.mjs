import { writeFileSync } from 'node:fs'
import Mocha from 'mocha'

/** How long the process may go on after the last test before it is ended as a failure: something was left open. */
const LINGER_MS = 10_000

/**
 * One line per outermost suite, failures in full at the end, counts as JSON into the file named by TEST_COUNTS. On a terminal a status line shows
 * the test that runs.
 */
class Progress extends Mocha.reporters.Base {
  constructor(runner, options) {
    super(runner, options)
    const counts = { passed: 0, failed: 0, skipped: 0 }
    let suite = { title: undefined, passed: 0, failed: 0, startedAtMs: 0 }

    runner.on('suite', (entered) => {
      if (entered.parent?.root) suite = { title: entered.title, passed: 0, failed: 0, startedAtMs: performance.now() }
    })
    runner.on('suite end', (left) => {
      if (left.parent?.root && suite.passed + suite.failed > 0) say(suiteLine(suite))
    })
    runner.on('test', (test) => status(`  ${counts.passed} passed, ${counts.failed} failed · ${test.fullTitle()}`))
    runner.on('pass', () => {
      counts.passed++
      suite.passed++
    })
    runner.on('fail', (test) => {
      counts.failed++
      suite.failed++
      say(`  FAILED  ${test.fullTitle()}`)
    })
    runner.on('pending', () => counts.skipped++)
    runner.once('end', () => {
      status('')
      this.epilogue()
      save(counts)
      setTimeout(endLingering, LINGER_MS, counts).unref()
    })
  }
}

function suiteLine({ title, passed, failed, startedAtMs }) {
  const failures = failed === 0 ? '' : `, ${failed} failed`
  return `  ${title}: ${passed} passed${failures} (${Math.round(performance.now() - startedAtMs)} ms)`
}

function say(line) {
  status('')
  process.stdout.write(`${line}\n`)
}

function status(text) {
  if (process.stdout.isTTY) process.stdout.write(`\r\u001B[2K${text.slice(0, (process.stdout.columns ?? 80) - 1)}`)
}

function save(counts) {
  if (process.env.TEST_COUNTS) writeFileSync(process.env.TEST_COUNTS, JSON.stringify(counts))
}

/** The timer is unref'ed: it fires only when something else keeps the process alive. */
function endLingering(counts) {
  process.stdout.write(`  FAILED  the process does not end, kept alive by: ${process.getActiveResourcesInfo().join(', ')}\n`)
  save({ ...counts, failed: counts.failed + 1 })
  process.exit(1)
}

export default Progress
