import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { esbuildPlugin } from '@web/dev-server-esbuild'
import { defaultReporter } from '@web/test-runner'
import { chromeLauncher } from '@web/test-runner-chrome'
import { findChromium } from './tools/chromium.mjs'

const root = fileURLToPath(new URL('.', import.meta.url))

/** One line per file, counts as JSON into the file named by TEST_COUNTS. A page that breaks before its tests is one failure. */
function countingReporter() {
  return {
    reportTestFileResults({ logger, sessionsForTestFile, testFile }) {
      const { passed, failed } = countSessions(sessionsForTestFile)
      if (process.env.TEST_GREP && passed + failed === 0) return
      logger.log(`  ${relative(root, testFile)}: ${passed} passed${failed === 0 ? '' : `, ${failed} failed`}`)
    },
    onTestRunFinished({ sessions }) {
      if (process.env.TEST_COUNTS) writeFileSync(process.env.TEST_COUNTS, JSON.stringify(countSessions(sessions)))
    },
  }
}

function countSessions(sessions) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const session of sessions) {
    const before = counts.failed
    countSuite(session.testResults, counts)
    if (session.errors.length > 0 && counts.failed === before) counts.failed++
  }
  return counts
}

/** A test that neither passed nor failed was not run: `--grep` left it out, or a hook before it failed, which is an error of its own. */
function countSuite(suite, counts) {
  for (const { skipped, passed, error } of suite?.tests ?? []) {
    if (skipped) counts.skipped++
    else if (passed) counts.passed++
    else if (error !== undefined) counts.failed++
  }
  for (const inner of suite?.suites ?? []) countSuite(inner, counts)
}

export default {
  files: ['tests/**/*.spec.ts', 'tests/**/*.browser.ts', '!tests/bench/**', '!tests/long/**', '!**/node_modules/**'],
  nodeResolve: { exportConditions: ['browser', 'development'] },
  plugins: [esbuildPlugin({ ts: true, target: 'es2022', tsconfig: fileURLToPath(new URL('./tsconfig.base.json', import.meta.url)) })],
  browsers: [
    chromeLauncher({
      launchOptions: {
        executablePath: findChromium(),
        args: [
          '--no-sandbox',
          '--disable-gpu',
          '--disable-quic',
          '--no-first-run',
          '--disable-background-networking',
          '--disable-component-update',
          '--disable-sync',
        ],
      },
    }),
  ],
  reporters: [defaultReporter({ reportTestProgress: false, reportTestResults: true }), countingReporter()],
  // For a machine on which everything takes several times as long; a test that hangs ends by its own limit.
  browserStartTimeout: 120_000,
  testsStartTimeout: 120_000,
  testsFinishTimeout: 900_000,
  testFramework: { config: { ui: 'bdd', timeout: 30_000, ...(process.env.TEST_GREP && { grep: process.env.TEST_GREP }) } },
  coverageConfig: { include: ['core/**', 'browser/**'], reporters: ['json', 'text-summary'], reportDir: 'coverage/browser' },
}
