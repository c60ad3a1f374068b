import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, statSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import * as serve from '../../node/index.ts'
import { socketPathOf } from '../../node/instance-socket-folder.ts'
import { encodeFrame, FrameReader, MAX_FRAME_BYTES } from '../../node/instance-socket-frames.ts'
import { type InstanceFolders, useInstanceFolders } from '../support/instance-folders.ts'

const QUIET = { debug() {}, info() {}, warn() {}, error() {} }

type Client = Awaited<ReturnType<typeof serve.start>>

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code
const failureOf = (work: PromiseLike<unknown>): Promise<serve.ServeError> =>
  Promise.resolve(work).then(
    () => expect.fail('it did not fail'),
    (error: unknown) => error as serve.ServeError,
  )

describe('the socket of an instance', () => {
  let folders: InstanceFolders
  const clients: Client[] = []
  const children: ChildProcess[] = []

  const owned = (client: Client): Client => {
    clients.push(client)
    return client
  }

  /** An instance in this process and a client that reaches it through its socket. */
  const instanceAndClient = async (name = 'test'): Promise<{ instance: Client; client: Client }> => {
    const instance = owned(await serve.start({ name, http: false, logger: QUIET }))
    await instance.createBackend('echo', (request: serve.ServeRequest) => request.data)
    await instance.createEndpoint('echo', { backend: 'echo', route: '/echo', methods: ['GET', 'POST'] })
    return { instance, client: owned(await serve.connect({ name })) }
  }

  const child = async (script: string, name: string): Promise<ChildProcess> => {
    const started = spawn(process.execPath, [fileURLToPath(new URL(`../support/${script}`, import.meta.url)), name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(started)
    return started
  }

  const childInstance = async (name: string): Promise<ChildProcess> => {
    const started = await child('child-instance.ts', name)
    await once(started.stdout as NodeJS.ReadableStream, 'data')
    return started
  }

  beforeEach(() => {
    folders = useInstanceFolders()
  })

  afterEach(async () => {
    for (const one of clients.splice(0).reverse()) await one.close().catch(() => undefined)
    for (const one of children.splice(0)) {
      if (one.exitCode !== null || one.signalCode !== null) continue
      one.kill('SIGKILL')
      await once(one, 'exit')
    }
    folders.remove()
  })

  it('carries a call and everything that structured clone carries', async () => {
    const { client } = await instanceAndClient()
    const value = { map: new Map([[1, new Date(0)]]), bytes: new Uint8Array([1, 2]), big: 5n }
    expect(await client.getHandle('echo').remote(value)).to.deep.equal(value)
  })

  it('carries streams part by part', async () => {
    const { client } = await instanceAndClient()
    await client.createBackend('count', async function* (request: serve.ServeRequest<number>) {
      for (let i = 0; i < request.data; i++) yield i
    })
    await client.createEndpoint('count', { backend: 'count' })
    const parts: unknown[] = []
    for await (const part of client.getHandle('count').remote(500)) parts.push(part)
    expect(parts).to.deep.equal(Array.from({ length: 500 }, (_, i) => i))
  })

  it('carries an error of user code with its cause', async () => {
    const { client } = await instanceAndClient()
    await client.createBackend('throws', () => {
      throw new RangeError('too far')
    })
    await client.createEndpoint('throws', { backend: 'throws' })
    const error = await failureOf(client.getHandle('throws').remote())
    expect([codeOf(error), (error.cause as Error).name]).to.deep.equal(['ERR_TASK', 'RangeError'])
  })

  it('takes a class by value with arguments, a handle among them', async () => {
    const { client } = await instanceAndClient()
    class Caller {
      readonly #handle: serve.UntypedHandle
      readonly #suffix: string
      constructor(handle: serve.UntypedHandle, suffix: string) {
        this.#handle = handle
        this.#suffix = suffix
      }
      async call(request: serve.ServeRequest): Promise<string> {
        return `${await this.#handle.remote(request.data)}${this.#suffix}`
      }
    }
    await client.createBackend('caller', Caller, { initArgs: [client.getHandle('echo'), '!'] })
    await client.createEndpoint('caller', { backend: 'caller' })
    expect(await client.getHandle('caller').remote('hey')).to.equal('hey!')
  })

  it('finds an endpoint as soon as its creation is acknowledged', async () => {
    const { client } = await instanceAndClient()
    await client.createEndpoint('other', { backend: 'echo' })
    expect(client.getHandle('other').endpoint).to.equal('other')
  })

  it('refuses a handle of an unknown endpoint at once', async () => {
    const { client } = await instanceAndClient()
    expect(() => client.getHandle('nope'))
      .to.throw()
      .with.property('code', 'ERR_ENDPOINT_NOT_FOUND')
  })

  it('gives the errors of edits their codes and classes', async () => {
    const { client } = await instanceAndClient()
    const error = await failureOf(client.setTraffic('echo', { echo: 0.5 }))
    expect(error).to.be.instanceOf(RangeError).with.property('code', 'ERR_INVALID_TRAFFIC')
  })

  it('refuses what cannot travel: inline backends, worker factories, data', async () => {
    const { client } = await instanceAndClient()
    const inline = client.createBackend('inline', () => 1, { replicaOptions: { isolation: 'inline' } })
    const worker = client.createBackend(
      'worker',
      serve.worker(() => undefined),
    )
    const codes = await Promise.all(
      [inline, worker, client.getHandle('echo').remote(() => 1)].map(async (one) => codeOf(await failureOf(one))),
    )
    expect(codes).to.deep.equal(['ERR_UNSUPPORTED', 'ERR_UNSUPPORTED', 'ERR_NOT_SERIALIZABLE'])
  })

  it('deploys an app, and the same again without a change', async () => {
    const { client } = await instanceAndClient()
    const app = serve.defineApp({
      backends: { shout: { target: (request: serve.ServeRequest) => `${request.data}!` } },
      endpoints: { shout: { backend: 'shout' } },
    })
    await client.deploy(app)
    const before = Object.keys((await client.status()).backends.shout?.replicas ?? {})
    await client.deploy(app)
    expect(Object.keys((await client.status()).backends.shout?.replicas ?? {})).to.deep.equal(before)
    expect(await client.getHandle('shout').remote('hey')).to.equal('hey!')
  })

  it('answers fetch with head and body', async () => {
    const { client } = await instanceAndClient()
    const response = await client.fetch('http://localhost/echo', {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      body: 'hello',
    })
    expect([response.status, response.headers.get('content-type'), await response.text()]).to.deep.equal([
      200,
      'text/plain; charset=utf-8',
      'hello',
    ])
  })

  it('streams the body of fetch, and lets go of it', async () => {
    const { client } = await instanceAndClient()
    await client.createBackend('ticks', async function* () {
      for (let i = 0; ; i++) yield `tick ${i}\n`
    })
    await client.createEndpoint('ticks', { backend: 'ticks', route: '/ticks' })
    const reader = (await client.fetch('http://localhost/ticks')).body?.getReader()
    const first = await reader?.read()
    await reader?.cancel()
    expect(new TextDecoder().decode(first?.value)).to.match(/^tick 0\n/)
  })

  it('tells events to a watch', async () => {
    const { client } = await instanceAndClient()
    const events = client.watch()
    await client.createEndpoint('watched', { backend: 'echo' })
    const { value } = await events.next()
    await events.return?.()
    expect(value).to.include({ kind: 'edit', what: 'endpoint', name: 'watched' })
  })

  it('fails a call that is too large, and no other', async () => {
    const { client } = await instanceAndClient()
    const handle = client.getHandle('echo')
    const [large, small] = await Promise.allSettled([handle.remote('x'.repeat(MAX_FRAME_BYTES)), handle.remote('small')])
    expect([codeOf((large as PromiseRejectedResult).reason), (small as PromiseFulfilledResult<unknown>).value]).to.deep.equal([
      'ERR_PAYLOAD_TOO_LARGE',
      'small',
    ])
  })

  it('cancels in the instance what a client that goes away has left open', async () => {
    const { instance, client } = await instanceAndClient()
    await instance.createBackend(
      'waits',
      class {
        aborted: unknown
        constructor() {
          this.aborted = new Promise((resolve) => {
            ;(this as unknown as { note: unknown }).note = resolve
          })
        }
        async call(request: Request): Promise<void> {
          request.signal.addEventListener('abort', () => (this as unknown as { note(value: string): void }).note('aborted'))
          await this.aborted
        }
        whenAborted(): unknown {
          return this.aborted
        }
      },
    )
    await instance.createEndpoint('waits', { backend: 'waits' })
    const handle = client.getHandle('waits', { missingOk: true })
    const left = failureOf(handle.remote())
    // Behind the open call on the same connection: once this is answered, that has arrived.
    await client.getHandle('echo').remote('after')
    await client.close()
    expect([codeOf(await left), await instance.getHandle('waits').options({ methodName: 'whenAborted' }).remote()]).to.deep.equal([
      'ERR_CLIENT_CLOSED',
      'aborted',
    ])
  })

  it('settles every call, stream, request and watch when the instance is killed', async () => {
    const instance = await childInstance('killed')
    const client = owned(await serve.connect({ name: 'killed' }))
    const stream = (await client.getHandle('endless').remote()) as AsyncIterable<unknown>
    const parts = stream[Symbol.asyncIterator]()
    await parts.next()
    const events = client.watch()
    const open = [
      failureOf(client.getHandle('never').remote()),
      failureOf(parts.next()),
      failureOf(client.createBackend('late', () => new Promise(() => {}), { config: { numReplicas: 3 } })),
    ]
    await client.getHandle('echo').remote(1)
    instance.kill('SIGKILL')
    const errors = await Promise.all(open)
    // The stopped replica set of the watch may tell of starts; its end is what counts.
    for await (const _event of events);
    expect(errors.map((error) => [error.code, error.outcome])).to.deep.equal(Array(3).fill(['ERR_PEER_UNREACHABLE', 'started-unknown']))
  })

  it('fails later calls and requests at once, as not started', async () => {
    const instance = await childInstance('gone')
    const client = owned(await serve.connect({ name: 'gone' }))
    const handle = client.getHandle('echo')
    const open = failureOf(client.getHandle('never').remote())
    instance.kill('SIGKILL')
    await open
    const error = await failureOf(handle.remote(1))
    expect([error.code, error.outcome, codeOf(await failureOf(client.status()))]).to.deep.equal([
      'ERR_PEER_UNREACHABLE',
      'not-started',
      'ERR_PEER_UNREACHABLE',
    ])
  })

  it('replaces the socket that a killed process has left', async () => {
    const dead = await childInstance('left')
    dead.kill('SIGKILL')
    await once(dead, 'exit')
    expect(existsSync(socketPathOf('left'))).to.equal(true)
    const { client } = await instanceAndClient('left')
    expect(await client.getHandle('echo').remote(1)).to.equal(1)
  })

  it('refuses a second instance of a name with ERR_INSTANCE_EXISTS, and lets other names be', async () => {
    const { client } = await instanceAndClient('one')
    const second = await failureOf(serve.start({ name: 'one', http: false, logger: QUIET }))
    const other = owned(await serve.start({ name: 'two', http: false, logger: QUIET }))
    expect([codeOf(second), await other.listEndpoints(), await client.getHandle('echo').remote(1)]).to.deep.equal([
      'ERR_INSTANCE_EXISTS',
      {},
      1,
    ])
  })

  it('lets one of two win that start under one name at the same moment', async () => {
    const both = await Promise.allSettled([1, 2].map(() => serve.start({ name: 'race', http: false, logger: QUIET })))
    for (const one of both) if (one.status === 'fulfilled') owned(one.value)
    const codes = both.flatMap((one) => (one.status === 'rejected' ? [codeOf(one.reason)] : []))
    const client = owned(await serve.connect({ name: 'race' }))
    expect([codes, await client.listEndpoints()]).to.deep.equal([['ERR_INSTANCE_EXISTS'], {}])
  })

  it('says ERR_NO_INSTANCE and how to start one', async () => {
    const error = await failureOf(serve.connect({ name: 'nobody' }))
    expect(error.code).to.equal('ERR_NO_INSTANCE')
    expect(error.message).to.contain('shoal start --name nobody')
  })

  for (const name of ['', '../up', 'a/b', '-a', 'x'.repeat(33)]) {
    it(`refuses the name ${JSON.stringify(name)}`, async () => {
      expect(codeOf(await failureOf(serve.connect({ name })))).to.equal('ERR_INVALID_ARG_VALUE')
    })
  }

  it('keeps its folder and socket to this user', async function () {
    if (process.platform === 'win32') this.skip()
    await instanceAndClient('private')
    const path = socketPathOf('private')
    expect([statSync(join(path, '..')).mode & 0o777, statSync(path).mode & 0o777]).to.deep.equal([0o700, 0o600])
  })

  it('refuses a folder that others may enter', async function () {
    if (process.platform === 'win32') this.skip()
    const folder = join(folders.folder, 'run', 'shoal')
    mkdirSync(folder, { recursive: true })
    chmodSync(folder, 0o750)
    expect(codeOf(await failureOf(serve.connect({ name: 'any' })))).to.equal('ERR_FORBIDDEN')
  })

  it('goes on when a client closes, and ends when one shuts it down', async () => {
    const { client } = await instanceAndClient('ended')
    await client.close()
    const next = owned(await serve.connect({ name: 'ended' }))
    await next.shutdown()
    expect([codeOf(await failureOf(serve.connect({ name: 'ended' }))), existsSync(socketPathOf('ended'))]).to.deep.equal([
      'ERR_NO_INSTANCE',
      false,
    ])
  })

  it('does not keep the process of an attached client alive', async () => {
    await instanceAndClient('served')
    const client = await child('child-client.ts', 'served')
    const [output] = await once(client.stdout as NodeJS.ReadableStream, 'data')
    const [code] = client.exitCode === null ? await once(client, 'exit') : [client.exitCode]
    expect([String(output), code]).to.deep.equal(['from outside\n', 0])
  })

  it('cuts a connection that announces a frame above the limit, and serves the others', async () => {
    const { client } = await instanceAndClient('guarded')
    const raw = connectSocket(socketPathOf('guarded'))
    raw.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 0]))
    await once(raw, 'close')
    expect(await client.getHandle('echo').remote(1)).to.equal(1)
  })

  for (const [what, bytes] of [
    ['no value', Buffer.from([0, 0, 0, 2, 0, 1, 2])],
    ['no message', encodeFrame(0, 'text')],
    ['an unknown channel', encodeFrame(7, [])],
  ] as const) {
    it(`cuts a connection whose frame holds ${what}, and serves the others`, async () => {
      const { client } = await instanceAndClient('guarded')
      const raw = connectSocket(socketPathOf('guarded'))
      raw.write(bytes)
      await once(raw, 'close')
      expect(await client.getHandle('echo').remote(1)).to.equal(1)
    })
  }
})

describe('frames of the instance socket', () => {
  it('come out the same however the bytes are torn', () => {
    const values = [1, 'two', { three: [new Map([[3, 3]])] }]
    const bytes = Buffer.concat(values.map((value, i) => encodeFrame(i % 2, value)))
    for (let size = 1; size <= bytes.length; size++) {
      const seen: unknown[] = []
      const reader = new FrameReader((channel, value) => seen.push([channel, value]))
      for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size))
      expect(seen, `pieces of ${size} bytes`).to.deep.equal(values.map((value, i) => [i % 2, value]))
    }
  })

  it('are refused by their announced length, before they are gathered', () => {
    const reader = new FrameReader(() => expect.fail('there is no frame'))
    expect(() => reader.push(Buffer.from([0x10, 0, 0, 0, 0])))
      .to.throw()
      .with.property('code', 'ERR_PAYLOAD_TOO_LARGE')
  })
})
