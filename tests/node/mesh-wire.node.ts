import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { msgpackCodec } from '../../core/adapters/codec/index.ts'
import { encodeFrame, FrameKind } from '../../core/mesh/index.ts'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const codec = msgpackCodec()
const call = [7, 5000, 0, 'hi']

const MESSAGES: Readonly<Record<string, readonly unknown[]>> = {
  call,
  'named call': [...call, 'square'],
  cancel: [-1, 7],
  answer: [250, 7, 0, { ok: true }],
  undefined: [7, 5000, 0, null, undefined],
  'set and date': [1, 1000, 0, new Set([1]), new Date(0)],
  'typed array': [1, 1000, 0, new Float32Array([1, 2])],
  'map of a bigint': [1, 1000, 0, new Map([['a', 1n]])],
}

const FRAMES: Readonly<Record<string, Uint8Array>> = {
  'frame OPEN': encodeFrame(FrameKind.OPEN, 1, text('backend:echo')),
  'frame DATA': encodeFrame(FrameKind.DATA, 1, codec.encode(call)),
  'frame CREDIT': encodeFrame(FrameKind.CREDIT, 1, Uint8Array.of(0, 2, 0, 0)),
  'frame CLOSE': encodeFrame(FrameKind.CLOSE, 1, text('closed')),
  'frame BYE': encodeFrame(FrameKind.BYE, 0, text('the peer left')),
}

/** Name and bytes of each vector on the page. */
const vectors = new Map(
  (/```vectors\n([\s\S]*?)```/.exec(readFileSync(new URL('../../docs/reference/wire.md', import.meta.url), 'utf8'))?.[1] ?? '')
    .trim()
    .split('\n')
    .map((line) => line.split(/\s{2,}/) as [string, string]),
)

describe('the vectors of docs/reference/wire.md', () => {
  it('are those that are tested here', () => {
    expect([...vectors.keys()]).to.deep.equal([...Object.keys(MESSAGES), ...Object.keys(FRAMES)])
  })

  for (const [name, message] of Object.entries(MESSAGES)) {
    it(`say how ${name} is written, and read`, () => {
      expect(hex(codec.encode(message))).to.equal(vectors.get(name))
      expect(codec.decode(bytes(vectors.get(name) ?? ''), true)).to.deep.equal(message)
    })
  }

  for (const [name, frame] of Object.entries(FRAMES)) {
    it(`say how ${name} is written`, () => {
      expect(hex(frame)).to.equal(vectors.get(name))
    })
  }
})

const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex')
const bytes = (value: string): Uint8Array => new Uint8Array(Buffer.from(value, 'hex'))
