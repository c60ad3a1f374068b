import { expect } from 'chai'
import { AnswerKind, type EncodedAnswer, encodeAnswer, LightResponse, responseOf } from '../../../core/request/index.ts'

async function partsOf(answer: EncodedAnswer): Promise<unknown[]> {
  const iterator = answer.value as AsyncIterator<unknown>
  const parts: unknown[] = []
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) parts.push(next.value)
  return parts
}

const streamOf = (...chunks: unknown[]): ReadableStream =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    },
  })

describe('encodeAnswer', () => {
  describe('for a handle', () => {
    for (const value of [undefined, null, 5, 'text', { a: 1 }, new Uint8Array(2), [1], new Map()]) {
      it(`leaves ${Object.prototype.toString.call(value)} as it is`, async () => {
        expect(await encodeAnswer(value, false)).to.deep.equal({ kind: AnswerKind.VALUE, value })
      })
    }
  })

  describe('for HTTP', () => {
    for (const [what, result, kind, value] of [
      ['nothing', undefined, AnswerKind.EMPTY, undefined],
      ['null', null, AnswerKind.EMPTY, undefined],
      ['a text', 'text', AnswerKind.TEXT, 'text'],
      ['an empty text', '', AnswerKind.TEXT, ''],
      ['an object', { a: [1, 'x'] }, AnswerKind.JSON, '{"a":[1,"x"]}'],
      ['a list', [1, 2], AnswerKind.JSON, '[1,2]'],
      ['a number', 5, AnswerKind.JSON, '5'],
      ['a boolean', false, AnswerKind.JSON, 'false'],
      ['bytes', new Uint8Array([1, 2]), AnswerKind.BYTES, new Uint8Array([1, 2])],
      ['a buffer', new Uint8Array([1, 2]).buffer, AnswerKind.BYTES, new Uint8Array([1, 2])],
      ['what JSON leaves out', () => 1, AnswerKind.EMPTY, undefined],
    ] as const) {
      it(`makes of ${what} what its kind says`, async () => {
        expect(await encodeAnswer(result, true)).to.deep.equal({ kind, value })
      })
    }

    it('sends of a view on a larger buffer its own bytes and no others', async () => {
      const pool = new Uint8Array([9, 1, 2, 9])
      const { value } = await encodeAnswer(pool.subarray(1, 3), true)
      expect(value).to.deep.equal(new Uint8Array([1, 2]))
      expect((value as Uint8Array).buffer.byteLength).to.equal(2)
    })

    it('refuses what JSON cannot carry with ERR_NOT_SERIALIZABLE, naming the place', () => {
      expect(() => encodeAnswer({ a: { n: 1n } }, true))
        .to.throw('result.a.n')
        .with.property('code', 'ERR_NOT_SERIALIZABLE')
    })

    it('refuses a cycle with ERR_NOT_SERIALIZABLE', () => {
      const cycle: { self?: unknown } = {}
      cycle.self = cycle
      expect(() => encodeAnswer(cycle, true))
        .to.throw()
        .with.property('code', 'ERR_NOT_SERIALIZABLE')
    })
  })

  for (const rendered of [true, false]) {
    describe(rendered ? 'streams over HTTP' : 'streams to a handle', () => {
      it('are made of async iterables', async () => {
        const answer = await encodeAnswer(
          (async function* () {
            yield 1
            yield 2
          })(),
          rendered,
        )
        expect([answer.kind, await partsOf(answer)]).to.deep.equal([AnswerKind.STREAM, [1, 2]])
      })

      it('are made of ReadableStreams', async () => {
        const answer = await encodeAnswer(streamOf('a', 'b'), rendered)
        expect([answer.kind, await partsOf(answer)]).to.deep.equal([AnswerKind.STREAM, ['a', 'b']])
      })

      it('are not made of plain iterables', async () => {
        expect((await encodeAnswer(new Set([1]), rendered)).kind).not.to.equal(AnswerKind.STREAM)
      })
    })
  }

  it('cancels a ReadableStream whose reader lets go', async () => {
    let cancelled = false
    const stream = new ReadableStream({
      pull: (controller) => controller.enqueue(1),
      cancel: () => {
        cancelled = true
      },
    })
    const iterator = (await encodeAnswer(stream, false)).value as AsyncIterator<unknown>
    await iterator.next()
    await iterator.return?.()
    expect(cancelled).to.equal(true)
  })

  describe('of a Response', () => {
    it('sends status, headers and body, every set-cookie on its own', async () => {
      const headers = new Headers({ 'x-a': 'b' })
      headers.append('set-cookie', 'c=1')
      headers.append('set-cookie', 'd=2')
      const answer = await encodeAnswer(new LightResponse('body', { status: 201, headers }), true)
      const [status, flat, body] = answer.value as [number, string[], string]
      expect([answer.kind, status, body]).to.deep.equal([AnswerKind.FULL, 201, 'body'])
      expect(flat.join('\n')).to.contain('set-cookie\nc=1\nset-cookie\nd=2')
    })

    it('of known length is sent whole', async () => {
      const answer = await encodeAnswer(new Response('body', { headers: { 'content-length': '4' } }), true)
      const [, , body] = answer.value as [number, string[], Uint8Array]
      expect([answer.kind, new TextDecoder().decode(body)]).to.deep.equal([AnswerKind.FULL, 'body'])
    })

    it('of unknown length is streamed under its head', async () => {
      const answer = await encodeAnswer(new Response(streamOf(new Uint8Array([1])), { status: 202 }), true)
      expect([answer.kind, answer.head?.[0], await partsOf(answer)]).to.deep.equal([AnswerKind.STREAM, 202, [new Uint8Array([1])]])
    })

    it('without a body is sent whole', async () => {
      const answer = await encodeAnswer(new Response(null, { status: 204 }), true)
      expect([answer.kind, (answer.value as unknown[])[0], (answer.value as unknown[])[2]]).to.deep.equal([AnswerKind.FULL, 204, undefined])
    })

    it('whose body is a view on a larger buffer sends its own bytes and no others', async () => {
      const pool = new Uint8Array([9, 1, 2, 9])
      const answer = await encodeAnswer(new LightResponse(pool.subarray(1, 3)), true)
      expect(((answer.value as unknown[])[2] as Uint8Array).buffer.byteLength).to.equal(2)
    })
  })
})

describe('responseOf', () => {
  it('makes a Response of status, headers and a text or bytes, adding nothing', async () => {
    for (const body of ['body', new TextEncoder().encode('body')]) {
      const response = responseOf([201, ['x-a', 'b', 'set-cookie', 'c=1', 'set-cookie', 'd=2'], body])
      const native = new Response(null, {
        headers: [
          ['x-a', 'b'],
          ['set-cookie', 'c=1'],
          ['set-cookie', 'd=2'],
        ],
      })
      expect([response.status, await response.text()]).to.deep.equal([201, 'body'])
      // A page takes no set-cookie from a script.
      expect([...response.headers]).to.deep.equal([...native.headers])
    }
  })

  it('gives no body to a status that has none', () => {
    for (const status of [204, 205, 304]) expect(responseOf([status, [], 'ignored']).body, String(status)).to.equal(null)
  })
})
