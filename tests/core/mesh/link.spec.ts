import { expect } from 'chai'
import { msgpackCodec } from '../../../core/adapters/codec/index.ts'
import { ServeError } from '../../../core/base/index.ts'
import {
  type ByteChannel,
  encodeFrame,
  FRAME_VERSION,
  FrameKind,
  Link,
  MAX_FRAME_PAYLOAD,
  PORT_WINDOW_BYTES,
  SILENCE_MS,
} from '../../../core/mesh/index.ts'
import { FakeClock, testTurns } from '../../support/fake-clock.ts'
import { LinkPair } from '../../support/link-pair.ts'
import { seededRandom } from '../../support/seeded-random.ts'

describe('Link', () => {
  it('carries messages of a port both ways, in order', async () => {
    const pair = await LinkPair.make({ delayMs: [1, 5] })
    const port = pair.a.openPort('backend:echo')
    const got: unknown[] = []
    port.listen((message) => got.push(message[0]))
    for (let i = 0; i < 50; i++) port.post([i, 'text', new Uint8Array([i])])
    await pair.run(20)
    const [other] = pair.atB
    expect(other?.name).to.equal('backend:echo')
    other?.listen((message) => other.post(message))
    await pair.run(20)
    expect(got).to.deep.equal(Array.from({ length: 50 }, (_, i) => i))
  })

  it('lets either side open ports', async () => {
    const pair = await LinkPair.make()
    pair.a.openPort('from a')
    pair.b.openPort('from b')
    await pair.run()
    expect([pair.atA.map((port) => port.name), pair.atB.map((port) => port.name)]).to.deep.equal([['from b'], ['from a']])
  })

  it('gathers what is posted in one turn into one write', async () => {
    const { link, writes } = lonely()
    const ports = [link.openPort('x'), link.openPort('y')]
    await settled()
    const before = writes.length
    for (const port of ports) for (let i = 0; i < 10; i++) port.post([i])
    await settled()
    expect(writes.length - before).to.equal(1)
  })

  it('sends a message longer than a frame in parts', async () => {
    const pair = await LinkPair.make()
    const sizes = [MAX_FRAME_PAYLOAD - 100, MAX_FRAME_PAYLOAD, MAX_FRAME_PAYLOAD + 1, 3_000_000]
    const port = pair.a.openPort('bulk')
    for (const size of sizes) port.post([new Uint8Array(size).fill(size % 251)])
    await pair.run()
    const got: Uint8Array[] = []
    pair.atB[0]?.listen((message) => got.push(message[0] as Uint8Array))
    await pair.run()
    expect(got.map((bytes) => [bytes.length, bytes[0], bytes.at(-1)])).to.deep.equal(sizes.map((size) => [size, size % 251, size % 251]))
    expect(pair.b.heldBytes).to.equal(0)
  })

  it('sends messages longer than a window one after the other, and shorter ones in between', async () => {
    const { pair, order, ports } = await transfer(['first', 'second', 'short'])
    ports.first?.post([new Uint8Array(20_000_000)])
    ports.second?.post([new Uint8Array(3_000_000)])
    await pair.run(2)
    ports.short?.post([new Uint8Array(400_000)])
    await pair.run(500)
    expect(order).to.deep.equal(['short', 'first', 'second'])
  })

  it('holds no long message up for more than two seconds by one for which no room is granted', async () => {
    const { link, writes, clock } = lonely(true, 20_000_000)
    const [first, second] = [link.openPort('first'), link.openPort('second')]
    for (const port of [first, second]) port.post([new Uint8Array(3_000_000)])
    const sent = (): boolean[] => [first, second].map(({ id }) => writes.some((bytes) => hasData(bytes, id)))
    await clock.advance(900)
    expect(sent()).to.deep.equal([true, false])
    await clock.advance(1_200)
    expect(sent()).to.deep.equal([true, true])
  })

  it('lets a small message of another port pass a big one', async () => {
    const pair = await LinkPair.make({ delayMs: [1, 1] })
    const order: string[] = []
    const big = pair.a.openPort('big')
    const small = pair.a.openPort('small')
    await pair.run(5)
    for (const port of pair.atB) port.listen(() => order.push(port.name))
    big.post([new Uint8Array(20_000_000)])
    await pair.run(2)
    small.post([1])
    await pair.run(500)
    expect(order).to.deep.equal(['small', 'big'])
  })

  it('refuses to post more than the longest message, and sends nothing then', async () => {
    const pair = await LinkPair.make({ maxMessageBytes: 100_000 })
    const port = pair.a.openPort('x')
    expect(() => port.post([new Uint8Array(100_001)]))
      .to.throw(ServeError)
      .with.property('code', 'ERR_PAYLOAD_TOO_LARGE')
    expect(() => port.post([() => 1]))
      .to.throw(ServeError)
      .with.property('code', 'ERR_NOT_SERIALIZABLE')
    port.post(['after'])
    await pair.run()
    const got: unknown[] = []
    pair.atB[0]?.listen((message) => got.push(message[0]))
    await pair.run()
    expect(got).to.deep.equal(['after'])
  })

  it('holds no more than a window for a port that nobody listens to', async () => {
    const pair = await LinkPair.make()
    const port = pair.a.openPort('deaf')
    for (let i = 0; i < 100; i++) port.post([new Uint8Array(50_000)])
    await pair.run()
    expect(pair.b.heldBytes).to.be.within(1, PORT_WINDOW_BYTES)
    let count = 0
    pair.atB[0]?.listen(() => count++)
    await pair.run()
    expect(count).to.equal(100)
  })

  it('gathers no more big messages at once than it has room for, and all of them in the end', async () => {
    const maxMessageBytes = 1_000_000
    const pair = await LinkPair.make({ maxMessageBytes, delayMs: [1, 1] })
    const ports = Array.from({ length: 12 }, (_, i) => pair.a.openPort(`p${i}`))
    let most = 0
    let count = 0
    await pair.run(10)
    for (const port of pair.atB) port.listen(() => count++)
    // Three at a time, for the sender has a limit of its own.
    for (let i = 0; i < ports.length; i += 3) {
      for (const port of ports.slice(i, i + 3)) port.post([new Uint8Array(900_000)])
      for (let turn = 0; turn < 300; turn++) {
        await pair.clock.advance(1)
        most = Math.max(most, pair.b.heldBytes)
      }
    }
    expect(count).to.equal(12)
    expect(most).to.be.within(1, 2 * maxMessageBytes + 12 * PORT_WINDOW_BYTES)
  })

  it('closes a port on both sides after what was posted', async () => {
    const pair = await LinkPair.make()
    const port = pair.a.openPort('brief')
    port.post([1])
    port.close()
    port.post([2])
    await pair.run()
    const got: unknown[] = []
    const reasons: string[] = []
    pair.atB[0]?.listen((message) => got.push(message[0]))
    pair.atB[0]?.onClosed((reason) => reasons.push(reason))
    await pair.run()
    expect([got, reasons.length]).to.deep.equal([[1], 1])
  })

  it('tells the opener of a port that was refused', async () => {
    const pair = await LinkPair.make()
    const reasons: string[] = []
    pair.a.openPort('forbidden').onClosed((reason) => reasons.push(reason))
    await pair.run()
    expect(reasons).to.deep.equal(['not for you'])
    expect(pair.ends).to.deep.equal({})
  })

  it('says goodbye in order', async () => {
    const pair = await LinkPair.make()
    const port = pair.a.openPort('x')
    port.post(['last words'])
    pair.a.close('done for today')
    await pair.run()
    expect(pair.ends.b).to.deep.equal({ reason: 'done for today', orderly: true })
    expect(pair.ends.a?.orderly).to.equal(true)
  })

  it('tells every port when the connection breaks', async () => {
    const pair = await LinkPair.make()
    const reasons: string[] = []
    pair.a.openPort('x').onClosed((reason) => reasons.push(reason))
    pair.a.openPort('y').onClosed((reason) => reasons.push(reason))
    await pair.run()
    pair.network.cut('a', 'b')
    await pair.run()
    expect(reasons.length).to.equal(2)
    expect([pair.ends.a?.orderly, pair.ends.b?.orderly]).to.deep.equal([false, false])
    expect(() => pair.a.openPort('z'))
      .to.throw(ServeError)
      .with.property('code', 'ERR_PEER_UNREACHABLE')
  })

  it('notices a silent peer on the dot whatever the fractions of the clock, in a bounded number of looks', async () => {
    const random = seededRandom(3)
    for (let i = 0; i < 200; i++) {
      const { link, clock, writes, feed } = lonely()
      await clock.advance(random() * 3_000)
      feed(encodeFrame(FrameKind.PING, 0, new Uint8Array(8)))
      let looks = 0
      const { after } = clock
      clock.after = (delayMs, callback) => {
        if (++looks > 20) throw new Error(`looked ${looks} times, ${delayMs} ms apart`)
        return after.call(clock, delayMs, callback)
      }
      await clock.advance(SILENCE_MS + 1)
      expect(link.isGone).to.equal(true)
      expect(writes.length).to.be.below(20)
    }
  })

  it('notices a silent peer after four seconds, and not before', async () => {
    const pair = await LinkPair.make()
    await pair.run(10_000)
    expect(pair.ends).to.deep.equal({})
    pair.network.partition('a', 'b')
    await pair.run(SILENCE_MS - 1_000)
    expect(pair.ends).to.deep.equal({})
    await pair.run(2_000)
    expect(Object.keys(pair.ends).sort()).to.deep.equal(['a', 'b'])
  })

  it('measures the way there and back', async () => {
    const pair = await LinkPair.make({ delayMs: [7, 7] })
    await pair.run(3_000)
    expect(pair.a.rttMs).to.equal(14)
  })

  it('leaves no timer behind when it ends', async () => {
    const pair = await LinkPair.make()
    await pair.run(2_000)
    pair.a.close()
    await pair.run(10)
    expect(pair.clock.pendingTimers).to.equal(0)
  })

  it('takes nothing but admission before it is open', async () => {
    const pair = await LinkPair.make({ open: false })
    pair.a.sendAdmission(new TextEncoder().encode('it is me'))
    await pair.run()
    expect(pair.admissionsAtB).to.deep.equal(['it is me'])
    pair.a.open()
    pair.a.openPort('x')
    await pair.run()
    expect(pair.ends.b?.fault?.code).to.equal('ERR_FORBIDDEN')
    expect(pair.atB).to.deep.equal([])
  })

  for (const [what, code, frames] of [
    ['another version', 'ERR_PROTOCOL_VERSION', [frame(FrameKind.PING, 0, 8, 2)]],
    ['a frame that is too long', 'ERR_PAYLOAD_TOO_LARGE', [head(FrameKind.DATA, 1, MAX_FRAME_PAYLOAD + 1)]],
    ['unknown flags', 'ERR_BAD_REQUEST', [frame(0x40, 1, 1)]],
    ['an unknown kind', 'ERR_BAD_REQUEST', [frame(9, 0, 1)]],
    ['data for a port that never was', 'ERR_BAD_REQUEST', [frame(FrameKind.DATA, 77, 4)]],
    ['a port with one of our numbers', 'ERR_BAD_REQUEST', [frame(FrameKind.OPEN, 2, 4)]],
    ['the same port twice', 'ERR_BAD_REQUEST', [frame(FrameKind.OPEN, 1, 4), frame(FrameKind.OPEN, 1, 4)]],
    ['the middle of a message', 'ERR_BAD_REQUEST', [frame(FrameKind.OPEN, 1, 4), frame(0x10, 1, 4)]],
    ['a message that is announced too long', 'ERR_PAYLOAD_TOO_LARGE', [frame(FrameKind.OPEN, 1, 4), frame(0x30, 1, 8, 1, 0xff)]],
    ['a message that is no message', 'ERR_BAD_REQUEST', [frame(FrameKind.OPEN, 1, 4), frame(FrameKind.DATA, 1, 4, 1, 0xc1)]],
  ] as const) {
    it(`ends with ${code} on ${what}`, async () => {
      const { link, feed } = lonely(false)
      for (const bytes of frames) feed(bytes)
      expect((await link.whenGone).fault?.code).to.equal(code)
    })
  }

  it('has room again after ports close in the midst of big messages', async () => {
    const { feed, writes } = lonely(false)
    await settled()
    const part = new Uint8Array(MAX_FRAME_PAYLOAD)
    new DataView(part.buffer).setUint32(0, 900_000)
    for (let id = 1; id < 21; id += 2) {
      feed(frame(FrameKind.OPEN, id, 4))
      feed(encodeFrame(0x30, id, part))
      feed(frame(FrameKind.CLOSE, id, 4))
    }
    feed(frame(FrameKind.OPEN, 21, 4))
    feed(encodeFrame(0x30, 21, part))
    for (let i = 0; i < 6; i++) feed(encodeFrame(0x10, 21, part))
    await settled()
    expect(writes.at(-1)?.[1]).to.equal(FrameKind.CREDIT)
  })

  it('ends with ERR_BAD_REQUEST on more than it has granted', async () => {
    const { link, feed } = lonely(false)
    feed(frame(FrameKind.OPEN, 1, 4))
    const message = encodeFrame(FrameKind.DATA, 1, msgpackCodec().encode([new Uint8Array(60_000)]))
    for (let sent = 0; sent + message.length - 10 <= PORT_WINDOW_BYTES; sent += message.length - 10) feed(message)
    expect(link.isGone).to.equal(false)
    feed(message)
    expect((await link.whenGone).fault?.code).to.equal('ERR_BAD_REQUEST')
  })

  it('survives 10,000 random and mutated frames: a typed fault or none, and never more held than its bounds', async () => {
    const random = seededRandom(4_711)
    const maxMessageBytes = 200_000
    let faults = 0
    for (let round = 0; round < 500; round++) {
      const { link, feed } = lonely(false, maxMessageBytes)
      let ports = 0
      for (let i = 0; i < 20; i++) {
        const bytes = hostile(random, ++ports)
        const cut = Math.floor(random() * bytes.length)
        feed(bytes.subarray(0, cut))
        feed(bytes.subarray(cut))
        expect(link.heldBytes).to.be.at.most(2 * maxMessageBytes + (ports + 1) * PORT_WINDOW_BYTES)
      }
      if (!link.isGone) continue
      const { fault } = await link.whenGone
      expect(fault?.code).to.be.oneOf(['ERR_BAD_REQUEST', 'ERR_PAYLOAD_TOO_LARGE', 'ERR_PROTOCOL_VERSION', 'ERR_FORBIDDEN', undefined])
      faults++
    }
    expect(faults).to.be.above(400)
  })
})

/** Ports by name, and the order in which their messages come. */
async function transfer(names: readonly string[]) {
  const pair = await LinkPair.make({ delayMs: [1, 1] })
  const order: string[] = []
  const ports = Object.fromEntries(names.map((name) => [name, pair.a.openPort(name)]))
  await pair.run(5)
  for (const port of pair.atB) port.listen(() => order.push(port.name))
  return { pair, order, ports }
}

/** One end of a link over a channel that a test holds. */
function lonely(isDialler = true, maxMessageBytes = 1_000_000) {
  const writes: Uint8Array[] = []
  let feed: (bytes: Uint8Array) => void = () => {}
  const channel: ByteChannel = {
    isWritable: true,
    send: (bytes) => writes.push(bytes) > 0,
    listen: (reader) => {
      feed = (bytes) => reader.onBytes(bytes)
    },
    pause() {},
    resume() {},
    close() {},
    abort() {},
  }
  const clock = new FakeClock()
  const link = new Link({ channel, isDialler, codec: msgpackCodec(), maxMessageBytes }, clock, testTurns())
  link.open()
  return { link, writes, clock, feed: (bytes: Uint8Array) => feed(bytes) }
}

/** Whether frames hold DATA for a port. */
function hasData(bytes: Uint8Array, id: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  for (let at = 0; at < bytes.byteLength; at += 10 + view.getUint32(at + 6)) {
    if ((view.getUint8(at + 1) & 0x0f) === 0 && view.getUint32(at + 2) === id) return true
  }
  return false
}

const settled = (): Promise<void> => new Promise((resolve) => queueMicrotask(() => queueMicrotask(resolve)))

function head(flags: number, channel: number, length: number, version = FRAME_VERSION): Uint8Array {
  const bytes = new Uint8Array(10)
  const view = new DataView(bytes.buffer)
  bytes[0] = version
  bytes[1] = flags
  view.setUint32(2, channel)
  view.setUint32(6, length)
  return bytes
}

function frame(flags: number, channel: number, length: number, version = FRAME_VERSION, fill = 0x61): Uint8Array {
  const bytes = new Uint8Array(10 + length).fill(fill)
  bytes.set(head(flags, channel, length, version))
  return bytes
}

function hostile(random: () => number, port: number): Uint8Array {
  const int = (below: number): number => Math.floor(random() * below)
  const id = port * 2 - 1
  const shape = random()
  if (shape < 0.15) return Uint8Array.from({ length: int(300) }, () => int(256))
  if (shape < 0.5) return frame(FrameKind.OPEN, id, int(20))
  const kind = [FrameKind.DATA, 0x10, 0x30, FrameKind.CREDIT, FrameKind.CLOSE, FrameKind.PING, FrameKind.ADMIT, FrameKind.BYE][int(8)] ?? 0
  const bytes = frame(kind, random() < 0.8 ? 1 : int(20), int(random() < 0.2 ? 60_000 : 40), FRAME_VERSION, int(256))
  if (kind === 0x30 && bytes.length > 14) new DataView(bytes.buffer).setUint32(10, int(300_000))
  if (random() < 0.3) bytes[int(bytes.length)] = int(256)
  return bytes
}
