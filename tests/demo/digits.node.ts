import { readFile } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { type DigitAnswer, Digits } from '../../demo/digits/digits.ts'
import { type LabelledImage, type TestImages, toLabelledImages } from '../../demo/digits/test-images.ts'

const folder = new URL('../../demo/digits/', import.meta.url)
const images = toLabelledImages(JSON.parse(await readFile(new URL('data/test.json', folder), 'utf8')) as TestImages)

const [first, second] = images as [LabelledImage, LabelledImage]

describe('the digits of the demo', () => {
  for (const version of ['small', 'large']) {
    it(`reads 95 % of the held-out images or more with the ${version} model, in batches of 16`, async () => {
      const digits = await loadDigits(version)
      let right = 0
      for (let start = 0; start < images.length; start += 16) {
        const batch = images.slice(start, start + 16)
        const answers = answered(await digits.call(batch.map(toRequest)))
        right += answers.filter((answer, index) => answer.digit === batch[index]?.label).length
      }
      expect(right / images.length).to.be.at.least(0.95)
    })

    it(`answers an image alone as it answers it among 16 with the ${version} model`, async () => {
      const digits = await loadDigits(version)
      const batch = images.slice(0, 16)
      const together = answered(await digits.call(batch.map(toRequest)))
      for (const [index, image] of batch.entries()) {
        const [alone] = answered(await digits.call([toRequest(image)]))
        expect(alone?.probabilities).to.deep.equal(together[index]?.probabilities)
      }
    })
  }

  it('answers with ten probabilities, the model version and the size of the batch', async () => {
    const digits = await loadDigits('small')
    for (const answer of answered(await digits.call(images.slice(0, 3).map(toRequest)))) {
      expect(answer).to.include({ version: 'small', batchSize: 3 })
      expect(answer.probabilities).to.have.length(10)
      expect(answer.probabilities.indexOf(Math.max(...answer.probabilities))).to.equal(answer.digit)
    }
  })

  for (const [what, body] of [
    ['without pixels', {}],
    ['that is null', null],
    ['of 63 pixels', { pixels: new Array(63).fill(0) }],
    ['with a pixel of 17', { pixels: [17, ...new Array(63).fill(0)] }],
    ['with a negative pixel', { pixels: [-1, ...new Array(63).fill(0)] }],
    ['with a pixel that is not finite', { pixels: [Number.NaN, ...new Array(63).fill(0)] }],
    ['with a pixel that is text', { pixels: ['8', ...new Array(63).fill(0)] }],
  ] as const) {
    it(`fails a request ${what} alone`, async () => {
      const digits = await loadDigits('small')
      const [one, bad, other] = await digits.call([toRequest(first), { json: async () => body }, toRequest(second)])
      expect(bad).to.include({ code: 'ERR_BAD_REQUEST' })
      expect([one, other].map(toDigit)).to.deep.equal([first.label, second.label])
    })
  }

  it('fails a request that is no JSON alone', async () => {
    const digits = await loadDigits('small')
    const [bad, good] = await digits.call([new Request('http://localhost/', { method: 'POST', body: '{' }), toRequest(first)])
    expect(bad).to.include({ code: 'ERR_BAD_REQUEST' })
    expect(toDigit(good)).to.equal(first.label)
  })

  it('runs batches that overlap', async () => {
    const digits = await loadDigits('small')
    const answers = await Promise.all(images.slice(0, 8).map(async (image) => toDigit((await digits.call([toRequest(image)]))[0])))
    expect(answers).to.deep.equal(images.slice(0, 8).map((image) => image.label))
  })

  it('runs in a worker thread', async () => {
    const source = `
      import { readFile } from 'node:fs/promises'
      import { parentPort, workerData } from 'node:worker_threads'
      const { Digits } = await import(workerData.module)
      const digits = new Digits({ url: workerData.model, bytes: () => readFile(new URL(workerData.model)) }, 'small')
      await digits.init()
      const [answer] = await digits.call([{ json: async () => ({ pixels: workerData.pixels }) }])
      parentPort.postMessage(answer.digit)`
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
      workerData: {
        module: new URL('digits.ts', folder).href,
        model: new URL('models/small.onnx', folder).href,
        pixels: first.pixels,
      },
    })
    const digit = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    await worker.terminate()
    expect(digit).to.equal(first.label)
  })
})

async function loadDigits(version: string): Promise<Digits> {
  const url = new URL(`models/${version}.onnx`, folder)
  const digits = new Digits({ url: url.href, bytes: () => readFile(url) }, version)
  await digits.init()
  return digits
}

const toRequest = (image: { readonly pixels: readonly number[] }): { json(): Promise<unknown> } => ({
  json: async () => ({ pixels: image.pixels }),
})

function answered(answers: readonly (DigitAnswer | Error)[]): readonly DigitAnswer[] {
  return answers.map((answer) => {
    if (answer instanceof Error) throw answer
    return answer
  })
}

const toDigit = (answer: DigitAnswer | Error | undefined): number | undefined => answered(answer === undefined ? [] : [answer])[0]?.digit
