import { msgpackCodec } from '../../core/adapters/codec/index.ts'
import { type ByteChannel, Link, type LinkEnd, MemoryNetwork, type VirtualPort } from '../../core/mesh/index.ts'
import { FakeClock, settle, testTurns } from './fake-clock.ts'
import { seededRandom } from './seeded-random.ts'

export interface LinkPairOptions {
  readonly maxMessageBytes?: number
  readonly delayMs?: readonly [number, number]
  /** @default true */
  readonly open?: boolean
}

/** Two ends of a link over the in-memory network, under a fake clock. */
export class LinkPair {
  readonly clock = new FakeClock()
  readonly network: MemoryNetwork
  /** The side that dialled. */
  readonly a: Link
  readonly b: Link
  /** Ports that the other side opened, in order. */
  readonly atA: VirtualPort[] = []
  readonly atB: VirtualPort[] = []
  readonly ends: { a?: LinkEnd; b?: LinkEnd } = {}
  readonly admissionsAtB: string[] = []

  private constructor(network: MemoryNetwork, clock: FakeClock, channels: readonly [ByteChannel, ByteChannel], options: LinkPairOptions) {
    this.network = network
    this.clock = clock
    const codec = msgpackCodec()
    const limit = options.maxMessageBytes === undefined ? {} : { maxMessageBytes: options.maxMessageBytes }
    const common = { codec, ...limit }
    this.a = new Link({ ...common, channel: channels[0], isDialler: true }, clock, testTurns())
    this.b = new Link(
      {
        ...common,
        channel: channels[1],
        isDialler: false,
        onAdmission: (payload) => this.admissionsAtB.push(new TextDecoder().decode(payload)),
      },
      clock,
      testTurns(),
    )
    this.a.onPort((port) => this.atA.push(port))
    this.b.onPort((port) => {
      if (port.name === 'forbidden') throw new Error('not for you')
      this.atB.push(port)
    })
    void this.a.whenGone.then((end) => {
      this.ends.a = end
    })
    void this.b.whenGone.then((end) => {
      this.ends.b = end
    })
    if (options.open ?? true) {
      this.a.open()
      this.b.open()
    }
  }

  static async make(options: LinkPairOptions = {}): Promise<LinkPair> {
    const clock = new FakeClock()
    const network = new MemoryNetwork(options.delayMs === undefined ? {} : { delayMs: options.delayMs }, clock, seededRandom(1))
    const accepted: ByteChannel[] = []
    network.join('b').onConnection(({ channel }) => accepted.push(channel))
    const { channel } = await network.join('a').dial('memory/b', new AbortController().signal)
    return new LinkPair(network, clock, [channel, accepted[0] as ByteChannel], options)
  }

  /** Lets everything happen that needs no time but the network's. */
  async run(ms = 0): Promise<void> {
    for (let i = 0; i < 30; i++) {
      await this.clock.advance(0)
      await settle()
    }
    if (ms === 0) return
    await this.clock.advance(ms)
    await this.run()
  }
}
