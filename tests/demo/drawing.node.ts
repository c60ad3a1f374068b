import { readFile } from 'node:fs/promises'
import { expect } from 'chai'
import { Digits } from '../../demo/digits/digits.ts'

interface Point {
  readonly x: number
  readonly y: number
}
type Drawing = readonly (readonly Point[])[]

const folder = new URL('../../demo/digits/', import.meta.url)
// The page's script is plain JavaScript for the browser, without types.
const { toPixels } = (await import(new URL('page/digits.js', folder).href)) as { toPixels(drawing: Drawing): number[] }

/** Strokes as the corners of lines, in percent of a square. */
const DRAWINGS: Readonly<Record<number, readonly string[]>> = {
  0: ['50,5 30,15 20,40 22,70 35,92 55,95 72,82 80,55 76,25 62,8 50,5'],
  1: ['35,25 55,5 55,95'],
  2: ['25,22 38,7 60,6 74,20 70,40 50,62 25,93 80,93'],
  3: ['25,10 50,5 70,15 70,32 45,46 70,56 78,74 65,92 40,95 22,85'],
  4: ['30,5 20,55 80,55', '65,5 65,95'],
  5: ['75,6 32,6 28,44 50,38 72,50 75,72 60,92 35,94 22,84'],
  6: ['65,5 42,22 28,50 25,75 40,94 60,93 73,78 65,60 45,56 28,70'],
  7: ['22,8 78,8 50,50 42,95'],
  8: ['68,18 50,5 33,17 38,36 62,55 70,76 52,95 32,80 38,58 62,38 68,18'],
  9: ['72,28 55,6 33,14 28,34 45,48 65,42 72,28 70,65 60,95'],
}

describe('a drawing as pixels', () => {
  for (const version of ['small', 'large']) {
    it(`is read rightly by the ${version} model, for each of the ten digits`, async () => {
      const digits = new Digits({ url: '', bytes: () => readFile(new URL(`models/${version}.onnx`, folder)) }, version)
      await digits.init()
      const answers = await digits.call(
        Object.values(DRAWINGS).map((lines) => ({ json: async () => ({ pixels: toPixels(toDrawing(lines)) }) })),
      )
      expect(answers.map((answer) => (answer instanceof Error ? answer : answer.digit))).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    })
  }

  it('is 64 whole numbers from 0 to 16', () => {
    const pixels = toPixels(toDrawing(DRAWINGS[8] ?? []))
    expect(pixels).to.have.length(64)
    expect(pixels.filter((value) => !Number.isInteger(value) || value < 0 || value > 16)).to.deep.equal([])
  })

  it('is the same wherever it stands and however large it is', () => {
    const drawing = toDrawing(DRAWINGS[5] ?? [])
    const moved = drawing.map((stroke) => stroke.map(({ x, y }) => ({ x: x * 4 + 64, y: y * 4 - 256 })))
    expect(toPixels(moved)).to.deep.equal(toPixels(drawing))
  })

  it('fills the height as the training images do', () => {
    const pixels = toPixels(toDrawing(DRAWINGS[3] ?? []))
    expect(pixels.slice(0, 8).some((value) => value > 0)).to.equal(true)
    expect(pixels.slice(56).some((value) => value > 0)).to.equal(true)
  })

  it('is all zero when nothing is drawn', () => {
    expect(toPixels([[]])).to.deep.equal(new Array(64).fill(0))
  })

  it('of a single dot is ink in the middle', () => {
    const pixels = toPixels([[{ x: 3, y: 9 }]])
    expect([27, 28, 35, 36].every((index) => (pixels[index] ?? 0) > 0)).to.equal(true)
  })
})

/** Points close together, as a pointer gives them. */
function toDrawing(lines: readonly string[]): Drawing {
  return lines.map((line) => {
    const corners = line.split(' ').map((corner) => corner.split(',').map(Number) as [number, number])
    return corners.flatMap(([x, y], index) => {
      const [nextX, nextY] = corners[index + 1] ?? [x, y]
      return Array.from({ length: 8 }, (_, step) => ({ x: x + ((nextX - x) * step) / 8, y: y + ((nextY - y) * step) / 8 }))
    })
  })
}
