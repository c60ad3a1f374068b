import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'chai'
import * as serve from '../../node/index.ts'

/** From the end of a process until all is well again; the seconds themselves are shown under a fake clock. */
const HEALED_WITHIN_MS = 10_000

const quiet = { debug() {}, info() {}, warn() {}, error() {} }

describe('a mesh of processes', function () {
  this.timeout(60_000)

  let client: serve.Client
  const children: ChildProcess[] = []

  beforeEach(async () => {
    client = await serve.start({ http: false, mesh: true, logger: quiet })
  })

  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
    await client.close()
  })

  it('serves from every process that joins, with no change to the program', async () => {
    await client.createBackend('pid', () => process.pid, { config: { numReplicas: 4 } })
    await client.createEndpoint('pid', { backend: 'pid' })
    const [a, b] = await Promise.all([join('a'), join('b')])
    await until(async () => (await pidsSeen()).size === 3)
    expect([...(await pidsSeen())]).to.have.members([process.pid, a.pid, b.pid])
  })

  it('lets a joined process call what runs elsewhere', async () => {
    await client.createBackend('double', (request: serve.ServeRequest) => (request.data as number) * 2)
    await client.createEndpoint('double', { backend: 'double' })
    const child = await join('a')
    child.send(['double', 50])
    const [results] = (await once(child, 'message')) as [unknown[]]
    expect(results).to.deep.equal(Array.from({ length: 50 }, (_, i) => i * 2))
  })

  it('shows its peers, with the time there and back', async () => {
    await join('a')
    await until(async () => Object.values((await client.status()).nodes).some(({ name, rttMs }) => name === 'a' && rttMs > 0))
  })

  it('answers every call while a process leaves', async () => {
    await client.createBackend(
      'wait',
      async () => {
        await new Promise((resolve) => setTimeout(resolve, 5))
        return process.pid
      },
      { config: { numReplicas: 2 } },
    )
    await client.createEndpoint('wait', { backend: 'wait' })
    const child = await join('a')
    await until(async () => (await spread('wait')) === 2)
    const load = startLoad('wait')
    child.send('leave')
    await once(child, 'exit')
    await until(async () => Object.keys((await client.status()).nodes).length === 1)
    const outcomes = await load.stop()
    expect(outcomes.filter((outcome) => typeof outcome !== 'number')).to.deep.equal([])
    expect((await client.status()).backends.wait?.ready).to.equal(2)
  })

  it('gives every call one outcome when a process is killed, and has its replicas elsewhere within 10 s', async () => {
    await client.createBackend(
      'wait',
      async () => {
        await new Promise((resolve) => setTimeout(resolve, 5))
        return process.pid
      },
      { config: { numReplicas: 4 } },
    )
    await client.createEndpoint('wait', { backend: 'wait' })
    const child = await join('a')
    await until(async () => (await spread('wait')) === 2)
    const load = startLoad('wait')
    await delay(300)
    const killedAtMs = performance.now()
    child.kill('SIGKILL')
    await until(async () => Object.keys((await client.status()).nodes).length === 1 && (await client.status()).backends.wait?.ready === 4)
    expect(performance.now() - killedAtMs).to.be.below(HEALED_WITHIN_MS)
    const outcomes = await load.stop()
    expect(new Set(outcomes.filter((outcome) => typeof outcome !== 'number'))).to.satisfy((codes: Set<unknown>) =>
      [...codes].every((code) => code === 'ERR_REPLICA_DIED'),
    )
    expect(outcomes.length).to.equal(load.sent)
  })

  it('leaves a frozen process alone, serves meanwhile, and takes it back when it wakes', async () => {
    await client.createBackend('pid', () => process.pid, { config: { numReplicas: 4 } })
    await client.createEndpoint('pid', { backend: 'pid' })
    const child = await join('a')
    await until(async () => (await spread('pid')) === 2)
    child.kill('SIGSTOP')
    const frozenAtMs = performance.now()
    await until(async () => Object.keys((await client.status()).nodes).length === 1)
    expect(performance.now() - frozenAtMs).to.be.below(HEALED_WITHIN_MS)
    expect((await client.getHandle('pid').remote()) as number).to.equal(process.pid)
    child.kill('SIGCONT')
    await until(async () => (await spread('pid')) === 2)
  })

  it('carries bodies of any size from the gateway of a peer to a replica elsewhere', async () => {
    class Size {
      async call(request: { arrayBuffer(): Promise<ArrayBuffer> }): Promise<number> {
        return (await request.arrayBuffer()).byteLength
      }
    }
    await client.createBackend('size', Size)
    await client.createEndpoint('size', { backend: 'size', route: '/size', methods: ['POST'] })
    const peer = await serve.join(await client.createTicket({ roles: ['caller'] }), { logger: quiet })
    for (const bytes of [0, 100, 70_000, 1_500_000, 9_000_000]) {
      const response = await peer.fetch('http://peer.test/size', { method: 'POST', body: new Uint8Array(bytes) })
      expect(Number(await response.text())).to.equal(bytes)
    }
    await peer.close()
  })

  it('carries a stream of bytes from a replica elsewhere to a reader at a peer', async () => {
    await client.createBackend('parts', async function* () {
      for (let i = 0; i < 200; i++) yield `part ${i} ${'x'.repeat(1_000)}\n`
    })
    await client.createEndpoint('parts', { backend: 'parts', route: '/parts' })
    const peer = await serve.join(await client.createTicket({ roles: ['caller'] }), { logger: quiet })
    const text = await (await peer.fetch('http://peer.test/parts')).text()
    expect(text).to.include('part 199')
    await peer.close()
  })

  it('refuses a second process with a ticket for one', async () => {
    const ticket = await client.createTicket()
    const first = await serve.join(ticket, { logger: quiet })
    const error = await serve.join(ticket, { logger: quiet }).catch((reason: unknown) => reason)
    expect(error).to.have.property('code', 'ERR_TICKET_USED')
    await first.close()
  })

  it('lets twelve peers of one address in at once', async () => {
    const ticket = await client.createTicket({ uses: 12 })
    const peers = await Promise.all(Array.from({ length: 12 }, (_, i) => serve.join(ticket, { name: `p${i}`, logger: quiet })))
    expect(Object.keys((await client.status()).nodes).length).to.equal(13)
    await Promise.all(peers.map((peer) => peer.close()))
  })

  it('takes no more peers than it was told to: ERR_BACK_PRESSURE', async () => {
    const small = await serve.start({ http: false, mesh: { maxPeers: 2 }, logger: quiet })
    const ticket = await small.createTicket({ uses: 3 })
    const peers = [await serve.join(ticket, { logger: quiet }), await serve.join(ticket, { logger: quiet })]
    const error = await serve.join(ticket, { logger: quiet }).catch((reason: unknown) => reason)
    expect(error).to.have.property('code', 'ERR_BACK_PRESSURE')
    await peers[0]?.close()
    peers.push(await serve.join(ticket, { logger: quiet }))
    expect(Object.keys((await small.status()).nodes).length).to.equal(3)
    for (const peer of peers.slice(1)) await peer.close()
    await small.close()
  })

  it('says so when the issuer is away: ERR_NO_CONTROLLER', async () => {
    const other = await serve.start({ http: false, mesh: true, logger: quiet })
    const ticket = await other.createTicket()
    await other.close()
    const error = await serve.join(ticket, { logger: quiet }).catch((reason: unknown) => reason)
    expect(error).to.have.property('code', 'ERR_NO_CONTROLLER')
  })

  it('opens a gateway on a peer whose ticket grants it', async () => {
    await client.createBackend('hello', () => 'hello')
    await client.createEndpoint('hello', { backend: 'hello', route: '/hello' })
    const ticket = await client.createTicket({ roles: ['caller', 'gateway'] })
    const peer = await serve.join(ticket, { http: { port: 0 }, logger: quiet })
    const response = await fetch(`${peer.http?.url}/hello`)
    expect(await response.text()).to.equal('hello')
    await peer.close()
  })

  it('has each peer with that role open one when the instance says everyNode', async () => {
    const instance = await serve.start({ http: { port: 0, everyNode: true, maxBodyBytes: 1_000 }, mesh: true, logger: quiet })
    await instance.createBackend('hello', (request: Request) => request.text())
    await instance.createEndpoint('hello', { backend: 'hello', route: '/hello', methods: ['POST'] })
    const ticket = await instance.createTicket({ roles: ['caller', 'gateway'], uses: 2 })
    const peer = await serve.join(ticket, { name: 'open', logger: quiet })
    const call = (body: string) => fetch(`${peer.http?.url}/hello`, { method: 'POST', body })
    expect(await (await call('hello')).text()).to.equal('hello')
    expect((await call('x'.repeat(2_000))).status).to.equal(413)
    const shown = async (name: string) => Object.values((await instance.status()).nodes).find((node) => node.name === name)?.http
    await until(async () => (await shown('open')) === peer.http?.url)
    expect(Object.values((await instance.status()).nodes).map((node) => node.http)).to.deep.equal([instance.http?.url, peer.http?.url])
    const declines = await serve.join(ticket, { http: false, logger: quiet })
    const other = await serve.join(await instance.createTicket(), { logger: quiet })
    expect([declines.http, other.http]).to.deep.equal([undefined, undefined])
    for (const one of [peer, declines, other]) await one.close()
    await instance.close()
  })

  it('takes another port for it where the one of the instance is taken', async () => {
    const first = await serve.start({ http: { port: 0 }, mesh: true, logger: quiet })
    const port = Number(new URL(first.http?.url ?? '').port)
    await first.close()
    const instance = await serve.start({ http: { port, everyNode: true }, mesh: true, logger: quiet })
    const peer = await serve.join(await instance.createTicket({ roles: ['caller', 'gateway'] }), { logger: quiet })
    expect(peer.http?.url).not.to.equal(undefined)
    expect(peer.http?.url).not.to.equal(instance.http?.url)
    await peer.close()
    await instance.close()
  })

  for (const [what, option] of [
    ['middlewares', { middlewares: [async (_context: never, next: () => Promise<void>) => next()] }],
    ['tls', { tls: { key: 'key', cert: 'cert' } }],
  ] as const) {
    it(`does not open gateways elsewhere without the ${what} of this one: ERR_UNSUPPORTED`, async () => {
      const error = await serve
        .start({ http: { port: 0, everyNode: true, ...option }, mesh: true, logger: quiet })
        .catch((reason) => reason)
      expect(error).to.have.property('code', 'ERR_UNSUPPORTED')
    })
  }

  it('does not open one without that role: ERR_FORBIDDEN', async () => {
    const error = await serve.join(await client.createTicket(), { http: { port: 0 }, logger: quiet }).catch((reason: unknown) => reason)
    expect(error).to.have.property('code', 'ERR_FORBIDDEN')
  })

  async function join(name: string): Promise<ChildProcess> {
    const ticket = await client.createTicket()
    const child = fork(new URL('./fixtures/mesh-joiner.ts', import.meta.url), { env: { ...process.env, TICKET: ticket, PEER_NAME: name } })
    children.push(child)
    await once(child, 'message')
    return child
  }

  async function pidsSeen(): Promise<Set<unknown>> {
    return new Set(await Promise.all(Array.from({ length: 60 }, () => client.getHandle('pid').remote())))
  }

  /** On how many nodes replicas of a backend answer; each has a pid of its own. */
  async function spread(endpoint: string): Promise<number> {
    return new Set(await Promise.all(Array.from({ length: 60 }, () => client.getHandle(endpoint).remote()))).size
  }

  function startLoad(endpoint: string) {
    const calls: Promise<unknown>[] = []
    const load = {
      sent: 0,
      async stop(): Promise<unknown[]> {
        clearInterval(timer)
        return Promise.all(calls)
      },
    }
    const timer = setInterval(() => {
      for (let i = 0; i < 2; i++) {
        load.sent++
        calls.push(
          client
            .getHandle(endpoint)
            .remote()
            .then(
              (value) => value,
              (error: { code?: string }) => error.code ?? String(error),
            ),
        )
      }
    }, 13)
    return load
  }
})

/** Waits until it is so, however long the machine takes, up to the limit of the test. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await delay(10)
}
