import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { peekClaims } from '../../core/adapters/tickets/index.ts'
import { type InstanceFolders, useInstanceFolders } from '../support/instance-folders.ts'
import { runCli } from '../support/run-cli.ts'

const PROGRAM = fileURLToPath(new URL('../../node/cli/main.ts', import.meta.url))
const APP = fileURLToPath(new URL('./fixtures/cli-mesh-app.ts', import.meta.url))
const NAME = 'meshed'

interface Status {
  readonly nodes: Readonly<Record<string, { name: string; runtime: string; roles: readonly string[]; rttMs: number; replicas?: number }>>
}

describe('shoal on the command line, with a mesh', function () {
  this.timeout(120_000)

  let folders: InstanceFolders
  let controller: ChildProcess
  const joined: ChildProcess[] = []

  before(async () => {
    folders = useInstanceFolders()
    controller = spawn(process.execPath, [PROGRAM, 'run', APP, '--name', NAME, '--port', '0', '--json', '--mesh'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    await firstLineOf(controller)
  })

  afterEach(async () => {
    for (const child of joined.splice(0)) await killed(child)
    await until(async () => Object.keys((await statusNow()).nodes).length === 1)
  })

  after(async () => {
    await killed(controller)
    folders.remove()
  })

  it('prints a ticket alone, which a pipe takes to join, and the joiner answers calls', async () => {
    const joiner = await join(await newTicket(), '--name', 'helper')
    await until(async () => (await pidsSeen()).has(joiner.pid))
  })

  it('takes the ticket from the environment', async () => {
    const child = track(spawnJoin(['--name', 'by-env'], { SHOAL_TICKET: await newTicket() }))
    child.stdin?.end()
    expect(JSON.parse(await firstLineOf(child))).to.deep.include({ name: 'by-env', roles: ['replica', 'caller'] })
  })

  it('takes the ticket from the arguments, with a warning', async () => {
    const child = track(spawnJoin([await newTicket()]))
    child.stdin?.end()
    for await (const line of createInterface({ input: child.stderr as NodeJS.ReadableStream })) {
      expect(line).to.match(/^warning: a ticket among the arguments/)
      break
    }
    await firstLineOf(child)
  })

  it('says before it joins what will run here', async () => {
    const child = track(spawnJoin(['-']))
    child.stdin?.end(await newTicket())
    await firstLineOf(child)
    child.kill('SIGTERM')
    expect(await text(child.stderr as NodeJS.ReadableStream)).to.include('chooses the code that runs here')
  })

  it('shows both nodes with runtime, roles and the time there and back', async () => {
    await join(await newTicket(), '--name', 'helper')
    await until(async () => Object.values((await statusNow()).nodes).some(({ name, rttMs }) => name === 'helper' && rttMs > 0))
    expect((await runCli(['status', '--name', NAME])).stdout).to.match(/helper +\S+ +node +replica caller +\d+ +\d+ +\S+ GiB +\d+\.\d ms/)
  })

  it('shows how many replicas are on each node', async () => {
    await join(await newTicket(), '--name', 'helper')
    await until(async () => Object.values((await statusNow()).nodes).some(({ name, replicas }) => name === 'helper' && replicas === 2))
    await until(async () => {
      const { stdout } = await runCli(['status', '--name', NAME])
      return ['meshed', 'helper'].every((name) => new RegExp(`^ +${name} .* 2 +\\d+ +\\S+ GiB`, 'm').test(stdout))
    })
  })

  it('prints the ticket as JSON where that is asked for', async () => {
    const { stdout } = await runCli(['ticket', '--name', NAME, '--json'])
    expect((JSON.parse(stdout) as { ticket: string }).ticket.split('.')).to.have.length(3)
  })

  it('opens a gateway on a peer whose ticket grants it', async () => {
    const ticket = await newTicket('--roles', 'caller,gateway')
    const child = track(spawnJoin(['-', '--http', '0']))
    child.stdin?.end(ticket)
    const { url } = JSON.parse(await firstLineOf(child)) as { url: string }
    expect(Number(await (await fetch(`${url}/pid`)).text())).to.be.above(0)
  })

  for (const [what, signal] of [
    ['SIGINT', 'SIGINT'],
    ['SIGTERM', 'SIGTERM'],
  ] as const) {
    it(`hands over and leaves at ${what}, with code 0`, async () => {
      const child = await join(await newTicket(), '--name', 'leaver')
      child.kill(signal)
      expect(await exitOf(child)).to.equal(0)
    })
  }

  it('prints tickets with and without trust', async () => {
    const trusted = await Promise.all([newTicket(), newTicket('--untrusted')].map(async (ticket) => peekClaims(await ticket).trusted))
    expect(trusted).to.deep.equal([true, false])
  })

  it('ends at once with 1 at the second signal', async () => {
    const child = await join(await newTicket())
    // Nobody takes the replicas over meanwhile, so the first signal alone would wait.
    controller.kill('SIGSTOP')
    try {
      child.kill('SIGINT')
      child.kill('SIGTERM')
      expect(await exitOf(child)).to.equal(1)
    } finally {
      controller.kill('SIGCONT')
    }
  })

  it('ends with 1 when it is not welcome any more', async () => {
    const { connect } = await import('../../node/index.ts')
    const client = await connect({ name: NAME })
    const ticket = await client.createTicket()
    const child = await join(ticket)
    await client.revokeTicket(ticket)
    expect(await exitOf(child)).to.equal(1)
    await client.close()
  })

  for (const [what, given, wanted] of [
    ['a text that is no ticket', 'nonsense', 'ERR_TICKET_INVALID'],
    ['no ticket at all', '', 'ERR_TICKET_INVALID'],
  ] as const) {
    it(`ends with 1 and one line for ${what}`, async () => {
      const { code, stdout, stderr } = await runCli(['join', '-', '--json'], given)
      expect([code, stdout, stderr.split(':')[0], stderr.split('\n').length]).to.deep.equal([1, '', wanted, 2])
    })
  }

  it('ends with 1 for a ticket of which a character was changed', async () => {
    const ticket = await newTicket()
    const at = ticket.lastIndexOf('.') + 10
    const changed = ticket.slice(0, at) + (ticket[at] === 'A' ? 'B' : 'A') + ticket.slice(at + 1)
    const { code, stderr } = await runCli(['join', '-'], changed)
    expect([code, stderr.split(':')[0]]).to.deep.equal([1, 'ERR_TICKET_INVALID'])
  })

  it('ends with 1 for a ticket that is spent', async () => {
    const ticket = await newTicket()
    await join(ticket)
    const { code, stderr } = await runCli(['join', '-'], ticket)
    expect([code, /^ERR_TICKET_USED: /m.test(stderr)]).to.deep.equal([1, true])
  })

  it('ends with 1 for a ticket that came too late', async () => {
    const ticket = await newTicket('--ttl', '1')
    const { code, stderr } = await runCli(['join', '-'], ticket)
    expect([code, /^ERR_TICKET_EXPIRED: /m.test(stderr)]).to.deep.equal([1, true])
  })

  for (const [what, args] of [
    ['a role that is none', ['ticket', '--roles', 'replica,queen']],
    ['uses that are none', ['ticket', '--uses', '0']],
    ['a scope of a mesh that is none', ['run', '--mesh', 'app.ts']],
  ] as const) {
    it(`ends with 2 for ${what}`, async () => {
      const { code, stderr } = await runCli(args)
      expect([code, stderr.startsWith('usage: ')]).to.deep.equal([2, true])
    })
  }

  /** Standard output of `shoal ticket`, as it is. */
  async function newTicket(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await runCli(['ticket', '--name', NAME, ...args])
    expect([code, stderr]).to.deep.equal([0, ''])
    return stdout
  }

  async function join(ticket: string, ...args: string[]): Promise<ChildProcess> {
    const child = track(spawnJoin(['-', ...args]))
    child.stdin?.end(ticket)
    await firstLineOf(child)
    return child
  }

  function track(child: ChildProcess): ChildProcess {
    joined.push(child)
    return child
  }
})

function spawnJoin(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  const environment = { ...process.env, ...env }
  return spawn(process.execPath, [PROGRAM, 'join', '--json', ...args], { stdio: ['pipe', 'pipe', 'pipe'], env: environment })
}

async function statusNow(): Promise<Status> {
  return JSON.parse((await runCli(['status', '--name', NAME, '--json'])).stdout) as Status
}

/** Processes in which the backend answers, by many calls. */
async function pidsSeen(): Promise<Set<unknown>> {
  const { connect } = await import('../../node/index.ts')
  const client = await connect({ name: NAME })
  const pids = await Promise.all(Array.from({ length: 40 }, () => client.getHandle('pid').remote()))
  await client.close()
  return new Set(pids)
}

async function firstLineOf(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) return line
  throw new Error(`it ended with code ${child.exitCode}`)
}

async function exitOf(child: ChildProcess): Promise<unknown> {
  return child.exitCode === null && child.signalCode === null ? (await once(child, 'exit'))[0] : child.exitCode
}

async function killed(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await exitOf(child)
}

/** Waits until it is so, however long the machine takes, up to the limit of the test. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await delay(10)
}
