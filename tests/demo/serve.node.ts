import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import { pino } from 'pino'
import type { DigitAnswer } from '../../demo/digits/digits.ts'
import { serveDigits } from '../../demo/digits/serve.ts'
import { type TestImages, toLabelledImages } from '../../demo/digits/test-images.ts'
import * as serve from '../../node/index.ts'

const images = toLabelledImages(
  JSON.parse(await readFile(new URL('../../demo/digits/data/test.json', import.meta.url), 'utf8')) as TestImages,
)

describe('the digits demo on an instance', function () {
  // Three replicas load WebAssembly, which takes its time on a busy machine.
  this.timeout(120_000)
  let client: serve.Client
  let url: string

  before(async () => {
    client = await serve.start({ http: { port: 0 }, logger: pino({ level: 'silent' }) })
    await serveDigits(client)
    url = client.http?.url.replace(/\/$/, '') ?? ''
  })
  after(() => client.shutdown())

  const post = (body: unknown): Promise<Response> =>
    fetch(`${url}/digits`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

  it('reads 95 % of the held-out images over HTTP, by both models and in batches', async () => {
    const answers = await Promise.all(images.map(async ({ pixels }) => (await (await post({ pixels })).json()) as DigitAnswer))
    const right = answers.filter((answer, index) => answer.digit === images[index]?.label)
    expect(right.length / images.length).to.be.at.least(0.95)
    expect([...new Set(answers.map((answer) => answer.version))].sort()).to.deep.equal(['large', 'small'])
    expect(Math.max(...answers.map((answer) => answer.batchSize))).to.be.within(2, 16)
  })

  it('answers every held-out image by handle as it answers over HTTP', async () => {
    const handle = client.getHandle('digits')
    // A shard key sends both to the same model.
    const both = await Promise.all(
      images.map(async ({ pixels }, index) => {
        const shardKey = `image ${index}`
        const headers = { 'content-type': 'application/json', 'x-serve-shard-key': shardKey }
        const [overHttp, byHandle] = await Promise.all([
          fetch(`${url}/digits`, { method: 'POST', headers, body: JSON.stringify({ pixels }) }).then((answer) => answer.json()),
          handle.options({ shardKey }).remote({ pixels }),
        ])
        return [overHttp, byHandle].map(({ batchSize: _batchSize, ...answer }: DigitAnswer) => answer)
      }),
    )
    for (const [overHttp, byHandle] of both) expect(byHandle).to.deep.equal(overHttp)
    const right = both.filter(([, byHandle], index) => byHandle?.digit === images[index]?.label)
    expect(right.length / images.length).to.be.at.least(0.95)
  })

  it('fails a request that holds no image, and answers one sent beside it', async () => {
    const [bad, good] = await Promise.all([post({ pixels: [1] }), post({ pixels: images[0]?.pixels })])
    expect([bad.status, good.status]).to.deep.equal([400, 200])
  })

  it('serves the page again and again', async () => {
    for (const path of ['/', '/page/digits.js', '/test-images', '/', '/page/digits.js', '/test-images']) {
      expect((await fetch(`${url}${path}`)).status, path).to.equal(200)
    }
  })
})
