import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'chai'
import * as serve from '../../node/index.ts'
import { MeshProcess } from '../support/mesh-process.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }

interface Status {
  readonly names: readonly string[]
  readonly ready: number
}

describe('the controller of a mesh of processes, killed', function () {
  this.timeout(90_000)

  const folders: string[] = []
  const processes: MeshProcess[] = []
  const clients: serve.Client[] = []

  afterEach(async () => {
    for (const one of processes.splice(0)) await one.kill()
    await Promise.all(clients.splice(0).map((client) => client.close()))
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
  })

  it('adopts every replica when it is started again, fails no call meanwhile, and takes edits', async () => {
    const storage = folder()
    const controller = await start({ STORAGE: storage })
    const peers = [await enter(controller), await enter(controller)]
    await controller.ask('serve', 4)
    const before = await seen(peers, 4)
    const load = startLoad(peers)
    await delay(300)
    await controller.kill()
    await delay(1_000)
    const again = await start({ STORAGE: storage })
    const startedAtMs = performance.now()
    await until(async () => (await again.ask<Status>('status')).ready === 4)
    await again.ask('endpoint', 'again')
    await delay(6_000)
    expect(await load.stop()).to.deep.equal([])
    expect([...(await seen(peers, 4))].sort()).to.deep.equal([...before].sort())
    expect(await peers[0]?.getHandle('again').remote()).to.be.oneOf([...before])
    expect((await again.ask<Status>('status')).ready).to.equal(4)
    console.log(`      ready ${Math.round(performance.now() - startedAtMs - 6_000)} ms after its start`)
  })

  it('is followed by its standby within 10 s: no call fails, no replica is restarted, edits work', async () => {
    const controller = await start({ STORAGE: folder() })
    const roles = ['controller', 'replica', 'caller']
    const ticket = await controller.ask<string>('ticket', roles)
    const standby = await start({ TICKET: ticket, ROLES: roles.join(), STORAGE: folder(), PEER_NAME: 's' })
    const peers = [await enter(controller)]
    await controller.ask('serve', 4)
    const before = await seen(peers, 4)
    const load = startLoad(peers)
    await delay(300)
    await controller.kill()
    const killedAtMs = performance.now()
    await until(() =>
      standby.ask('endpoint', 'again').then(
        () => true,
        () => false,
      ),
    )
    const tookMs = performance.now() - killedAtMs
    expect(tookMs).to.be.below(10_000)
    await until(async () => (await standby.ask<Status>('status')).ready === 4)
    await delay(6_000)
    expect(await load.stop()).to.deep.equal([])
    expect([...(await seen(peers, 4))].sort()).to.deep.equal([...before].sort())
    const [peer] = peers as [serve.Client]
    expect(await peer.getHandle('again').remote()).to.be.oneOf([...before])
    expect(Object.keys(await peer.listEndpoints()).sort()).to.deep.equal(['again', 'who'])
    console.log(`      led again ${Math.round(tookMs)} ms after the kill`)
  })

  it('comes back as a standby, and takes over in its turn', async () => {
    const [storage, other] = [folder(), folder()]
    const controller = await start({ STORAGE: storage })
    const roles = ['controller', 'replica', 'caller']
    const standby = await start({ TICKET: await controller.ask('ticket', roles), ROLES: roles.join(), STORAGE: other, PEER_NAME: 's' })
    const peers = [await enter(controller)]
    await controller.ask('serve', 2)
    const before = await seen(peers, 2)
    await controller.kill()
    await until(() =>
      standby.ask<Status>('status').then(
        ({ ready }) => ready === 2,
        () => false,
      ),
    )
    const back = await start({ STORAGE: storage })
    expect((await back.ask<Status>('status')).names).to.include('s')
    await back.ask('endpoint', 'of-both')
    await standby.kill()
    await until(() =>
      back.ask('endpoint', 'of-one').then(
        () => true,
        () => false,
      ),
    )
    expect(await back.ask<string[]>('endpoints')).to.have.members(['who', 'of-both', 'of-one'])
    await until(async () => (await back.ask<Status>('status')).ready === 2)
    const [peer] = peers as [serve.Client]
    await until(async () => Object.keys(await peer.listEndpoints().catch(() => ({}))).length === 3)
    // Those of the standby went with it.
    expect([...before].some((id) => id.startsWith(`${process.pid}.`))).to.equal(true)
    expect([...(await seen(peers, 2))]).to.include.members([...before].filter((id) => id.startsWith(`${process.pid}.`)))
  })

  function folder(): string {
    const made = mkdtempSync(join(tmpdir(), 'shoal-takeover-'))
    folders.push(made)
    return made
  }

  async function start(env: Record<string, string>): Promise<MeshProcess> {
    const made = await MeshProcess.start(env)
    processes.push(made)
    return made
  }

  /** A peer in this process. */
  async function enter(controller: MeshProcess): Promise<serve.Client> {
    const ticket = await controller.ask<string>('ticket', ['replica', 'caller'])
    const client = await serve.join(ticket, { labels: { where: 'peer' }, logger: quiet })
    clients.push(client)
    return client
  }
})

/** Which replicas answer; waits until there are so many. */
async function seen(peers: readonly serve.Client[], count: number): Promise<Set<string>> {
  for (;;) {
    const calls = peers.flatMap((peer) => Array.from({ length: 40 }, () => peer.getHandle('who').remote()))
    const ids = new Set((await Promise.all(calls)) as string[])
    if (ids.size === count) return ids
    await delay(50)
  }
}

/** Calls all the time; gives the codes of those that failed. */
function startLoad(peers: readonly serve.Client[]) {
  const calls: Promise<unknown>[] = []
  const timer = setInterval(() => {
    for (const peer of peers) {
      calls.push(
        peer
          .getHandle('who')
          .remote()
          .then(
            () => undefined,
            (error: { code?: string; message?: string }) => `${error.code}: ${error.message}`,
          ),
      )
    }
  }, 10)
  return {
    async stop(): Promise<unknown[]> {
      clearInterval(timer)
      return (await Promise.all(calls)).filter((code) => code !== undefined)
    },
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await delay(20)
}
