import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'chai'
import { pino } from 'pino'
import type { DigitAnswer } from '../../demo/digits/digits.ts'
import { serveDigits } from '../../demo/digits/serve.ts'
import { type TestImages, toLabelledImages } from '../../demo/digits/test-images.ts'
import * as serve from '../../node/index.ts'

const images = toLabelledImages(
  JSON.parse(await readFile(new URL('../../demo/digits/data/test.json', import.meta.url), 'utf8')) as TestImages,
)

describe('the digits demo in a mesh', function () {
  // Bundles are made, and WebAssembly is loaded on both nodes.
  this.timeout(180_000)

  it('reads digits by replicas on a peer, to which code, model and runtime have travelled', async () => {
    const logger = pino({ level: 'silent' })
    const client = await serve.start({ http: { port: 0 }, mesh: true, logger })
    await serveDigits(client)
    await client.createEndpoint('small', { backend: 'digits-small' })
    const peer = await serve.join(await client.createTicket(), { logger })
    // Replicas of the peer's own node alone; the controller's are out of reach.
    const onPeer = peer.getHandle('small').options({ reach: 'node' })
    const isThere = (): Promise<boolean> =>
      onPeer.remote({ pixels: images[0]?.pixels }).then(
        () => true,
        () => false,
      )
    while (!(await isThere())) await delay(20)
    const answers = (await Promise.all(images.map(({ pixels }) => onPeer.remote({ pixels })))) as DigitAnswer[]
    const right = answers.filter((answer, index) => answer.digit === images[index]?.label)
    expect(right.length / images.length).to.be.at.least(0.95)
    await peer.close()
    await client.close()
  })
})
