import { expect } from 'chai'
import { Page } from '../../demo/digits/page.ts'

describe('the page of the demo', () => {
  for (const [path, type] of [
    ['/', 'text/html; charset=utf-8'],
    ['/page/digits.css', 'text/css; charset=utf-8'],
    ['/page/digits.js', 'text/javascript; charset=utf-8'],
    ['/test-images', 'application/json'],
  ] as const) {
    it(`answers ${path} as ${type}`, async () => {
      const response = await answer(path)
      expect([response.status, response.headers.get('content-type')]).to.deep.equal([200, type])
      expect(await response.text()).to.have.length.above(1_000)
    })
  }

  for (const path of ['/page/', '/page/main.ts', '/page/%2e%2e/digits.ts', '/page//etc/hosts', '/__proto__', '/constructor']) {
    it(`has nothing at ${path}`, async () => {
      expect((await answer(path)).status).to.equal(404)
    })
  }

  it('names no other host than its own', async () => {
    for (const path of ['/', '/page/digits.css', '/page/digits.js']) {
      const addresses = (await (await answer(path)).text()).match(/\b(?:https?:)?\/\/[a-z0-9.-]+\.[a-z]+[^'"\s]*/g) ?? []
      expect(addresses.filter((address) => !address.startsWith('http://www.w3.org/'))).to.deep.equal([])
    }
  })
})

async function answer(path: string): Promise<Response> {
  const page = new Page()
  await page.init()
  return page.call({ url: `http://127.0.0.1:8000${path}` })
}
