import { expect } from 'chai'
import {
  BUNDLE_IDLE_MS,
  BUNDLE_PART_BYTES,
  BUNDLE_PORT,
  fetchBundle,
  type Member,
  type MeshRole,
  serveBundlePort,
  type VirtualPort,
} from '../../../core/mesh/index.ts'
import type { BlobRef } from '../../../core/replica/index.ts'
import { type BundleBench, bundleBench } from '../../support/bundle-bench.ts'
import { failure } from '../../support/failure.ts'
import { LinkPair } from '../../support/link-pair.ts'

describe('a transfer of a bundle', () => {
  it('brings every byte', async () => {
    const { link, blob } = await setUp(5 * BUNDLE_PART_BYTES + 7)
    const whole = fetched(link.a, blob, link.clock)
    await link.run()
    const bytes = await whole
    expect(bytes.byteLength).to.equal(blob.bytes)
    expect(bytes.every((byte, at) => byte === at % 251)).to.equal(true)
  })

  it('brings a bundle without bytes', async () => {
    const { link, blob } = await setUp(0)
    const whole = fetched(link.a, blob, link.clock)
    await link.run()
    expect((await whole).byteLength).to.equal(0)
  })

  it('leaves no timer behind', async () => {
    const { link, blob } = await setUp(BUNDLE_PART_BYTES)
    await link.run()
    const before = link.clock.pendingTimers
    const whole = fetched(link.a, blob, link.clock)
    await link.run()
    await whole
    expect(link.clock.pendingTimers).to.equal(before)
  })

  it('has four parts under way and sends one more for each that is asked for', async () => {
    const { link, blob, bench } = await setUp(20 * BUNDLE_PART_BYTES)
    const port = link.a.openPort(BUNDLE_PORT + blob.digest)
    port.listen(() => {})
    await link.run()
    expect(bench.shelf.reads).to.equal(4)
    port.post([3])
    await link.run()
    expect(bench.shelf.reads).to.equal(5)
  })

  it('has no more than four parts under way to one who does not take them', async () => {
    const { link, blob, bench } = await setUp(20 * BUNDLE_PART_BYTES)
    const parts = fetchBundle(link.a, blob, link.clock)
    const first = parts.next()
    await link.run()
    await first
    expect(bench.shelf.reads).to.equal(4)
    const second = parts.next()
    await link.run()
    await second
    expect(bench.shelf.reads).to.equal(5)
    await parts.return(undefined)
  })

  it('lets go of what it gave when the other side has gone', async () => {
    const size = 20 * BUNDLE_PART_BYTES
    const { link, blob, bench } = await setUp(size, { maxBytes: size })
    const port = link.a.openPort(BUNDLE_PORT + blob.digest)
    await link.run()
    expect(await failure(bench.store.add('another', 'y', new Uint8Array(1)))).to.have.property('code', 'ERR_PAYLOAD_TOO_LARGE')
    port.close()
    await link.run()
    await bench.store.add('another', 'y', new Uint8Array(1))
    expect(bench.store.has(blob.digest)).to.equal(false)
  })

  it('gives nothing that is not listed, and nothing to a member that hosts no replicas: ERR_PEER_UNREACHABLE there', async () => {
    const { link, blob } = await setUp(10, { isListed: false })
    const refused = failure(fetched(link.a, blob, link.clock))
    await link.run()
    expect(await refused).to.have.property('code', 'ERR_PEER_UNREACHABLE')
    const { link: other } = await setUp(10, { roles: ['caller'] })
    const forbidden = failure(fetched(other.a, blob, other.clock))
    await other.run()
    expect(String(await forbidden)).to.include('needs the role replica')
  })

  it('ends with ERR_PEER_UNREACHABLE when nothing comes for a while', async () => {
    const link = await LinkPair.make()
    const failed = failure(fetched(link.a, { digest: 'a'.repeat(64), bytes: 10, name: 'a' }, link.clock))
    await link.run(BUNDLE_IDLE_MS)
    expect(await failed).to.have.property('code', 'ERR_PEER_UNREACHABLE')
  })

  it('ends with ERR_PEER_UNREACHABLE when the link does', async () => {
    const { link, blob } = await setUp(50 * BUNDLE_PART_BYTES)
    const failed = failure(fetched(link.a, blob, link.clock))
    link.b.abort('cut by the test')
    await link.run()
    expect(await failed).to.have.property('code', 'ERR_PEER_UNREACHABLE')
  })

  for (const [what, messages] of [
    ['another length', [[0, 11]]],
    [
      'more than it said',
      [
        [0, 10],
        [1, new Uint8Array(11)],
      ],
    ],
    [
      'something else',
      [
        [0, 10],
        [1, 'text'],
      ],
    ],
  ] as const) {
    it(`refuses a sender that gives ${what}: ERR_BUNDLE_MISMATCH`, async () => {
      const link = await LinkPair.make()
      const failed = failure(fetched(link.a, { digest: 'a'.repeat(64), bytes: 10, name: 'a' }, link.clock))
      await link.run()
      for (const message of messages) (link.atB[0] as VirtualPort).post(message)
      await link.run()
      expect(await failed).to.have.property('code', 'ERR_BUNDLE_MISMATCH')
    })
  }
})

async function fetched(...given: Parameters<typeof fetchBundle>): Promise<Uint8Array> {
  const parts: number[] = []
  for await (const part of fetchBundle(...given)) for (const byte of part) parts.push(byte)
  return Uint8Array.from(parts)
}

interface TransferSetUp {
  readonly isListed?: boolean
  readonly roles?: readonly MeshRole[]
  readonly maxBytes?: number
}

async function setUp(
  bytes: number,
  { isListed = true, roles = ['replica'], maxBytes = 10_000_000 }: TransferSetUp = {},
): Promise<{ link: LinkPair; blob: BlobRef; bench: BundleBench }> {
  const link = await LinkPair.make()
  const bench = bundleBench({ maxBytes })
  const blob = await bench.store.add(
    'the test',
    'x.mjs',
    new Uint8Array(bytes).map((_, at) => at % 251),
  )
  const member = { peerId: 'a', roles } as unknown as Member
  link.b.onPort((port) => void serveBundlePort(port, member, { store: bench.store, isListed: () => isListed }))
  return { link, blob, bench }
}
