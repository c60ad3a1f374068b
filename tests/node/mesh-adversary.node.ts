import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { noise } from '@chainsafe/libp2p-noise'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { expect } from 'chai'
import { createLibp2p } from 'libp2p'
import { MESH_PROTOCOL } from '../../core/adapters/libp2p/index.ts'
import { peekClaims } from '../../core/adapters/tickets/index.ts'
import * as serve from '../../node/index.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }

describe('a mesh with strangers at its door', function () {
  this.timeout(60_000)

  let client: serve.Client
  let peer: serve.Client
  let address: string
  const strangers: Libp2p[] = []
  const sockets: Socket[] = []

  beforeEach(async () => {
    client = await serve.start({ http: false, mesh: true, logger: quiet })
    await client.createBackend('echo', (request: serve.ServeRequest) => request.data, { config: { numReplicas: 2 } })
    await client.createEndpoint('echo', { backend: 'echo' })
    const ticket = await client.createTicket()
    address = (peekClaims(ticket) as { addresses: string[] }).addresses[0] ?? ''
    peer = await serve.join(ticket, { name: 'good', logger: quiet })
  })

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    await Promise.all(strangers.splice(0).map((stranger) => stranger.stop()))
    await peer.close()
    await client.close()
  })

  it('answers every call, and lets peers in, through a thousand frames of junk', async () => {
    const load = startLoad()
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const connection = await comeToTheDoor()
        for (let i = 0; i < 50; i++) {
          // A connection that is closed by then is the answer as well.
          const stream = await open(connection)
          if (stream !== undefined) await say(stream, junk(i))
        }
      }),
    )
    const late = await serve.join(await client.createTicket(), { name: 'late', logger: quiet })
    await late.close()
    expect(await load.stop()).to.deep.equal([])
    expect(await names()).to.include('good')
  })

  it('ends a stream at once that announces a frame of 2 GiB, and makes no room for it', async () => {
    const head = new Uint8Array([1, 6, 0, 0, 0, 0, 0x80, 0, 0, 0])
    const before = process.memoryUsage().arrayBuffers
    // One that came before and stops after a byte: were it the time for admission that ends the other, this one would end first.
    let isSilentOver = false
    void say((await open(await comeToTheDoor())) as Stream, head.subarray(0, 1)).then(() => {
      isSilentOver = true
    })
    const stream = await open(await comeToTheDoor())
    await say(stream as Stream, head)
    expect(isSilentOver).to.equal(false)
    expect(process.memoryUsage().arrayBuffers - before).to.be.below(64 * 1024 * 1024)
    expect(await peer.getHandle('echo').remote(1)).to.equal(1)
  })

  it('opens a stranger that asks for 1,001 streams a few, and serves others meanwhile', async () => {
    const load = startLoad()
    const connection = await comeToTheDoor()
    const streams = await Promise.all(Array.from({ length: 1_001 }, () => open(connection)))
    const isOpen = (stream: Stream | undefined): boolean => stream?.status === 'open'
    while (streams.filter(isOpen).length > 4) await delay(20)
    expect(await load.stop()).to.deep.equal([])
    expect(await names()).to.include('good')
  })

  for (const [what, come] of [
    ['sockets that say nothing', (): Promise<unknown> => openSocket()],
    ['connections without a stream', (): Promise<unknown> => comeToTheDoor()],
    ['streams that say nothing', (): Promise<unknown> => comeToTheDoor().then(open)],
  ] as const) {
    it(`lets a peer in beside 50 ${what}, and calls go on`, async () => {
      const load = startLoad()
      await Promise.all(Array.from({ length: 50 }, come))
      const late = await serve.join(await client.createTicket(), { name: 'late', logger: quiet })
      // It has not waited until they were cut off.
      expect(await metric('shoal_mesh_admissions_waiting')).to.be.above(0)
      await late.close()
      expect(await load.stop()).to.deep.equal([])
      expect(await metric('shoal_mesh_admissions_displaced_total')).to.be.above(0)
    })
  }

  it('ends connections that open no stream, or say nothing on it, after five seconds', async () => {
    const [socket, connection, talker] = await Promise.all([openSocket(), comeToTheDoor(), comeToTheDoor()])
    await open(talker)
    const gone = [connection, talker].map((one) => new Promise((resolve) => one.addEventListener('close', resolve, { once: true })))
    await Promise.all([...gone, new Promise((resolve) => socket.on('close', resolve))])
    expect(await metric('shoal_mesh_admissions_waiting')).to.equal(0)
  })

  async function openSocket(): Promise<Socket> {
    const [, host = '', port = ''] = /^\/ip4\/([^/]+)\/tcp\/(\d+)/.exec(address) ?? []
    const socket = connect(Number(port), host)
    sockets.push(socket.on('error', () => {}))
    // What the other side says first is read, so that its end is seen.
    socket.resume()
    await once(socket, 'connect')
    return socket
  }

  async function metric(name: string): Promise<number> {
    const text = await (await client.fetch(new Request('http://localhost/-/metrics'))).text()
    return Number(new RegExp(`^${name}\\S* (\\S+)$`, 'm').exec(text)?.[1])
  }

  async function comeToTheDoor(): Promise<Connection> {
    const stranger = await createLibp2p({ transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()] })
    strangers.push(stranger)
    return stranger.dial(multiaddr(address))
  }

  async function names(): Promise<string[]> {
    return Object.values((await client.status()).nodes).map(({ name }) => name)
  }

  /** Calls by the peer; `stop` gives what failed. */
  function startLoad() {
    const calls: Promise<unknown>[] = []
    const call = (): void => {
      const sent = calls.length
      calls.push(
        peer
          .getHandle('echo')
          .remote(sent)
          .then(
            (answer) => (answer === sent ? undefined : `${sent} became ${String(answer)}`),
            (error: { code?: string }) => error.code ?? String(error),
          ),
      )
    }
    const timer = setInterval(call, 5)
    return {
      async stop(): Promise<unknown[]> {
        clearInterval(timer)
        return (await Promise.all(calls)).filter((failure) => failure !== undefined)
      },
    }
  }
})

async function open(connection: Connection): Promise<Stream | undefined> {
  return connection.newStream(MESH_PROTOCOL, { maxOutboundStreams: 2_000 }).catch(() => undefined)
}

/** Sends, and waits until the other side has ended the stream. */
async function say(stream: Stream, bytes: Uint8Array): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    for (const event of ['close', 'remoteCloseWrite'] as const) stream.addEventListener(event, () => resolve(), { once: true })
  })
  try {
    stream.send(bytes)
  } catch {
    return
  }
  await ended
  stream.abort(new Error('that was all'))
}

/** Noise, noise in a frame, and admission that is none. */
function junk(i: number): Uint8Array {
  const noise = randomBytes(1 + ((i * 37) % 300))
  if (i % 3 === 0) return noise
  const payload = i % 3 === 1 ? noise : Buffer.from(JSON.stringify({ kind: 'hello', ticket: noise.toString('latin1'), card: { name: i } }))
  const head = Buffer.from([1, i % 3 === 1 ? i % 10 : 6, 0, 0, 0, i % 5, 0, 0, 0, 0])
  head.writeUInt32BE(payload.length, 6)
  return Buffer.concat([head, payload])
}
