import { expect } from 'chai'
import type { ServeError } from '../../core/base/index.ts'
import type { ByteChannel, PeerConnection, PeerTransport } from '../../core/mesh/index.ts'

/** Two peers that can dial each other, and the time they live in. */
export interface TransportBench {
  readonly a: PeerTransport
  readonly b: PeerTransport
  /** Lets time and input pass until `isDone`, or throws when it never is. */
  readonly until: (isDone: () => boolean, what: string) => Promise<void>
  /** Lets some time pass in which something could wrongly happen. */
  readonly pass: () => Promise<void>
  readonly close: () => Promise<void>
}

const CHUNK = 65_536
const COUNT = 512

/** What every transport of the mesh keeps. */
export function peerTransportCompliance(name: string, setup: () => Promise<TransportBench>): void {
  describe(`${name} as a peer transport`, () => {
    let bench: TransportBench

    beforeEach(async () => {
      bench = await setup()
    })

    afterEach(() => bench.close())

    it('tells each side who the other one is', async () => {
      const { dialled, accepted } = await connect(bench)
      expect([dialled.peerId, accepted.peerId]).to.deep.equal([bench.b.peerId, bench.a.peerId])
      expect([dialled.isOutbound, accepted.isOutbound]).to.deep.equal([true, false])
    })

    it('refuses to dial where nobody listens, with ERR_PEER_UNREACHABLE', async () => {
      const address = bench.b.addresses[0] ?? ''
      await bench.b.close()
      const error = await failureOf(bench.a.dial(address, new AbortController().signal), bench)
      expect(error.code).to.equal('ERR_PEER_UNREACHABLE')
    })

    it('does not dial once the signal is aborted', async () => {
      const abort = new AbortController()
      abort.abort(new Error('no need'))
      const error = await failureOf(bench.a.dial(bench.b.addresses[0] ?? '', abort.signal), bench)
      expect(error).to.be.an('error')
    })

    it('carries bytes both ways in order', async () => {
      const { dialled, accepted } = await connect(bench)
      const atA = read(dialled.channel)
      const atB = read(accepted.channel)
      for (let i = 0; i < 100; i++) {
        dialled.channel.send(Uint8Array.of(i))
        accepted.channel.send(Uint8Array.of(200 - i))
      }
      await bench.until(() => atA.size === 100 && atB.size === 100, '100 bytes each way')
      expect(atB.bytes()[99]).to.equal(99)
      expect(atA.bytes()[99]).to.equal(101)
    })

    it('keeps what comes before anyone listens', async () => {
      const { dialled, accepted } = await connect(bench)
      dialled.channel.send(text('early'))
      await bench.pass()
      const late = read(accepted.channel)
      await bench.until(() => late.size === 5, 'the early bytes')
      expect(late.text()).to.equal('early')
    })

    it('tells a late listener of the bytes and then of the end', async () => {
      const { dialled, accepted } = await connect(bench)
      dialled.channel.send(text('last words'))
      dialled.channel.close()
      await bench.pass()
      const late = read(accepted.channel)
      await bench.until(() => late.hasEnded, 'the end')
      expect(late.text()).to.equal('last words')
      expect(late.error).to.equal(undefined)
    })

    it('delivers what was sent before a close', async () => {
      const { dialled, accepted } = await connect(bench)
      const atB = read(accepted.channel)
      for (let i = 0; i < 16; i++) dialled.channel.send(new Uint8Array(CHUNK).fill(i))
      dialled.channel.close()
      await bench.until(() => atB.hasEnded, 'the end')
      expect(atB.size).to.equal(16 * CHUNK)
    })

    it('tells the side that closes of the end as well', async () => {
      const { dialled, accepted } = await connect(bench)
      const atA = read(dialled.channel)
      read(accepted.channel)
      dialled.channel.close()
      await bench.until(() => atA.hasEnded, 'the own end')
      expect(atA.error).to.equal(undefined)
    })

    it('tells the other side of an abort with ERR_PEER_UNREACHABLE', async () => {
      const { dialled, accepted } = await connect(bench)
      const atB = read(accepted.channel)
      dialled.channel.send(text('half a fra'))
      dialled.channel.abort('a test')
      await bench.until(() => atB.hasEnded, 'the end')
      expect(atB.error?.code).to.equal('ERR_PEER_UNREACHABLE')
    })

    it('tells the end once, and nothing after it', async () => {
      const { dialled, accepted } = await connect(bench)
      const atB = read(accepted.channel)
      dialled.channel.close()
      dialled.channel.send(text('too late'))
      dialled.channel.abort('twice')
      dialled.channel.close()
      await bench.until(() => atB.hasEnded, 'the end')
      await bench.pass()
      expect([atB.size, atB.ends]).to.deep.equal([0, 1])
    })

    it('tells every channel of the end when its transport closes', async () => {
      const { dialled, accepted } = await connect(bench)
      const atA = read(dialled.channel)
      read(accepted.channel)
      await bench.b.close()
      await bench.until(() => atA.hasEnded, 'the end')
    })

    it('carries 512 pieces of 64 KiB to a fast reader', async () => {
      const { dialled, accepted } = await connect(bench)
      const atB = read(accepted.channel)
      const writer = write(dialled.channel, COUNT)
      await bench.until(() => atB.size === COUNT * CHUNK, 'all pieces')
      expect(writer.isDone).to.equal(true)
      expect(atB.isInOrder).to.equal(true)
    })

    it('holds the writer back while the reader pauses', async () => {
      const { dialled, accepted } = await connect(bench)
      const atB = read(accepted.channel)
      accepted.channel.pause()
      const writer = write(dialled.channel, COUNT)
      await bench.pass()
      expect(writer.isDone).to.equal(false)
      expect(writer.sentBytes).to.be.below(8 * 2 ** 20)
      accepted.channel.resume()
      await bench.until(() => atB.size === COUNT * CHUNK, 'all pieces')
      expect(atB.isInOrder).to.equal(true)
    })

    it('survives a reader that pauses in the midst of reading, again and again', async () => {
      const { dialled, accepted } = await connect(bench)
      let pauses = 0
      const atB = read(accepted.channel, () => {
        accepted.channel.pause()
        pauses++
        void bench.pass().then(() => accepted.channel.resume())
      })
      const writer = write(dialled.channel, 16)
      await bench.until(() => atB.size === 16 * CHUNK, 'all pieces')
      expect(writer.isDone).to.equal(true)
      expect(pauses).to.be.above(3)
      expect(atB.isInOrder).to.equal(true)
      expect(atB.hasEnded).to.equal(false)
    })

    it('says that it drained each time after it said no', async () => {
      const { dialled, accepted } = await connect(bench)
      read(accepted.channel)
      const writer = write(dialled.channel, COUNT)
      await bench.until(() => writer.isDone, 'the writer')
      expect(writer.drains).to.be.above(1)
    })

    it('gives a slow writer time', async () => {
      const { dialled, accepted } = await connect(bench)
      const atB = read(accepted.channel)
      for (let i = 0; i < 5; i++) {
        dialled.channel.send(Uint8Array.of(i))
        await bench.pass()
      }
      await bench.until(() => atB.size === 5, 'five bytes')
      expect(atB.hasEnded).to.equal(false)
    })

    it('ends a paused reader with what it had not read first', async () => {
      const { dialled, accepted } = await connect(bench)
      const atB = read(accepted.channel)
      accepted.channel.pause()
      dialled.channel.send(text('unread'))
      dialled.channel.close()
      await bench.pass()
      expect(atB.size).to.equal(0)
      accepted.channel.resume()
      await bench.until(() => atB.hasEnded, 'the end')
      expect(atB.text()).to.equal('unread')
    })

    it('refuses connections while nobody listens for them', async () => {
      const outcome = await settled(bench.a.dial(bench.b.addresses[0] ?? '', new AbortController().signal), bench)
      if (outcome.connection === undefined) return
      const atA = read(outcome.connection.channel)
      await bench.until(() => atA.hasEnded, 'the end')
    })
  })
}

async function connect(bench: TransportBench): Promise<{ dialled: PeerConnection; accepted: PeerConnection }> {
  const inbound: PeerConnection[] = []
  bench.b.onConnection((connection) => inbound.push(connection))
  const { connection, error } = await settled(bench.a.dial(bench.b.addresses[0] ?? '', new AbortController().signal), bench)
  if (connection === undefined) throw error
  await bench.until(() => inbound.length > 0, 'the connection at the other side')
  return { dialled: connection, accepted: inbound[0] as PeerConnection }
}

async function settled(
  dial: Promise<PeerConnection>,
  bench: TransportBench,
): Promise<{ connection: PeerConnection | undefined; error: ServeError | undefined }> {
  let connection: PeerConnection | undefined
  let error: ServeError | undefined
  dial.then(
    (made) => {
      connection = made
    },
    (reason: ServeError) => {
      error = reason
    },
  )
  await bench.until(() => connection !== undefined || error !== undefined, 'the dial')
  return { connection, error }
}

async function failureOf(dial: Promise<PeerConnection>, bench: TransportBench): Promise<ServeError> {
  const { error } = await settled(dial, bench)
  if (error === undefined) throw new Error('the dial went well')
  return error
}

function read(channel: ByteChannel, onPiece: () => void = () => {}) {
  const pieces: Uint8Array[] = []
  const reader = {
    size: 0,
    ends: 0,
    error: undefined as ServeError | undefined,
    /** Each piece of 64 KiB is filled with its number. */
    isInOrder: true,
    get hasEnded() {
      return reader.ends > 0
    },
    bytes: () => Uint8Array.from(pieces.flatMap((piece) => [...piece])),
    text: () => pieces.map((piece) => new TextDecoder().decode(piece)).join(''),
  }
  channel.listen({
    onBytes(bytes) {
      if (bytes[0] !== Math.floor(reader.size / CHUNK) % 256) reader.isInOrder = false
      if (bytes.at(-1) !== Math.floor((reader.size + bytes.byteLength - 1) / CHUNK) % 256) reader.isInOrder = false
      reader.size += bytes.byteLength
      if (reader.size < CHUNK) pieces.push(bytes.slice())
      onPiece()
    },
    onDrain: () => listenersOf(channel)(),
    onEnd(error) {
      reader.ends++
      reader.error = error
    },
  })
  return reader
}

const drains = new WeakMap<ByteChannel, () => void>()
const listenersOf = (channel: ByteChannel): (() => void) => drains.get(channel) ?? (() => {})

/** Sends pieces of 64 KiB, each filled with its number, as long as the channel takes them. */
function write(channel: ByteChannel, count: number) {
  const writer = { sentBytes: 0, drains: 0, isDone: false }
  let next = 0
  const pump = (): void => {
    while (next < count && channel.isWritable) {
      channel.send(new Uint8Array(CHUNK).fill(next++ % 256))
      writer.sentBytes += CHUNK
    }
    writer.isDone = next === count
  }
  drains.set(channel, () => {
    writer.drains++
    pump()
  })
  if (!started.has(channel)) {
    started.add(channel)
    read(channel)
  }
  pump()
  return writer
}

/** Channels that have a reader for their drains. */
const started = new WeakSet<ByteChannel>()

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
