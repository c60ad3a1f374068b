import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Page } from 'playwright-core'
import { buildDigitsPage } from '../../demo/digits/in-page/build.ts'
import { withBrowser } from './support/browser.ts'
import { type StaticServer, serveStatic } from './support/static-server.ts'

/** A 7, drawn as a hand would, in proportions of the drawing area. */
const SEVEN = [
  [0.25, 0.2],
  [0.5, 0.19],
  [0.75, 0.2],
  [0.62, 0.45],
  [0.5, 0.65],
  [0.42, 0.85],
] as const

async function draw(page: Page, points: readonly (readonly [number, number])[]): Promise<void> {
  const box = await page.locator('#canvas').boundingBox()
  if (box === null) throw new Error('the drawing area is not shown')
  for (const [index, [x, y]] of points.entries()) {
    await page.mouse.move(box.x + x * box.width, box.y + y * box.height, { steps: 4 })
    if (index === 0) await page.mouse.down()
  }
  await page.mouse.up()
}

/** For who wants to look: `SCREENSHOTS=folder npm test -- --only node --grep digits`. */
async function screenshot(page: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true })
}

describe('the digits demo in the page alone', function () {
  const browser = withBrowser(this)
  let folder: string
  let server: StaticServer

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shoal-digits-'))
    await buildDigitsPage(folder)
    server = await serveStatic({ folders: { '/': folder } })
  })

  after(async () => {
    await server?.close()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`reads a drawn 7 and 200 test images from static files, in a ${colorScheme} page`, async () => {
      const page = await browser().newPage({ colorScheme, viewport: { width: 1_100, height: 900 } })
      const problems: string[] = []
      page.on('pageerror', (error) => problems.push(String(error)))
      await page.goto(server.origin)
      await draw(page, SEVEN)
      await page.waitForFunction("document.getElementById('digit').textContent !== '–'")
      await screenshot(page, `digits-${colorScheme}`)
      expect(await page.locator('#digit').textContent()).to.equal('7')
      expect(await page.locator('#replica').textContent()).to.match(/^\w+, (wasm|webgpu)$/)

      await page.locator('#send-many').click()
      await page.waitForFunction("!document.getElementById('results').hidden")
      await screenshot(page, `digits-${colorScheme}-load`)
      expect(Number.parseFloat((await page.locator('#accuracy').textContent()) ?? '')).to.be.above(95)
      expect(await page.locator('#batches li').count()).to.be.above(0)
      expect(problems).to.deep.equal([])
      expect(server.asked.filter((path) => path.includes('digits') && !/\.\w+$/.test(path))).to.deep.equal([])
      await page.close()
    })
  }
})
