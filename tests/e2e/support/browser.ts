import { type Browser, chromium } from 'playwright-core'
import { findChromium } from '../../../tools/chromium.mjs'

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-sync']

/** One Chromium for a whole suite, started with its first test; without one here its tests are skipped and it is said why. */
export function withBrowser(suite: Mocha.Suite): () => Browser {
  let browser: Browser | undefined
  suite.timeout(180_000)
  suite.beforeAll(async function () {
    const executablePath: string | undefined = findChromium()
    if (executablePath === undefined) {
      console.log(`  skipped: ${suite.title}, as no Chromium is here: install one, or set CHROME_PATH`)
      this.skip()
    }
    browser = await chromium.launch({ executablePath, args: FLAGS })
  })
  suite.afterAll(() => browser?.close())
  return () => {
    if (browser === undefined) throw new Error('the browser is not started')
    return browser
  }
}
