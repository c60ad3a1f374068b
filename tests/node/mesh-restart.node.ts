import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'chai'
import { peekClaims } from '../../core/adapters/tickets/index.ts'
import * as serve from '../../node/index.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }

describe('a controller that is killed and started again on its storage', function () {
  this.timeout(60_000)

  let storage: string
  let controller: ChildProcess
  const clients: serve.Client[] = []

  beforeEach(async () => {
    storage = mkdtempSync(join(tmpdir(), 'shoal-mesh-'))
    controller = await start()
  })

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()))
    controller.kill('SIGKILL')
    rmSync(storage, { recursive: true, force: true })
  })

  it('has its peers back by themselves', async () => {
    await enter(await ask('ticket'), 'p')
    await killAndStart()
    while (!((await ask('names')) as unknown as string[]).includes('p')) await delay(20)
  })

  it('redeems tickets of before, with their addresses', async () => {
    const open = await ask('ticket')
    await killAndStart()
    await enter(open, 'p')
    expect(await ask('names')).to.include('p')
  })

  it('knows who has used a ticket: ERR_TICKET_USED', async () => {
    const used = await ask('ticket')
    await enter(used, 'p')
    await killAndStart()
    expect(await codeOf(enter(used, 'q'))).to.equal('ERR_TICKET_USED')
  })

  it('knows which tickets it took back: ERR_TICKET_INVALID', async () => {
    const revoked = await ask('ticket')
    await ask('revoke', revoked)
    await killAndStart()
    expect(await codeOf(enter(revoked, 'p'))).to.equal('ERR_TICKET_INVALID')
  })

  it('is the same peer of the same mesh, at the same addresses', async () => {
    const [id, before] = [await ask('id'), peekClaims(await ask('ticket'))]
    await killAndStart()
    const after = peekClaims(await ask('ticket'))
    expect(await ask('id')).to.equal(id)
    expect(after.mesh).to.equal(before.mesh)
    expect(after.addresses).to.deep.equal(before.addresses)
  })

  it('takes free ports when its own have gone to others', async () => {
    const { addresses } = peekClaims(await ask('ticket')) as { addresses: string[] }
    controller.kill('SIGKILL')
    await once(controller, 'exit')
    const port = Number(/tcp\/(\d+)\/p2p/.exec(addresses.join())?.[1])
    const other = createServer().listen(port, '127.0.0.1')
    await once(other, 'listening')
    controller = await start()
    await enter(await ask('ticket'), 'p')
    other.close()
  })

  it('is another mesh when its key was removed: tickets of before are void', async () => {
    const old = await ask('ticket')
    controller.kill('SIGKILL')
    await once(controller, 'exit')
    rmSync(join(storage, 'mesh.key'))
    controller = await start()
    expect(await codeOf(enter(old, 'p'))).to.equal('ERR_TICKET_INVALID')
    await enter(await ask('ticket'), 'p')
  })

  for (const file of ['mesh.key', 'peer.key']) {
    it(`does not start with a broken ${file}: ERR_STORAGE, and the storage is free again`, async () => {
      controller.kill('SIGKILL')
      await once(controller, 'exit')
      const whole = readFileSync(join(storage, file))
      writeFileSync(join(storage, file), whole.subarray(10))
      const options = { http: false, mesh: true, storage, logger: quiet } as const
      expect(await codeOf(serve.start(options))).to.equal('ERR_STORAGE')
      writeFileSync(join(storage, file), whole)
      clients.push(await serve.start(options))
    })
  }

  async function start(): Promise<ChildProcess> {
    const child = fork(new URL('./fixtures/mesh-controller.ts', import.meta.url), { env: { ...process.env, STORAGE: storage } })
    await once(child, 'message')
    return child
  }

  async function killAndStart(): Promise<void> {
    controller.kill('SIGKILL')
    await once(controller, 'exit')
    controller = await start()
  }

  async function ask(what: string, argument = ''): Promise<string> {
    controller.send([what, argument])
    const [answer] = (await once(controller, 'message')) as [string]
    return answer
  }

  async function enter(ticket: string, name: string): Promise<void> {
    clients.push(await serve.join(ticket, { name, logger: quiet }))
  }
})

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no failure',
    (error: { code?: string }) => error.code ?? String(error),
  )
