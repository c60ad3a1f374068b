import { isDeepStrictEqual } from 'node:util'
import { expect } from 'chai'
import { pino } from 'pino'
import * as serve from '../../node/index.ts'

/** What came back from a replica, and what it was there. */
interface Seen {
  readonly tag: string
  readonly back: unknown
}

const ISOLATIONS = ['inline', 'thread', 'process'] as const
type Isolation = (typeof ISOLATIONS)[number]

const TYPED_ARRAYS = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
] as const

/** Everything structured clone carries, made anew for every use. */
const VALUES: Readonly<Record<string, () => unknown>> = {
  undefined: () => undefined,
  null: () => null,
  booleans: () => [true, false],
  'numbers, -0 and NaN among them': () => [0, -0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER],
  '-0 alone': () => -0,
  'a BigInt': () => 2n ** 70n,
  'text with a lone surrogate and a NUL': () => 'héllo \ud83d\ude00 \ud800 \0',
  'an empty text': () => '',
  'text of a mebibyte': () => 'ä'.repeat(2 ** 20),
  'boxed primitives': () => [Object(5), Object('abc'), Object(false), Object(5n)],
  'a Date': () => new Date(86_400_000),
  'an invalid Date': () => new Date(Number.NaN),
  'a RegExp': () => /a(?<name>b)/giu,
  'a Map, with objects for keys': () =>
    new Map<unknown, unknown>([
      [{ key: 1 }, new Map([['a', 1]])],
      [Number.NaN, -0],
    ]),
  'a Set': () => new Set([1, 'a', new Set([2]), undefined]),
  'a sparse array': () => Object.assign(new Array(5), { 1: 'one', 3: undefined }),
  'an array with names': () => Object.assign([1, 2], { extra: 'e' }),
  'undefined fields': () => ({ a: undefined, b: [undefined] }),
  'a field called __proto__': () => JSON.parse('{ "__proto__": { "x": 1 } }') as unknown,
  'a thousand fields': () => Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`k${index}`, index])),
  'depth of 500': () => Array.from({ length: 500 }).reduce<unknown>((inside) => ({ inside }), 'core'),
  'all of it, nested': () => ({ a: { b: [{ c: new Map([['d', new Date(1)]]), e: new Set([/x/]), f: new Uint8Array([1]) }] } }),
  'an instance of a class, as plain data': () =>
    new (class Point {
      x = 1
    })(),
  ...Object.fromEntries(TYPED_ARRAYS.map((Kind) => [`a ${Kind.name}`, () => new Kind([0, 1, 127])])),
  'a BigInt64Array': () => new BigInt64Array([-1n, 2n ** 62n]),
  'a BigUint64Array': () => new BigUint64Array([1n, 2n ** 63n]),
  'an empty typed array': () => new Float32Array(0),
  'a view on a part of a buffer': () => new Uint8Array(bytes(16).buffer, 3, 5),
  'an ArrayBuffer': () => bytes(16).buffer,
  'an empty ArrayBuffer': () => new ArrayBuffer(0),
  'a DataView': () => new DataView(bytes(16).buffer, 4, 8),
  'a mebibyte of bytes': () => bytes(2 ** 20),
  'an Error': () => new Error('plain'),
  'a RangeError with causes': () => new RangeError('outer', { cause: new TypeError('inner', { cause: { code: 7 } }) }),
  'every Error class': () =>
    [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((Kind) => new Kind(`a ${Kind.name}`)),
}

/** Objects of the platform, which only a thread can be given. */
const FOREIGN: Readonly<Record<string, () => unknown>> = {
  'a Blob': () => new Blob(['a']),
  'a File': () => new File(['a'], 'a.txt'),
  'an URL': () => new URL('http://a.example/'),
  'a stream': () => new ReadableStream(),
  'a module of WebAssembly': () => new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])),
}

/** What no thread takes, by the path that the error names. */
const REFUSED: Readonly<Record<string, () => unknown>> = {
  data: () => Symbol('x'),
  'data.model.session': () => ({ model: { session: () => 1 } }),
  'data[1][0]': () => [1, [new WeakMap()]],
  'data.pending': () => ({ pending: Promise.resolve(1) }),
  'data.getter': () => ({
    get getter() {
      throw new Error('no')
    },
  }),
}

function bytes(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => index)
}

describe('the fidelity of values', function () {
  this.timeout(30_000)
  let client: serve.Client

  before(async () => {
    client = await serve.start({ http: { port: 0 }, logger: pino({ level: 'silent' }) })
    await Promise.all(ISOLATIONS.map(createEcho))
    await Promise.all(ISOLATIONS.map(createForwarder))
  })
  after(() => client.shutdown({ timeoutMs: 100 }))

  async function createEcho(isolation: Isolation): Promise<void> {
    const echo = (request: serve.ServeRequest): Seen => ({ tag: Object.prototype.toString.call(request.data), back: request.data })
    await client.createBackend(isolation, echo, { replicaOptions: { isolation } })
    await client.createEndpoint(isolation, { backend: isolation })
  }

  /** A replica that hands what it gets to the replica named by an argument. */
  async function createForwarder(isolation: Isolation): Promise<void> {
    class Forwarder {
      handles: Record<string, serve.UntypedHandle>
      constructor(handles: Record<string, serve.UntypedHandle>) {
        this.handles = handles
      }
      call(request: serve.ServeRequest): unknown {
        return this.handles[String(request.args.to)]?.remote(request.data)
      }
    }
    const handles = Object.fromEntries(ISOLATIONS.map((name) => [name, client.getHandle(name, { missingOk: true })]))
    await client.createBackend(`${isolation}-forwarder`, Forwarder, { initArgs: [handles], replicaOptions: { isolation } })
    await client.createEndpoint(`${isolation}-forwarder`, { backend: `${isolation}-forwarder` })
  }

  const send = async (to: string, value: unknown): Promise<Seen> => (await client.getHandle(to).remote(value)) as Seen
  const forward = async (by: string, to: string, value: unknown): Promise<Seen> =>
    (await client.getHandle(`${by}-forwarder`).remote(value, { to })) as Seen

  for (const isolation of ISOLATIONS) {
    describe(`to a replica of isolation '${isolation}' and back`, () => {
      for (const [name, make] of Object.entries(VALUES)) {
        it(`keeps ${name}`, async () => expectSame(await send(isolation, make()), make()))
      }

      it('keeps cycles', async () => {
        const cyclic: Record<string, unknown> = { name: 'me' }
        cyclic.self = cyclic
        cyclic.map = new Map([['me', cyclic]])
        const back = (await send(isolation, cyclic)).back as { self: unknown; map: Map<string, unknown> }
        expect(back.self).to.equal(back)
        expect(back.map.get('me')).to.equal(back)
        expect(back).not.to.equal(cyclic)
      })

      it('keeps what two fields share', async () => {
        const shared = { x: 1 }
        const [first, second] = (await send(isolation, [shared, shared])).back as unknown[]
        expect(first).to.equal(second)
      })

      it('leaves the argument as it was', async () => {
        const data = { bytes: bytes(100_000), list: [1] }
        await send(isolation, data)
        expect(data).to.deep.equal({ bytes: bytes(100_000), list: [1] })
      })

      it('keeps arguments beyond JSON', async () => {
        const readArgs = (request: serve.ServeRequest): unknown => ({ ...request.args })
        await client.createBackend(`${isolation}-args`, readArgs, { replicaOptions: { isolation } })
        await client.createEndpoint(`${isolation}-args`, { backend: `${isolation}-args` })
        const args = { when: new Date(5), big: 5n, list: [Number.NaN, -0], bytes: bytes(3) }
        expect(isDeepStrictEqual(await client.getHandle(`${isolation}-args`).remote(undefined, args), args)).to.equal(true)
      })

      it('keeps the parts of a stream', async () => {
        const parts = async function* (request: serve.ServeRequest<unknown[]>): AsyncGenerator<unknown> {
          for (const part of request.data) yield part
        }
        await client.createBackend(`${isolation}-parts`, parts, { replicaOptions: { isolation } })
        await client.createEndpoint(`${isolation}-parts`, { backend: `${isolation}-parts` })
        const sent = [new Map([[1, 5n]]), bytes(3), undefined, -0, new Date(7)]
        const heard: unknown[] = []
        for await (const part of client.getHandle(`${isolation}-parts`).remote(sent)) heard.push(part)
        expect(isDeepStrictEqual(heard, sent)).to.equal(true)
      })

      it('carries class, message, cause and own data of an error that the handler throws', async () => {
        const fail = (): never => {
          throw Object.assign(new RangeError('outer', { cause: new TypeError('inner') }), { item: { id: 7n } })
        }
        await client.createBackend(`${isolation}-fail`, fail, { replicaOptions: { isolation } })
        await client.createEndpoint(`${isolation}-fail`, { backend: `${isolation}-fail` })
        const error = await rejection(client.getHandle(`${isolation}-fail`).remote())
        const cause = error.cause as RangeError & { item: unknown }
        expect([error.code, cause.name, cause.message, (cause.cause as Error).message]).to.deep.equal([
          'ERR_TASK',
          'RangeError',
          'outer',
          'inner',
        ])
        expect(cause.item).to.deep.equal({ id: 7n })
      })

      for (const [path, make] of Object.entries(REFUSED)) {
        it(`refuses an argument, naming ${path}`, async () => {
          const error = await rejection(send(isolation, make()))
          expect([error.code, error.outcome, error.details?.path]).to.deep.equal(['ERR_NOT_SERIALIZABLE', 'not-started', path])
        })
      }

      it('refuses a result, naming what holds it up', async () => {
        const bad = (): unknown => ({ model: { session: () => 1 } })
        await client.createBackend(`${isolation}-bad`, bad, { replicaOptions: { isolation } })
        await client.createEndpoint(`${isolation}-bad`, { backend: `${isolation}-bad` })
        const error = await rejection(client.getHandle(`${isolation}-bad`).remote())
        expect([error.code, error.outcome, error.details?.path]).to.deep.equal([
          'ERR_NOT_SERIALIZABLE',
          'completed',
          'result.model.session',
        ])
      })

      it('refuses a client, pointing to handles', async () => {
        expect((await rejection(send(isolation, { client }))).code).to.equal('ERR_CLIENT_NOT_SERIALIZABLE')
      })

      it('goes on with the next call after a refusal', async () => {
        await rejection(send(isolation, () => 1))
        expect((await send(isolation, 5)).back).to.equal(5)
      })
    })
  }

  for (const isolation of ['inline', 'thread'] as const) {
    it(`keeps a Blob and a File with a replica of isolation '${isolation}'`, async () => {
      const file = new File(['content'], 'a.txt', { type: 'text/plain' })
      const { back } = await send(isolation, { blob: new Blob(['abc'], { type: 'x/y' }), file })
      const { blob, file: heard } = back as { blob: Blob; file: File }
      expect([blob.type, await blob.text(), heard.name, heard.type, await heard.text()]).to.deep.equal([
        'x/y',
        'abc',
        'a.txt',
        'text/plain',
        'content',
      ])
    })
  }

  for (const [what, make] of Object.entries(FOREIGN)) {
    it(`refuses ${what} to a replica of isolation 'process', naming the path`, async () => {
      const there = await rejection(send('process', { deep: [make()] }))
      expect([there.code, there.outcome, there.details?.path]).to.deep.equal(['ERR_NOT_SERIALIZABLE', 'not-started', 'data.deep[0]'])
    })
  }

  it("refuses a result that is an object of the platform from a replica of isolation 'process'", async () => {
    await client.createBackend('foreign', () => ({ blob: new Blob(['a']) }), { replicaOptions: { isolation: 'process' } })
    await client.createEndpoint('foreign', { backend: 'foreign' })
    const error = await rejection(client.getHandle('foreign').remote())
    expect([error.code, error.outcome, error.details?.path]).to.deep.equal(['ERR_NOT_SERIALIZABLE', 'completed', 'result.blob'])
  })

  for (const [by, to] of [
    ['thread', 'process'],
    ['process', 'thread'],
    ['thread', 'inline'],
    ['inline', 'process'],
  ] as const) {
    it(`keeps everything through a replica of isolation '${by}' that calls one of isolation '${to}'`, async () => {
      for (const make of Object.values(VALUES)) expectSame(await forward(by, to, make()), make())
    })

    it(`names what a replica of isolation '${by}' cannot pass on to '${to}'`, async () => {
      const error = await rejection(forward(by, to, { list: [Symbol('x')] }))
      expect([error.code, error.details?.path]).to.deep.equal(['ERR_NOT_SERIALIZABLE', 'data.list[0]'])
    })
  }

  describe('over HTTP', () => {
    const post = (body: BodyInit, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`${client.http?.url}/mirror`, { method: 'POST', headers, body })

    before(async () => {
      await client.createBackend('mirror', async (request: serve.ServeRequest) => {
        const { data } = request
        return typeof data === 'object' && data !== null && 'file' in data
          ? { ...data, file: { name: (data.file as File).name, text: await (data.file as File).text() } }
          : data
      })
      await client.createEndpoint('mirror', { backend: 'mirror', route: '/mirror', methods: ['POST'] })
    })

    it('keeps every byte', async () => {
      const answer = await post(bytes(256))
      expect([...(await answer.bytes())]).to.deep.equal([...bytes(256)])
      expect(answer.headers.get('content-type')).to.equal('application/octet-stream')
    })

    it('keeps 3 MiB of bytes', async () => {
      await client.createBackend('mirror-bytes', (request: serve.ServeRequest) => request.bytes())
      await client.createEndpoint('mirror-bytes', { backend: 'mirror-bytes', route: '/mirror-bytes', methods: ['POST'] })
      const sent = bytes(3 * 2 ** 20)
      const answer = await fetch(`${client.http?.url}/mirror-bytes`, { method: 'POST', body: sent })
      expect(isDeepStrictEqual(await answer.bytes(), new Uint8Array(sent))).to.equal(true)
    })

    it('keeps text beyond ASCII', async () => {
      const text = 'héllo \u{1f600}\0 \r\n\t"'
      expect(await (await post(text, { 'content-type': 'text/plain; charset=utf-8' })).text()).to.equal(text)
    })

    it('keeps what JSON carries', async () => {
      const value = { text: 'ü\u2028', numbers: [0, -1.5, 1e300], nothing: null, nested: [{ a: [true, {}] }] }
      const answer = await post(JSON.stringify(value), { 'content-type': 'application/json' })
      expect(await answer.json()).to.deep.equal(value)
    })

    it('keeps the fields and files of a form', async () => {
      const form = new FormData()
      form.set('name', 'ü=&')
      form.set('file', new File(['content'], 'a.txt', { type: 'text/plain' }))
      expect(await (await post(form)).json()).to.deep.equal({ name: 'ü=&', file: { name: 'a.txt', text: 'content' } })
    })

    it('refuses a result that JSON cannot carry', async () => {
      await client.createBackend('big', () => ({ list: [5n] }))
      await client.createEndpoint('big', { backend: 'big', route: '/big' })
      const answer = await fetch(`${client.http?.url}/big`)
      const { code, detail } = (await answer.json()) as { code: string; detail: string }
      expect([answer.status, code]).to.deep.equal([500, 'ERR_NOT_SERIALIZABLE'])
      expect(detail).to.include('result.list[0]')
    })
  })

  describe('in the arguments of a backend', () => {
    class Keeper {
      kept: unknown[]
      constructor(...kept: unknown[]) {
        this.kept = kept
      }
      call(): unknown {
        return this.kept
      }
    }

    for (const isolation of ISOLATIONS) {
      it(`keeps everything for a replica of isolation '${isolation}'`, async () => {
        const make = (): unknown[] => Object.entries(VALUES).map(([, makeOne]) => makeOne())
        await client.createBackend(`${isolation}-keeper`, Keeper, { initArgs: make(), replicaOptions: { isolation } })
        await client.createEndpoint(`${isolation}-keeper`, { backend: `${isolation}-keeper` })
        const kept = await client.getHandle(`${isolation}-keeper`).remote()
        expect(isDeepStrictEqual(kept, structuredClone(make()))).to.equal(true)
      })
    }

    it('refuses what cannot travel before anything starts, naming the place', async () => {
      const error = await rejection(client.createBackend('refused', Keeper, { initArgs: [1, { log: () => 1 }] }))
      expect([error.code, error.details?.path]).to.deep.equal(['ERR_NOT_SERIALIZABLE', 'backend refused: initArgs[1].log'])
      expect(Object.keys(await client.listBackends())).not.to.include('refused')
    })
  })
})

function expectSame({ tag, back }: Seen, value: unknown): void {
  expect(tag).to.equal(Object.prototype.toString.call(value))
  expect(isDeepStrictEqual(back, structuredClone(value))).to.equal(true)
}

async function rejection(call: PromiseLike<unknown>): Promise<serve.ServeError> {
  try {
    await call
  } catch (error) {
    return error as serve.ServeError
  }
  throw new Error('it was taken')
}
